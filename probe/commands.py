"""The commands of the command line, and how text that names them says where the workspace is."""

from __future__ import annotations

import re
import shlex

from probe.workspace import Workspace

# command -> module in `probe.cli`, which holds a click command of the name `command`
COMMANDS = {
    "demo": "the whole main job on the bundled proxy and real data, in ./probe-demo",
    "doctor": "what this machine, workspace and configuration can and cannot do",
    "sources": "list, show, check, compare, add, fetch, split and remove data sources",
    "benchmarks": "list, show, check, add and remove benchmarks",
    "proxies": "list and show base models; build the bundled one",
    "run": "train and score probes of sources",
    "eval": "score one model or adapter",
    "status": "what is waiting, running, done, failed, and what it cost",
    "studies": "list, show, annotate and remove studies",
    "rank": "sources with effects, intervals and tiers",
    "curve": "how a source's score grows with size, with forecasts",
    "optimize": "search the mixture, confirm it, write a manifest",
    "outcomes": "record full-scale results, which tell how well the proxy agrees",
    "manifest": "show and verify manifests",
    "export": "write a manifest's mixture for a trainer",
    "report": "write the decision as one page for people without access",
    "dashboard": "open the pages in a browser",
    "completion": "what makes a shell complete commands, options and names",
    "clean": "remove features and adapters that nothing needs",
}

_COMMAND = re.compile(rf"\bprobe (?=(?:{'|'.join(COMMANDS)})\b)")


def in_workspace(text: str, workspace: Workspace, environment: bool = True) -> str:
    """Return text whose every `probe COMMAND` carries the options that lead to this workspace; nothing where it is the default."""
    words = workspace.options(environment)
    return _COMMAND.sub(lambda _: f"probe {shlex.join(words)} ", text) if words else text
