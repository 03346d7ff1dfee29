"""A source's rows as they are now, and which of them are not what they were where that is still known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from probe.manifest.document import SourceEntry
from sources.problems import Problem
from sources.spec import SourceSpec

if TYPE_CHECKING:
    from sources.columns import Array
    from sources.row_changes import RowChanges, RowKeys
    from sources.row_index import RowIndex
    from sources.sampling import SourcePool

Clean = Callable[["SourcePool"], "SourcePool"]
LISTED_ROWS = 1000  # of each problem


@dataclass(frozen=True, slots=True)
class RowsNow:
    """What a source's rows are now: usable, excluded by problem, and the hash of the usable ones' texts and images.

    `changes` are against the rows of the manifest, None where these are not known any more. `excluded_rows` are numbers of rows by
    problem: those that were usable then where that is known, else the first few of all.
    """

    usable: int
    excluded: Mapping[str, int]
    content: str
    changes: RowChanges | None = None
    excluded_rows: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def rows_now(
    spec: SourceSpec,
    entry: SourceEntry,
    cache_dir: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    clean: Clean | None = None,
    again: bool = False,
) -> RowsNow:
    """Read every row and image of a source, unless an index of the same files lies in `cache_dir`: a `read_rows` of `verify_manifest`.

    `clean` takes out what the manifest's study does not draw; with `again` no index is believed.

    Raises:
        SourceError: it cannot be used at all.
    """
    from sources.row_changes import kept_rows
    from sources.sampling import SourcePool

    pool = SourcePool.open(spec, None if again else cache_dir, progress)
    drawn = clean(pool) if clean else pool
    content = "" if (entry.excluded or {}).get("contaminated") else entry.content  # of all rows it is not known then
    before = kept_rows(spec, entry.fingerprint, content, cache_dir, partial(_likely, entry, pool.index, drawn.content))
    changes = _changes(before, pool) if before is not None else None
    excluded = {problem.value: rows for problem, rows in drawn.excluded.items()}
    return RowsNow(drawn.usable, excluded, drawn.content, changes, _excluded_rows(drawn, changes))


def _likely(entry: SourceEntry, now: RowIndex, content_now: str, index: RowIndex, chosen: Array | None) -> bool:
    """Say whether an index may be of the manifest's rows, contaminated ones too: it counts what the manifest does, and is not of others."""
    if entry.content and entry.content != content_now and index.content == now.content:
        return False
    then, known = dict(entry.excluded or {}), {problem.value: rows for problem, rows in index.excluded.items()}
    usable = entry.usable + then.pop("contaminated", 0)
    return usable == (len(index.keys) if chosen is None else len(chosen)) and (entry.excluded is None or known == then)


def _changes(before: RowKeys, pool: SourcePool) -> RowChanges:
    from sources.row_changes import RowKeys, row_changes
    from sources.views import viewed_rows

    return row_changes(before, RowKeys.of(pool.index, viewed_rows(pool.spec, pool.index)))


def _excluded_rows(pool: SourcePool, changes: RowChanges | None) -> dict[str, tuple[int, ...]]:
    """Return the first excluded rows' numbers by problem: of those that were usable then, where that is known."""
    wanted = None if changes is None else set(changes.gone)
    contaminated = () if changes else pool.examples.get(Problem.CONTAMINATED, ())  # these are in no index
    found: dict[str, list[int]] = {Problem.CONTAMINATED.value: [*contaminated]} if contaminated else {}
    for number, problem, _ in pool.excluded_rows() if wanted is None or wanted else ():
        if (wanted is None or number in wanted) and len(numbers := found.setdefault(problem.value, [])) < LISTED_ROWS:
            numbers.append(number)
    return {problem: tuple(numbers) for problem, numbers in found.items()}
