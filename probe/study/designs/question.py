"""What every design is given and gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from db.values import Arm, StudyRecord
from probe.study.request import RunRequest
from sources.mixture import Mixture


@dataclass(frozen=True, slots=True)
class Unit:
    """What a design asks about: one source under its own name, or a group of sources as a mixture in proportion to their usable rows."""

    name: str
    mixture: Mixture

    def slugs(self) -> set[str]:
        """Return its sources."""
        return {slug for slug, _ in self.mixture.shares}


@dataclass(frozen=True, slots=True)
class Question:
    """What a run asks of its study: the units, how many repeats, and the arms that the study has already.

    `base` is the study's base mixture, in which a source stands for its parts wherever a unit is one of them.
    """

    study: StudyRecord
    request: RunRequest
    units: tuple[Unit, ...]
    base: Mixture
    seeds: int = 3
    known: tuple[Arm, ...] = ()


@dataclass(frozen=True, slots=True)
class AskedArm:
    """An arm that answers a question, its references included; `repeats` where it gets others than the run's."""

    arm: Arm
    repeats: int | None = None


class DesignArms(Protocol):
    """A design: from a question to the arms that answer it.

    Raises:
        UsageError: the question cannot be asked that way.
    """

    def __call__(self, question: Question) -> Sequence[AskedArm]:
        """Return the arms, references first."""
        ...
