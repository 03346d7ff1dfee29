"""A source's rows as they are now, and which of them are not what they were where that is still known."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from probe.manifest.document import SourceEntry
from sources.spec import SourceSpec

if TYPE_CHECKING:
    from sources.row_changes import RowChanges, RowKeys
    from sources.sampling import SourcePool

Clean = Callable[["SourcePool"], "SourcePool"]
_NUMBERS = 100  # of rows, kept of each problem


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

    content = "" if (entry.excluded or {}).get("contaminated") else entry.content  # of all rows it is not known then
    before = kept_rows(spec, entry.fingerprint, content, cache_dir)  # first: reading again replaces it
    pool = SourcePool.open(spec, None if again else cache_dir, progress)
    changes = _changes(before, pool) if before is not None else None
    drawn = clean(pool) if clean else pool
    excluded = {problem.value: rows for problem, rows in drawn.excluded.items()}
    return RowsNow(drawn.usable, excluded, drawn.content, changes, _excluded_rows(drawn, changes))


def _changes(before: RowKeys, pool: SourcePool) -> RowChanges:
    from sources.row_changes import RowKeys, row_changes
    from sources.views import viewed_rows

    return row_changes(before, RowKeys.of(pool.index, viewed_rows(pool.spec, pool.index)))


def _excluded_rows(pool: SourcePool, changes: RowChanges | None) -> dict[str, tuple[int, ...]]:
    if changes is None:
        return {problem.value: tuple(numbers) for problem, numbers in pool.examples.items()}
    return _first_of(pool, set(changes.gone))


def _first_of(pool: SourcePool, wanted: Collection[int]) -> dict[str, tuple[int, ...]]:
    found: dict[str, list[int]] = {}
    for number, problem, _ in pool.index.excluded_rows() if wanted else ():
        if number in wanted and len(numbers := found.setdefault(problem.value, [])) < _NUMBERS:
            numbers.append(number)
    return {problem: tuple(numbers) for problem, numbers in found.items()}
