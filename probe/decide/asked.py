"""What each design compares: which arms with which reference, and what may be said of the differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from db.values import ArmRole, Design
from probe.decide.arm_names import DOUBLED, MIXED, MIXED_RESTARTS, REVERSED_ONE_SCHEDULE, STAGED_ONE_SCHEDULE, size_mark
from probe.decide.study_scores import StudyArm


@dataclass(frozen=True, slots=True)
class Answers:
    """What a design's differences may be read as.

    `tiers` only where arms differ in the source alone, `pairs` only where arms spend the same budget. `has_seed` says that the reference
    was trained, so that repeats pair seeds.
    """

    reference: ArmRole | None  # None: named by the arm (`phases`)
    verdicts: bool = True
    tiers: bool = False
    pairs: bool = True

    @property
    def has_seed(self) -> bool:
        """Say whether the reference was trained."""
        return self.reference is not ArmRole.UNTRAINED


ANSWERS: Mapping[Design, Answers] = {
    Design.SOLO: Answers(ArmRole.UNTRAINED, verdicts=False, tiers=True),
    Design.LADDER: Answers(ArmRole.UNTRAINED, verdicts=False, pairs=False),
    Design.ADD_ONE: Answers(ArmRole.BASE, tiers=True),
    Design.LEAVE_ONE_OUT: Answers(ArmRole.BASE),
    Design.HALVING: Answers(ArmRole.BASE),
    Design.PHASES: Answers(None),
}


@dataclass(frozen=True, slots=True)
class Question:
    """Arms of one design and their reference, as places among a study's arms."""

    design: Design
    reference: int
    arms: tuple[int, ...]


def questions(arms: Sequence[StudyArm]) -> list[Question]:
    """Return what a study asks, one entry for each design and reference; arms without their reference are left out."""
    return [question for design, answers in ANSWERS.items() for question in _of_design(arms, design, answers)]


def _of_design(arms: Sequence[StudyArm], design: Design, answers: Answers) -> Iterator[Question]:
    asked = [k for k, arm in enumerate(arms) if arm.role is ArmRole.SOURCE and arm.design is design]
    if answers.reference is not None:
        reference = next((k for k, arm in enumerate(arms) if arm.role is answers.reference), None)
        by_reference = {} if reference is None or not asked else {reference: asked}
    else:
        by_reference = _orders(arms, asked)
    for reference, members in by_reference.items():
        yield Question(design, reference, tuple(members))


def _orders(arms: Sequence[StudyArm], asked: Sequence[int]) -> dict[int, list[int]]:
    """Return the orders of phases by what each is fairly compared with: the mixture of the same schedule and size."""
    places = {arms[k].name: k for k in asked}
    found: dict[int, list[int]] = {}
    for name, place in places.items():
        reference = places.get(order_reference(name))
        if reference is not None and reference != place:
            found.setdefault(reference, []).append(place)
    return found


def order_reference(name: str) -> str:
    """Return the mixture that an order of phases is compared with."""
    size = size_mark(name)
    one_schedule = (STAGED_ONE_SCHEDULE, REVERSED_ONE_SCHEDULE)
    return (MIXED if name.removesuffix(size) in one_schedule else MIXED_RESTARTS) + size


def takes_away(arm: StudyArm) -> bool:
    """Say whether an arm has less of its source than its reference, so that a lower score speaks for the source."""
    return arm.design is Design.LEAVE_ONE_OUT or (arm.design is Design.HALVING and not arm.name.startswith(DOUBLED))
