"""Base-model families: everything the engine asks of a VLM, one small module a family."""
