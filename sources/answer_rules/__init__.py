"""Answer rules: an item and a generated answer to a score between 0 and 1, and whether the answer could be read. One module a rule.

Each rule gives what VLMEvalKit (`ms-vlmeval` 0.0.20) gives without a judge model, item by item on the same answers.
"""
