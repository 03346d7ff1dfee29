"""A team's own scorers: a Python function or a command, always run in a process of its own."""
