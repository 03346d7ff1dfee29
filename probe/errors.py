"""Errors that end a command: the message is one sentence with the cure, shown without a traceback."""

from __future__ import annotations


class ProbeError(Exception):
    """Something the user can mend; exit code 1."""


class UsageError(ProbeError):
    """A wrong use of the command line; exit code 2."""
