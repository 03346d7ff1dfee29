"""VLMEvalKit from outside: which benchmarks it knows, its environment, its worker process, and scores by its rules."""
