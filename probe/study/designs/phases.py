"""`phases`: the same rows staged, reversed and mixed (SAIL-VL's curriculum). Does the order help?

All arms of one size train on the very same rows in as many steps. Staged and reversed begin their learning rate again at every phase,
so `mixed-restarts`, which begins it again after as many rows, is what order is compared with; `mixed` has one schedule.
"""

from __future__ import annotations

import math

from db.values import Arm, ArmRole, BudgetUnit, Design, StudyRecord
from probe.decide.arm_names import MIXED, MIXED_RESTARTS, REVERSED, REVERSED_ONE_SCHEDULE, STAGED, STAGED_ONE_SCHEDULE, at_size
from probe.errors import UsageError
from probe.study.designs.question import AskedArm, Question
from probe.study.designs.references import untrained_arm
from sources.mixture import Curriculum, Mixture, Phase, largest_remainder

Phases = tuple[Phase, ...]


def arms(question: Question) -> list[AskedArm]:
    """Return the untrained proxy and the orders, at each size where sizes are asked for.

    Raises:
        UsageError: there are fewer than two phases, or a phase has no row.
    """
    phases, sizes = question.request.phases, tuple(sorted(set(question.request.sizes)))
    if len(phases) < 2:
        raise UsageError("phases in order are needed, two or more: --design phases --phase easy=1 --phase hard=0.7,easy=0.3.")
    orders = [arm for size in sizes or (0,) for arm in order_arms(question.study, phases, size, question.request.restarts)]
    return [AskedArm(arm) for arm in (untrained_arm(), *orders)]


def order_arms(study: StudyRecord, phases: Phases, size: int, restarts: bool) -> list[Arm]:
    """Return the orders of phases at one size in the study's unit, 0 for its budget.

    Raises:
        UsageError: a phase has no row.
    """
    staged, mixed = _whole(study, phases, size or study.budget)
    if restarts:
        found = [(STAGED, staged, True), (REVERSED, staged[::-1], True), (MIXED, mixed, False), (MIXED_RESTARTS, mixed, True)]
    else:
        found = [(STAGED_ONE_SCHEDULE, staged, False), (REVERSED_ONE_SCHEDULE, staged[::-1], False), (MIXED, mixed, False)]
    return [Arm(at_size(name, size), ArmRole.SOURCE, Design.PHASES, Curriculum(order, size, again), name) for name, order, again in found]


def _whole(study: StudyRecord, phases: Phases, budget: int) -> tuple[Phases, Phases]:
    """Return phases, and the mixture of all of them cut alike; in samples, their shares are whole rows, so that no order differs by one."""
    total = math.fsum(phase.share for phase in phases)
    phases = tuple(Phase(phase.mixture, phase.share / total) for phase in phases)
    weights: dict[str, float] = {}
    if study.budget_unit is BudgetUnit.SAMPLES:
        rows = largest_remainder(budget, {f"{k:06d}": phase.share for k, phase in enumerate(phases)})
        if not all(rows.values()):
            raise UsageError(f"{budget} rows are too few for these phases: give a larger --samples, --sizes or --phase-share.")
        phases = tuple(Phase(phase.mixture, rows[f"{k:06d}"] / budget) for k, phase in enumerate(phases))
        parts = [phase.mixture.counts(rows[f"{k:06d}"]) for k, phase in enumerate(phases)]
        for part in parts:
            for slug, count in part.items():
                weights[slug] = weights.get(slug, 0.0) + count
    else:
        for phase in phases:
            for slug, weight in phase.mixture.shares:
                weights[slug] = weights.get(slug, 0.0) + phase.share * weight
    whole = Mixture.of(weights)
    return phases, tuple(Phase(whole, phase.share) for phase in phases)
