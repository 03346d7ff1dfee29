"""`solo`: each unit alone (SAIL-VL's quick quality evaluation). Which source is best, for which capability?"""

from __future__ import annotations

from collections.abc import Sequence

from db.values import Arm, ArmRole, Design
from probe.study.designs.question import AskedArm, Question, Unit
from probe.study.designs.references import untrained_arm
from sources.mixture import Curriculum, Mixture


def arms(question: Question) -> list[AskedArm]:
    """Return the untrained proxy and each unit alone."""
    return [AskedArm(untrained_arm()), *(AskedArm(_arm(unit)) for unit in question.units)]


def solo_arms(sources: Sequence[str]) -> list[Arm]:
    """Return each source alone."""
    return [_arm(Unit(slug, Mixture.single(slug))) for slug in sources]


def _arm(unit: Unit) -> Arm:
    return Arm(unit.name, ArmRole.SOURCE, Design.SOLO, Curriculum.static(unit.mixture), unit.name)
