"""Slopes of a laddered `phases` study, from the store's item scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from db.values import Arm, ArmRole, Design, Split
from probe.decide.arm_names import size_mark
from probe.decide.asked import order_reference
from probe.decide.order_slopes import Laddered, OrderSlope, order_slopes
from probe.study.ranking import LEVEL, known_study, study_scores

if TYPE_CHECKING:
    from db.store import Store


def study_slopes(store: Store, study: str, level: float = LEVEL) -> tuple[OrderSlope, ...]:
    """Return how each order's gain changes with size, overall on selection items; none where no order was trained at two sizes.

    Raises:
        ProbeError: there is no such study.
    """
    from probe.decide.levels import level_panels

    record = known_study(store, study)
    arms = [arm for arm in store.arms(study, (ArmRole.SOURCE,)) if arm.design is Design.PHASES]
    names = [arm.name for arm in arms]
    asked = _laddered(arms, names)
    if not asked:
        return ()
    inputs = study_scores(store, record, (ArmRole.SOURCE,), Split.SELECTION, names)
    places = [k for k, arm in enumerate(inputs.arms) if arm.name in names]
    names = [inputs.arms[k].name for k in places]
    parts = [benchmark.panel(places, []) for benchmark in inputs.benchmarks if benchmark.scored()]
    if not parts:
        return ()
    panel = level_panels(parts, list(range(len(places))))[0].panel
    return order_slopes(panel, _laddered(arms, names), level=level)


def _laddered(arms: Sequence[Arm], names: Sequence[str]) -> list[Laddered]:
    """Return the orders that have sizes, with their references at these; places are those in `names`."""
    found: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
    for arm in arms:
        reference, mark = order_reference(arm.name), size_mark(arm.name)
        if mark and reference in names and reference != arm.name:
            rung = (arm.curriculum.budget, names.index(arm.name), names.index(reference))
            found.setdefault((arm.source, reference.removesuffix(mark)), []).append(rung)
    rungs = {key: sorted(rows) for key, rows in found.items() if len(rows) > 1}
    return [
        Laddered(*key, tuple(row[0] for row in rows), tuple(row[1] for row in rows), tuple(row[2] for row in rows))
        for key, rows in rungs.items()
    ]
