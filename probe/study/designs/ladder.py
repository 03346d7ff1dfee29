"""`ladder`: a unit, or the whole base mixture, at several sizes (SAIL-VL's scaling curves). What would more of it bring?"""

from __future__ import annotations

from db.values import Arm, ArmRole, Design, StudyRecord
from probe.errors import UsageError
from probe.study.designs.question import AskedArm, Question, Unit
from probe.study.designs.references import BASE, untrained_arm
from sources.mixture import Curriculum, Phase

DOUBLINGS = 4


def arms(question: Question) -> list[AskedArm]:
    """Return the untrained proxy and each unit at each size; without a unit, the base mixture at each.

    A repeat draws each source as a prefix of one order, so the rows of a size hold those of the smaller ones (of a mixture, but for the
    rounding of its counts), and differences between sizes are those of more rows, not of others.

    Raises:
        UsageError: there are fewer than two sizes.
    """
    sizes = ladder_sizes(question.study, question.request.sizes)
    units = question.units or (Unit(BASE, question.study.base),)
    rungs = [_arm(unit, size) for unit in units for size in sizes]
    return [AskedArm(arm) for arm in (untrained_arm(), *rungs)]


def ladder_sizes(study: StudyRecord, asked: tuple[int, ...]) -> tuple[int, ...]:
    """Return the sizes in the study's unit, smallest first; by default four doublings that end at the study's budget.

    Raises:
        UsageError: there are fewer than two.
    """
    sizes = sorted(set(asked or (study.budget >> k for k in range(DOUBLINGS + 1))) - {0})
    if len(sizes) < 2:
        raise UsageError(f"a ladder needs two sizes or more, in {study.budget_unit.value}: give --sizes 250,500,1000, or a larger budget.")
    return tuple(sizes)


def _arm(unit: Unit, size: int) -> Arm:
    return Arm(f"{unit.name}@{size}", ArmRole.SOURCE, Design.LADDER, Curriculum((Phase(unit.mixture),), size), unit.name)
