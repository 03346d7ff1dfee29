"""`probe curve`: what of a study was trained at several sizes, and how its scores grow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from db.values import Arm, ArmRole, Split
from probe.errors import ProbeError
from probe.study.ranking import known_study, study_scores

if TYPE_CHECKING:
    from db.store import Store
    from probe.decide.scaling.study_curves import StudyCurve


def curves(
    store: Store,
    study: str,
    units: Sequence[str] = (),
    at: Sequence[float] = (),
    level: float = 0.90,
    wanted: tuple[str, str] | None = None,
) -> tuple[StudyCurve, ...]:
    """Return the curves of a study's ladders on selection items, of all units or of those named, at all levels or the one that is `wanted`.

    Raises:
        ProbeError: there is no such study, ladder or unit, or nothing is scored yet.
    """
    from probe.decide.scaling.study_curves import study_curves

    record = known_study(store, study)
    found = ladders(store.arms(study))
    cure = f"probe run --study {study} --design ladder --source S"
    if not found:
        raise ProbeError(f"study {study!r} trained nothing at several sizes: {cure}.")
    if unknown := [unit for unit in units if unit not in found]:
        raise ProbeError(f"{unknown[0]!r} was not trained at several sizes in study {study!r}; there are {', '.join(found)}: {cure}.")
    asked = {unit: found[unit] for unit in units or found}
    inputs = study_scores(store, record, list(ArmRole), Split.SELECTION, {arm for arms in asked.values() for arm in arms})
    try:
        return study_curves(inputs, asked, at, level, wanted)
    except ValueError as error:
        raise ProbeError(f"{error}; see `probe status`.") from None


def ladders(arms: Iterable[Arm]) -> dict[str, dict[str, float]]:
    """Return the sizes of every arm that has one of its own, by unit: the source, or what the arm is called before its size."""
    found: dict[str, dict[str, float]] = {}
    for arm in arms:
        if arm.curriculum.budget:
            found.setdefault(arm.source or arm.name.rpartition("@")[0], {})[arm.name] = float(arm.curriculum.budget)
    return found
