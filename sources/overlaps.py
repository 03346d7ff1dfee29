"""Which sources of the catalogue are known to hold the same rows or images."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


class OverlapKind(enum.StrEnum):
    """What two sources share."""

    CONTAINS = "contains"  # all rows of `b` are in `a`
    ROWS = "rows"  # some rows are in both
    IMAGES = "images"  # some images are in both, with other texts


@dataclass(frozen=True, slots=True)
class Overlap:
    """One known overlap of `a` and `b`, in words, and where that is said. `read`: it was seen there."""

    a: str
    b: str
    kind: OverlapKind
    words: str
    link: str
    read: bool

    def other(self, slug: str) -> str:
        """Return the source that `slug` overlaps with."""
        return self.b if slug == self.a else self.a

    def seen_from(self, slug: str) -> str:
        """Say it from one side, in a few words."""
        if self.kind is OverlapKind.CONTAINS:
            return f"{'contains' if slug == self.a else 'is part of'} {self.other(slug)}"
        return f"shares {self.kind.value} with {self.other(slug)}"


def overlaps_of(slug: str) -> tuple[Overlap, ...]:
    """Return the overlaps of one source, in the catalogue's order."""
    from sources.catalogue_file import catalogue_files

    return tuple(overlap for overlap in catalogue_files().overlaps if slug in (overlap.a, overlap.b))


def with_parts(slugs: Iterable[str]) -> dict[str, str]:
    """Return sources and all that they contain, each with the one it was reached from (itself for those given)."""
    found = {slug: slug for slug in slugs}
    waiting = list(found)
    while waiting:
        whole = waiting.pop(0)
        for part in _parts(whole):
            if part not in found:
                found[part] = found[whole]
                waiting.append(part)
    return found


def _parts(slug: str) -> Iterator[str]:
    return (overlap.b for overlap in overlaps_of(slug) if overlap.kind is OverlapKind.CONTAINS and overlap.a == slug)
