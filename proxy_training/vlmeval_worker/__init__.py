"""The process in which VLMEvalKit runs: it takes one JSON line a request and answers with JSON lines (`python -m` this package).

    {"do": "score", "name": "MMStar", "table": ".../MMStar.tsv", ...}     in, on standard input
    {"progress": ["answers", 32, 1500]}                                   out, any number of times
    {"result": {...}}  or  {"error": "one sentence"}                      out, once a request

It runs in the environment that `make eval` builds, and may import what trains and generates, never what decides. Nothing that
VLMEvalKit changes in its process (certificate checks, logging, image limits) reaches another one.
"""

PROTOCOL = 1  # raised when requests or answers change: an environment with an older worker is told to be built again
