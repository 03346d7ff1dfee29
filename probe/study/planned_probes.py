"""From arms to planned probes: every arm's rows for every repeat, which gives each training its identity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from db.values import Arm, PlannedProbe
from probe.errors import ProbeError
from probe.study import designs
from probe.study.draws import Draws

SEED_STRIDE = 1000  # a repeat's number is its seed; those of confirmation arms begin here, so they are fresh

Say = Callable[[str], None]


def plan_probes(draws: Draws, arms: Sequence[Arm], repeats: range, say: Say, fewer: Mapping[str, int] | None = None) -> list[PlannedProbe]:
    """Draw every arm's rows for every repeat, which gives each training its identity; a repeat's number is its seed.

    The untrained proxy has one repeat, and arms named in `fewer` have that many.
    """
    probes = []
    for arm in arms:
        own = repeats[: (fewer or {}).get(arm.name, len(repeats)) if arm.curriculum.phases else 1]
        for repeat in own:
            drawn = draws.draw(arm.curriculum, repeat)
            if arm.curriculum.phases and not drawn.rows:
                raise ProbeError(f"arm {arm.name!r} has no row to train on: raise the budget, or see `probe sources check`.")
            probes.append(PlannedProbe(arm.name, repeat, repeat, drawn.training.training_id(), drawn.rows, drawn.tokens, drawn.overlap))
        overlap = max((p.overlap for p in probes if p.arm == arm.name), default=0.0)
        if overlap > designs.MOST_OVERLAP:
            say(f"{arm.name}: small for this budget, so two repeats have about {overlap:.0%} of their rows in common.")
    return probes
