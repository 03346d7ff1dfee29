"""The designs: which arms a question needs. One module a design, each a function from a `Question` to arms."""

from __future__ import annotations

from collections.abc import Mapping

from db.values import Design
from probe.study.designs import add_one, halving, ladder, leave_one_out, phases, solo, swarm
from probe.study.designs.add_one import add_one_arms
from probe.study.designs.confirm import confirm_arms
from probe.study.designs.mixtures import proportional, uniform, with_share
from probe.study.designs.question import AskedArm, DesignArms, Question, Unit
from probe.study.designs.references import BASE, UNTRAINED, base_arm, untrained_arm
from probe.study.designs.solo import solo_arms
from probe.study.designs.swarm import swarm_arms

MOST_OVERLAP = 0.5  # repeats that share more of their rows say too little of what another draw would give

DESIGNS: Mapping[Design, DesignArms] = {
    Design.SOLO: solo.arms,
    Design.ADD_ONE: add_one.arms,
    Design.LEAVE_ONE_OUT: leave_one_out.arms,
    Design.HALVING: halving.arms,
    Design.LADDER: ladder.arms,
    Design.SWARM: swarm.arms,
    Design.PHASES: phases.arms,
}

__all__ = [
    "BASE",
    "DESIGNS",
    "MOST_OVERLAP",
    "UNTRAINED",
    "AskedArm",
    "DesignArms",
    "Question",
    "Unit",
    "add_one_arms",
    "base_arm",
    "confirm_arms",
    "proportional",
    "solo_arms",
    "swarm_arms",
    "uniform",
    "untrained_arm",
    "with_share",
]
