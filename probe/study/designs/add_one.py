"""`add-one`: the base mixture with a stated share of each unit (SAIL-VL's incremental evaluation). Does adding it help?"""

from __future__ import annotations

from collections.abc import Sequence

from db.values import Arm, ArmRole, Design
from probe.study.designs.mixtures import with_part
from probe.study.designs.question import AskedArm, Question, Unit
from probe.study.designs.references import base_arm, untrained_arm
from sources.mixture import Curriculum, Mixture


def arms(question: Question) -> list[AskedArm]:
    """Return the untrained proxy, the base mixture, and the base mixture with each unit."""
    study = question.study
    added = (_arm(unit, study.base, study.add_share) for unit in question.units)
    return [AskedArm(arm) for arm in (untrained_arm(), base_arm(study.base), *added)]


def add_one_arms(sources: Sequence[str], base: Mixture, share: float) -> list[Arm]:
    """Return the base mixture with a share of each source."""
    return [_arm(Unit(slug, Mixture.single(slug)), base, share) for slug in sources]


def _arm(unit: Unit, base: Mixture, share: float) -> Arm:
    return Arm(f"+{unit.name}", ArmRole.SOURCE, Design.ADD_ONE, Curriculum.static(with_part(base, unit.mixture, share)), unit.name)
