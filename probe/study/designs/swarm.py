"""`swarm`: space-filling mixtures with repeats (RegMix, Olmix). What is the response surface?"""

from __future__ import annotations

from collections.abc import Sequence
from operator import sub

from db.values import Arm, ArmRole, Design
from probe.errors import UsageError
from probe.study.designs.question import AskedArm, Question
from probe.study.designs.references import untrained_arm
from sources.canonical import content_hash
from sources.mixture import Curriculum, Mixture


def arms(question: Question) -> list[AskedArm]:
    """Return the untrained proxy and the swarm of the sources asked for; the study's mixtures of these come first.

    Raises:
        UsageError: no source is named, or a group is.
    """
    from probe.decide.swarm import SAME, swarm_mixtures

    sources = [unit.name for unit in question.units]
    if not sources or question.request.groups:
        raise UsageError("name the sources to mix, no groups: probe run --design swarm --source S --source T.")
    base = question.study.base.weights()
    weights = [base.get(slug, 0.0) for slug in sources]
    start = weights if sum(weights) > 0 else [1.0] * len(weights)
    trained = [arm for arm in question.known if arm.design is Design.SWARM and set(arm.curriculum.sources()) <= set(sources)]
    shares = [[arm.curriculum.phases[0].mixture.weights().get(slug, 0.0) for slug in sources] for arm in trained]
    points = swarm_mixtures(sources, question.request.mixtures, 0, start, repeats=question.seeds, existing=shares)
    swarm = []
    for point in points:
        same = (arm for arm, own in zip(trained, shares, strict=True) if max(map(abs, map(sub, own, point.shares))) <= SAME)
        arm = next(same, None) or swarm_arms([Mixture.of(dict(zip(sources, point.shares, strict=True)))])[0]
        swarm.append(AskedArm(arm, point.repeats))
    return [AskedArm(untrained_arm()), *swarm]


def swarm_arms(mixtures: Sequence[Mixture]) -> list[Arm]:
    """Return mixtures as arms, named by what they hold so that a swarm can grow."""
    return [Arm(f"swarm-{content_hash(mixture)[:8]}", ArmRole.MIXTURE, Design.SWARM, Curriculum.static(mixture)) for mixture in mixtures]
