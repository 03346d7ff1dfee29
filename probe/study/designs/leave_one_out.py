"""`leave-one-out`: the base mixture without each unit, the rest brought back to the same budget. Is it worth its place, or redundant?"""

from __future__ import annotations

from db.values import Arm, ArmRole, Design
from probe.study.designs.inside import units_inside
from probe.study.designs.mixtures import rescaled
from probe.study.designs.question import AskedArm, Question
from probe.study.designs.references import base_arm, untrained_arm
from sources.mixture import Curriculum


def arms(question: Question) -> list[AskedArm]:
    """Return the untrained proxy, the base mixture, and the base mixture without each unit.

    Raises:
        UsageError: a unit is no part of the base mixture, or all of it.
    """
    without = [
        Arm(f"-{unit.name}", ArmRole.SOURCE, Design.LEAVE_ONE_OUT, Curriculum.static(rescaled(question.base, unit.slugs(), 0.0)), unit.name)
        for unit in units_inside(question, Design.LEAVE_ONE_OUT)
    ]
    return [AskedArm(arm) for arm in (untrained_arm(), base_arm(question.study.base), *without)]
