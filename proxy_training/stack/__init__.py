"""The stacked engine: several adapters on one frozen Llama-class language model, in one forward and one backward by hand."""
