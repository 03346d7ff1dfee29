"""`add-one`: the base mixture with a stated share of each unit (SAIL-VL's incremental evaluation). Does adding it help?

With `--sequential` the base mixture grows: the arm of a gate is that of the last accepted unit with a share of the next one, so what
was accepted is the next gate's reference and is trained once.
"""

from __future__ import annotations

from collections.abc import Sequence

from db.values import Arm, ArmRole, Design
from probe.study.designs.mixtures import with_part
from probe.study.designs.question import AskedArm, Question, Unit
from probe.study.designs.references import BASE, base_arm, untrained_arm
from sources.mixture import Curriculum, Mixture


def arms(question: Question) -> list[AskedArm]:
    """Return the untrained proxy, the base mixture, and the base mixture with each unit; of gates, those asked for alone."""
    study = question.study
    if question.request.gates:
        units = {unit.name: unit for unit in question.units}
        added = [_path_arm([units[name] for name in path], study.base, study.add_share) for path in question.request.gates]
    else:
        added = [_path_arm([unit], study.base, study.add_share) for unit in question.units]
    distinct = {arm.name: arm for arm in (untrained_arm(), base_arm(study.base), *added)}
    return [AskedArm(arm) for arm in distinct.values()]


def add_one_arms(sources: Sequence[str], base: Mixture, share: float) -> list[Arm]:
    """Return the base mixture with a share of each source."""
    return [_path_arm([Unit(slug, Mixture.single(slug))], base, share) for slug in sources]


def path_name(path: Sequence[str]) -> str:
    """Return the name of the arm in which units joined the base mixture one after another; without any, the base mixture's."""
    return "".join(f"+{name}" for name in path) or BASE


def _path_arm(path: Sequence[Unit], base: Mixture, share: float) -> Arm:
    """Return the arm of units that join one after another; one that has grown past its first is ranked by its gate alone."""
    mixture = base
    for unit in path:
        mixture = with_part(mixture, unit.mixture, share)
    role = ArmRole.SOURCE if len(path) == 1 else ArmRole.MIXTURE
    return Arm(path_name([unit.name for unit in path]), role, Design.ADD_ONE, Curriculum.static(mixture), path[-1].name)
