"""`halving`: the base mixture with a unit's share halved (SAIL-VL's composition evaluation). Is the unit over- or under-supplied?"""

from __future__ import annotations

from db.values import Arm, ArmRole, Design
from probe.decide.arm_names import DOUBLED, HALVED
from probe.errors import UsageError
from probe.study.designs.inside import units_inside
from probe.study.designs.mixtures import rescaled, share_of
from probe.study.designs.question import AskedArm, Question, Unit
from probe.study.designs.references import base_arm, untrained_arm
from sources.mixture import Curriculum


def arms(question: Question) -> list[AskedArm]:
    """Return the untrained proxy, the base mixture, and for each unit the base with its share halved (and doubled, where asked).

    Raises:
        UsageError: a unit is no part of the base mixture or all of it, or doubled would be.
    """
    units = units_inside(question, Design.HALVING)
    changed = [_arm(question, unit, HALVED, 0.5) for unit in units]
    if question.request.doubled:
        _check_doubled(question, units)
        changed += [_arm(question, unit, DOUBLED, 2.0) for unit in units]
    return [AskedArm(arm) for arm in (untrained_arm(), base_arm(question.study.base), *changed)]


def _arm(question: Question, unit: Unit, mark: str, factor: float) -> Arm:
    mixture = rescaled(question.base, unit.slugs(), factor)
    return Arm(f"{mark}{unit.name}", ArmRole.SOURCE, Design.HALVING, Curriculum.static(mixture), unit.name)


def _check_doubled(question: Question, units: tuple[Unit, ...]) -> None:
    for unit in units:
        if (share := share_of(question.base, unit.slugs())) >= 0.5:
            raise UsageError(
                f"{unit.name} has a share of {share:g}, which cannot be doubled: leave --double out, or name the smaller units."
            )
