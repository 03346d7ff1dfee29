"""Commands that train the phases of a curriculum in order, each from where the one before ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable

MODEL = "MODEL"  # the base model, for the reader to fill in


def chained(phases: Iterable[str], command: Callable[[str, str], str], result: str = "output/{}") -> tuple[str, ...]:
    """Return `command(phase, model)` for each phase; the first one's model is `MODEL`, a later one's the `result` of the phase before."""
    commands = []
    model = MODEL
    for phase in phases:
        commands.append(command(phase, model))
        model = result.format(phase)
    return tuple(commands)
