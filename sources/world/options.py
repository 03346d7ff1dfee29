"""What can be asked of the generated world: a source's options, parsed and checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from sources.problems import SourceError
from sources.world.captions import CaptionLength
from sources.world.questions import Skill
from sources.world.streams import HELD_OUT, TRAINING

ALL = "all"
NAMES = ("captions", "duplicated", "label_noise", "mismatched", "per_image", "rows", "seed", "skill")
_MOST_ROWS = 10_000_000
_MOST_PER_IMAGE = 16
_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class WorldOptions:
    """A source of the world: what its rows hold, how many there are, and the defects planted in them (shares of rows)."""

    topics: tuple[Skill | CaptionLength, ...]  # a row is about one of them, each equally often
    rows: int = 2000
    seed: int = 0
    per_image: int = 1  # question turns a row; fewer where a scene has not so many different ones
    label_noise: float = 0.0
    mismatched: float = 0.0
    duplicated: float = 0.0
    space: str = TRAINING

    def held_out(self) -> WorldOptions:
        """Return the same over scenes that no source has."""
        return WorldOptions(self.topics, self.rows, self.seed, self.per_image, space=HELD_OUT)


def parse_options(options: Iterable[tuple[str, str]]) -> WorldOptions:
    """Read a spec's options.

    Raises:
        SourceError: an option is unknown or has a value that is not allowed; the message names what is.
    """
    given = dict(options)
    unknown = sorted(set(given) - set(NAMES))
    if unknown:
        raise SourceError(f"the generated world has no option {unknown[0]!r}; it has {', '.join(NAMES)}")
    skills = _several("skill", given.get("skill", ""), Skill)
    captions = _several("captions", given.get("captions", ""), CaptionLength)
    return WorldOptions(
        topics=(*skills, *captions) or tuple(Skill),
        rows=_whole(given, "rows", 2000, 1, _MOST_ROWS),
        seed=_whole(given, "seed", 0, 0, 2**31),
        per_image=_whole(given, "per_image", 1, 1, _MOST_PER_IMAGE),
        label_noise=_share(given, "label_noise"),
        mismatched=_share(given, "mismatched"),
        duplicated=_share(given, "duplicated"),
    )


def _several(name: str, value: str, kind: type[_Choice]) -> tuple[_Choice, ...]:
    allowed = {member.value: member for member in kind}
    if value == ALL:
        return tuple(kind)
    names = [part.strip() for part in value.split(",") if part.strip()]
    for part in names:
        if part not in allowed:
            raise SourceError(f"{name}={value!r} is not known; allowed are {', '.join(allowed)}, several with commas, or {ALL}")
    return tuple(allowed[part] for part in dict.fromkeys(names))


def _whole(given: dict[str, str], name: str, default: int, least: int, most: int) -> int:
    text = given.get(name, str(default))
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise SourceError(f"{name}={text!r} must be a whole number from {least} to {most}")
    return int(text)


def _share(given: dict[str, str], name: str) -> float:
    text = given.get(name, "0")
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SourceError(f"{name}={text!r} must be a share of the rows from 0 to 1")
    return share
