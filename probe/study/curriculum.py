"""Phases or one mixture: the orders that a study tested, the one that helps, and whether it beats the best static mixture.

An order is a candidate only where its verdict against the same rows mixed, on selection items, is `helps`. It is then trained with fresh
seeds beside the static optimum and compared on confirmation items, and only a gain that holds there puts phases into the manifest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from db.values import Arm, ArmRole, Design, EffectRow, Ranking, Verdict
from probe.decide.arm_names import REVERSED, REVERSED_ONE_SCHEDULE, STAGED, STAGED_ONE_SCHEDULE, size_mark
from probe.decide.asked import order_reference
from probe.errors import ProbeError
from sources.estimate import Estimate
from sources.mixture import Curriculum

if TYPE_CHECKING:
    from db.store import Store
    from probe.decide.confirm import Confirmation
    from probe.study.mixture_search import Fit

ORDERS = (STAGED, REVERSED, STAGED_ONE_SCHEDULE, REVERSED_ONE_SCHEDULE)


@dataclass(frozen=True, slots=True)
class TestedOrder:
    """An order of phases, what it was compared with, and what came out on selection items; no effect where it is not trained yet."""

    name: str
    reference: str
    curriculum: Curriculum
    effect: Estimate | None = None
    verdict: Verdict | None = None
    seeds_to_decide: int | None = None

    def helps(self) -> bool:
        """Say whether it is shown to be better than the same rows mixed."""
        return self.verdict is Verdict.HELPS

    def shares(self) -> dict[str, float]:
        """Return what each source has of the whole budget."""
        total = math.fsum(phase.share for phase in self.curriculum.phases)
        found: dict[str, float] = {}
        for phase in self.curriculum.phases:
            for slug, share in phase.mixture.shares:
                found[slug] = found.get(slug, 0.0) + phase.share / total * share
        return found

    def text(self) -> str:
        """Return the order with its effect and verdict."""
        if self.effect is None or self.verdict is None:
            return f"{self.name} not scored yet"
        more = f", {self.seeds_to_decide} more seeds would decide" if self.verdict is Verdict.UNDECIDED and self.seeds_to_decide else ""
        return f"{self.name} {_interval(self.effect)} against {self.reference} ({self.verdict.value}{more})"


@dataclass(frozen=True, slots=True)
class CurriculumChoice:
    """The tested orders, the one to confirm, and its confirmed gain over the best static mixture."""

    tested: tuple[TestedOrder, ...] = ()
    candidate: TestedOrder | None = None
    confirmed: Confirmation | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def chosen(self) -> TestedOrder | None:
        """The order that the manifest has; None for one phase."""
        return self.candidate if self.confirmed is not None and all(self.confirmed.holds.values()) else None

    def confirmed_by(self, confirmed: Confirmation | None) -> CurriculumChoice:
        """Return the choice with what the confirmation said."""
        return replace(self, confirmed=confirmed)

    def sentence(self) -> str:
        """Say what was decided and why; empty where no order was tested."""
        if not self.tested:
            return ""
        if self.candidate is None:
            listed = "; ".join(order.text() for order in self.tested)
            if any(order.helps() for order in self.tested):
                return f"No order that helps keeps the constraints: {listed}. The manifest has one phase."
            return f"No order is shown to help: {listed}. The manifest has one phase."
        if self.confirmed is None:
            return f"Not confirmed, so the manifest has one phase: {self.candidate.text()}, on the items that were searched on."
        gain = _interval(next(iter(self.confirmed.gains.values())))
        if self.chosen is None:
            return (
                f"{self.candidate.name} is not shown to beat the best static mixture: {gain} on confirmation items with fresh seeds. "
                "The manifest has one phase."
            )
        return (
            f"{self.candidate.name} beats the best static mixture: {gain} on confirmation items with fresh seeds. "
            f"The manifest has {len(self.candidate.curriculum.phases)} phases."
        )

    def plain(self) -> dict[str, Any]:
        """Return the choice as JSON values."""
        gains = self.confirmed.gains.items() if self.confirmed else ()
        chosen, candidate = self.chosen, self.candidate
        return {
            "chosen": chosen.name if chosen else None,
            "restarts": chosen.curriculum.restarts if chosen else None,
            "candidate": candidate.name if candidate else None,
            "why": self.sentence(),
            "orders": [_order_json(order) for order in self.tested],
            "confirmed_gain": {name: {**_numbers(gain), "held": self.chosen is not None} for name, gain in gains} or None,
        }


def curriculum_choice(fit: Fit, arms: Sequence[Arm], ranking: Ranking | None) -> CurriculumChoice:
    """Choose among the orders that a study trained at its budget on sources of the search; among several that help, the best.

    Its shares are those tested, and have to keep the search's constraints.
    """
    import numpy as np

    rows = {row.arm: row for row in ranking.effects if row.level == "overall"} if ranking else {}
    sources, budget = set(fit.seen.sources), fit.study.budget
    every = [_tested(arm, rows.get(arm.name)) for arm in arms if _is_order(arm, budget)]
    tested = tuple(order for order in every if set(order.curriculum.sources()) <= sources)
    notes = () if len(tested) == len(every) else ("orders of phases were tested with sources that are not searched here: not used",)
    points = {order.name: np.array([order.shares().get(slug, 0.0) for slug in fit.seen.sources]) for order in tested}
    allowed = [order for order in tested if order.helps() and order.effect and not fit.region.shortfall(points[order.name]).any()]
    best = max(allowed, key=lambda order: order.effect.value if order.effect else -math.inf, default=None)
    return CurriculumChoice(tested, best, notes=notes)


def study_choice(store: Store, fit: Fit) -> CurriculumChoice:
    """Choose among a study's orders, as its ranking and the request say.

    Raises:
        ProbeError: a curriculum was asked for and no order was tested.
    """
    study, wanted = fit.study.name, fit.request.curriculum
    if wanted is False:
        return CurriculumChoice()
    found = curriculum_choice(fit, store.arms(study), store.ranking(study))
    if wanted and not found.tested:
        phases = " ".join(f"--phase {slug}=1" for slug in fit.seen.sources)
        raise ProbeError(f"no order of phases of these sources was tested: probe run --study {study} --design phases {phases}.")
    return found


def _is_order(arm: Arm, budget: int) -> bool:
    mark, own = size_mark(arm.name), arm.curriculum.budget
    return arm.role is ArmRole.SOURCE and arm.design is Design.PHASES and arm.name.removesuffix(mark) in ORDERS and own in (0, budget)


def _tested(arm: Arm, row: EffectRow | None) -> TestedOrder:
    curriculum = replace(arm.curriculum, budget=0)
    found = TestedOrder(arm.name, order_reference(arm.name), curriculum)
    return found if row is None else replace(found, effect=row.effect, verdict=row.verdict, seeds_to_decide=row.seeds_to_decide)


def _order_json(order: TestedOrder) -> dict[str, Any]:
    return {
        "order": order.name,
        "reference": order.reference,
        "effect": _numbers(order.effect) if order.effect else None,
        "verdict": order.verdict.value if order.verdict else None,
        "seeds_to_decide": order.seeds_to_decide,
        "phases": [{"share": phase.share, "weights": phase.mixture.weights()} for phase in order.curriculum.phases],
    }


def _numbers(found: Estimate) -> dict[str, float | None]:
    parts = {name: getattr(found, name) for name in ("value", "stderr", "low", "high", "n")}
    return {name: value if math.isfinite(value) else None for name, value in parts.items()}


def _interval(found: Estimate) -> str:
    return f"{found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
