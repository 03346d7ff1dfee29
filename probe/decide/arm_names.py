"""How arms are called, where their names say what they are compared with."""

from __future__ import annotations

HALVED, DOUBLED = "~", "^"  # before a unit's name

STAGED, REVERSED, MIXED, MIXED_RESTARTS = "phases/staged", "phases/reversed", "phases/mixed", "phases/mixed-restarts"
STAGED_ONE_SCHEDULE, REVERSED_ONE_SCHEDULE = "phases/staged-one-schedule", "phases/reversed-one-schedule"


def at_size(name: str, size: int) -> str:
    """Return the name of an arm at a size; 0 is the study's budget."""
    return f"{name}@{size}" if size else name


def size_mark(name: str) -> str:
    """Return what `at_size` put behind an arm's name, `@` included; empty at the study's budget."""
    return "".join(name.rpartition("@")[1:]) if "@" in name else ""
