"""Which rows of a sample another source holds too, found while that source's rows pass by one after another.

A row waits under each image and text that it could be found by, and no longer once it was: so a pass costs what it finds, however many
rows share an image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RowFacts:
    """What is compared of a row: the hashes of its images, of a long text, and of its questions with their answers."""

    number: int
    images: tuple[str, ...]
    text: str  # of the words of a long conversation, else empty
    pairs: frozenset[str]


class Hits:
    """Rows of a sample, each with the number of the first row met that it shares an image, a long text, or image and answer with.

    `same` says which images of the other source each image of the sample is the same as. Inside one source a row is not its own copy,
    and an image that two rows share in the same bytes is none.
    """

    def __init__(self, mine: Sequence[RowFacts], same: Mapping[str, set[str]], inside: bool) -> None:
        self._mine = mine
        self._inside = inside
        self.by_image: list[int | None] = [None] * len(mine)
        self.by_text: list[int | None] = [None] * len(mine)
        self.by_both: list[int | None] = [None] * len(mine)
        self._image: dict[str, dict[int, None]] = {}
        self._text: dict[str, dict[int, None]] = {}
        self._both: dict[tuple[str, str], dict[int, None]] = {}
        for place, row in enumerate(mine):
            for twin in {twin for digest in row.images for twin in same.get(digest, ())}:
                if not inside or twin not in row.images:
                    self._image.setdefault(twin, {})[place] = None
                for pair in row.pairs:
                    self._both.setdefault((twin, pair), {})[place] = None
            if row.text:
                self._text.setdefault(row.text, {})[place] = None

    def meet(self, other: RowFacts) -> None:
        """Note which rows of the sample a row of the other source holds."""
        for digest in other.images:
            self._take(self._image.get(digest), self.by_image, other, copied=True)
            for pair in other.pairs:
                self._take(self._both.get((digest, pair)), self.by_both, other)
        self._take(self._text.get(other.text), self.by_text, other)

    def examples(self, most: int) -> tuple[tuple[int, int], ...]:
        """Return pairs of row numbers, of the sample and of the other source."""
        found = (self.by_image, self.by_text, self.by_both)
        pairs = [(row.number, hit[place]) for place, row in enumerate(self._mine) for hit in found]
        return tuple(dict.fromkeys((number, hit) for number, hit in pairs if hit is not None))[:most]

    def _take(self, waiting: dict[int, None] | None, hits: list[int | None], other: RowFacts, copied: bool = False) -> None:
        if waiting is None:
            return
        for place in list(waiting):
            row = self._mine[place]
            if self._inside and (row.number == other.number or (copied and set(row.images) & set(other.images))):
                continue
            hits[place] = other.number if hits[place] is None else hits[place]
            del waiting[place]
