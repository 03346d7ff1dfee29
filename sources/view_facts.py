"""What the rows of a view are together: images a row, distinct and repeated ones. Of a whole source its index says so; of a part of it,
columns are gone through a block at a time."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sources.columns import Array, append, blocks, column, count_distinct, temporary_mask
from sources.row_index import RowIndex, places_of


@dataclass(frozen=True, slots=True)
class ViewFacts:
    """Numbers of the usable rows of a view.

    `duplicate_rows` are copies of a row of the view; `duplicate_images` have the name of another one under another path.
    """

    images_per_row: Counter[int]
    distinct_images: int
    duplicate_images: int
    duplicate_rows: int


def view_facts(index: RowIndex, chosen: Array | None) -> ViewFacts:
    """Return the facts of some usable rows, by their places in the index; None: of all."""
    if chosen is None:
        return ViewFacts(index.images_per_row, index.distinct_images, index.duplicate_images, index.duplicate_rows)
    per_row: Counter[int] = Counter()
    counts, begins = column(index.folder / "counts", np.int32), column(index.folder / "begins", np.int64)
    images, used = column(index.folder / "place_images", np.int32), temporary_mask(index.images)
    for start, stop in blocks(len(chosen)):
        rows = chosen[start:stop]
        values, times = np.unique(counts[rows], return_counts=True)
        per_row.update(dict(zip(values.tolist(), times.tolist(), strict=True)))
        used[images[places_of(begins[rows], counts[rows])]] = True
    n, distinct = _named(index.image_names.column, used)
    return ViewFacts(per_row, distinct, n - distinct, _copies(index, chosen))


def _named(names: Array, used: Array) -> tuple[int, int]:
    """Return how many images are used, and how many different names they have."""
    with tempfile.TemporaryDirectory(prefix="probe-names-") as folder:
        held, n = Path(folder) / "names", 0
        for start, stop in blocks(len(names)):
            some = names[start:stop][used[start:stop]]
            n += len(some)
            append(held, some)
        return n, count_distinct(held)


def _copies(index: RowIndex, chosen: Array) -> int:
    """Return how many of the chosen rows are copies of another one of them."""
    there, found, without = temporary_mask(len(index.numbers)), 0, set[int]()
    for start, stop in blocks(len(chosen)):
        there[chosen[start:stop]] = True
    for places, first in _pairs(index):
        held = there[places]
        found += int(held.sum())
        without.update(first[held & ~there[first]].tolist())  # one row of each such kind is no copy in this view
    return found - len(without)


def _pairs(index: RowIndex) -> Iterator[tuple[Array, Array]]:
    pairs = column(index.folder / "repeats", np.int64).reshape(-1, 2)
    for start, stop in blocks(len(pairs)):
        yield pairs[start:stop, 0], pairs[start:stop, 1]
