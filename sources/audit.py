"""Reading every image of a source that its index did not decode, and what can be said of the others where nobody does.

An audit changes no draw: what it finds is left out when it is drawn, audit or not. It is kept beside the index and goes on where it was
interrupted.
"""

from __future__ import annotations

import heapq
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sources.columns import HASH, Array, append, blocks, column, number_distinct
from sources.index_images import check_images
from sources.index_rows import Reasons
from sources.parts import Progress
from sources.problems import Problem
from sources.reader import Rows
from sources.row_index import RowIndex, places_of
from sources.sampling import SourcePool
from sources.whole_files import write_whole

LEVEL = 0.95
ExcludedRow = tuple[int, Problem, str]


@dataclass(slots=True)
class Audit:
    """What reading all images found: how many were read, how many are bad, and the rows that go with them."""

    images: int = 0
    bad_images: int = 0
    rows: list[ExcludedRow] = field(default_factory=list)

    def rows_of(self, pool: SourcePool) -> list[ExcludedRow]:
        """Return the rows that are in a pool."""
        if not self.rows:
            return []
        found = np.isin(np.array([row[0] for row in self.rows]), np.asarray(pool.numbers()))
        return [row for row, mine in zip(self.rows, found.tolist(), strict=True) if mine]


def bad_share_at_most(bad: int, looked_at: int, level: float = LEVEL) -> float:
    """Return the upper confidence bound of a share of which `bad` were seen among `looked_at` drawn at random.

    One-sided, exact: Clopper and Pearson 1934, "The use of confidence or fiducial limits illustrated in the case of the binomial";
    with none bad, about 3 / looked_at. Drawn without replacement the bound holds all the more.
    """
    from scipy.stats import beta

    return 1.0 if bad >= looked_at else float(beta.ppf(level, bad + 1, looked_at - bad))


def audit_images(rows: Rows, index: RowIndex, jobs: int = 1, progress: Progress | None = None) -> Audit:
    """Decode every image that the index did not, each distinct one once.

    Raises:
        SourceError: a process ended early; what is finished is kept.
    """
    if index.decoded_to is None:
        return Audit()
    names, reasons, bad_names = column(index.folder / "names", HASH), Reasons(), {}
    folder = index.folder / "audit"
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="probe-audit-") as work:
        wanted = _undecoded(index, names, index.decoded_to, Path(work))
    for ids, _, found in check_images(rows, folder, "audit", index.folder, wanted, True, jobs, progress):
        for image, problem in zip(ids, found, strict=True):
            if problem:
                bad_names[bytes(names[image])] = reasons.number(*problem)
    images = np.zeros(len(names), dtype=np.int32)
    for start, stop in blocks(len(names)) if bad_names else ():
        block = names[start:stop]
        for at in np.flatnonzero(np.isin(block, np.array(list(bad_names), dtype=HASH))):
            images[start + at] = bad_names[bytes(block[at])]
    return Audit(len(wanted), len(bad_names), list(_rows_of(index, images, reasons)) if bad_names else [])


def _undecoded(index: RowIndex, names: Array, decoded_to: bytes, work: Path) -> Array:
    """Return the first image of each name that is good and was not decoded, as a column in a file."""
    why, last = column(index.folder / "reasons", np.int32), np.array(decoded_to, dtype=HASH)
    for start, stop in blocks(len(names)):
        block = names[start:stop]
        at = np.flatnonzero((block > last) & (why[start:stop] == 0))
        append(work / "images", start + at)
        append(work / "names", block[at])
    number_distinct(work / "names", work / "numbers", work / "table", work / "first")
    images, first = column(work / "images", np.int64), column(work / "first", np.int64)
    for start, stop in blocks(len(first)):
        append(work / "wanted", images[first[start:stop]])
    return column(work / "wanted", np.int64)


def _rows_of(index: RowIndex, bad: Array, reasons: Reasons) -> Iterator[ExcludedRow]:
    counts, images = column(index.folder / "counts", np.int32), column(index.folder / "place_images", np.int32)
    begins = column(index.folder / "begins", np.int64)
    for start, stop in blocks(len(counts)):
        several = np.array(counts[start:stop])
        row = np.repeat(np.arange(stop - start), several)
        found = bad[images[places_of(begins[start:stop], several)]]
        at = np.flatnonzero(found)
        rows, first = np.unique(row[at], return_index=True)
        for offset, reason in zip(rows.tolist(), found[at[first]].tolist(), strict=True):
            yield int(index.numbers[start + offset]), *reasons[reason]


def write_fix_list(pool: SourcePool, file: Path, audit: Audit | None = None) -> int:
    """Write every excluded row as a JSON line, in the order of rows, the file whole or not at all; return how many there are.

        {"row": 17, "id": "000123", "problem": "missing_image", "detail": "No such file or directory"}

    `id` is null where the record could not be read.
    """
    found = 0

    def write(path: Path) -> None:
        nonlocal found
        with path.open("w", encoding="ascii") as out:
            for number, problem, detail in heapq.merge(pool.excluded_rows(), audit.rows_of(pool) if audit else []):
                sample = pool.rows.get(number).sample
                line = {"row": number, "id": sample.id if sample else None, "problem": problem.value, "detail": detail}
                out.write(json.dumps(line) + "\n")
                found += 1

    write_whole(file, write)
    return found
