"""Which rows of a source are not what they were: its kept index of then against its index of now, by the rows' keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sources.columns import Array, sorted_digest
from sources.indexing import index_key
from sources.problems import SourceError
from sources.row_index import RowIndex, load_index
from sources.spec import SourceSpec
from sources.views import viewed_rows


@dataclass(frozen=True, slots=True)
class RowKeys:
    """Usable rows in file order: their numbers [rows] and what each says and shows, as a hash [rows]."""

    numbers: Array
    keys: Array

    @classmethod
    def of(cls, index: RowIndex, chosen: Array | None) -> RowKeys:
        """Copy them out of an index, which may be made anew afterwards; `chosen` are places in it, None all."""
        numbers, keys = np.asarray(index.numbers), np.asarray(index.keys.column)
        return cls(numbers.copy(), keys.copy()) if chosen is None else cls(numbers[chosen], keys[chosen])


@dataclass(frozen=True, slots=True)
class RowChanges:
    """Row numbers, ascending: other than they were, no longer there or usable (as numbered then), and new (as numbered now).

    `moved` is the first row that stands in another order, as numbered now; None where the rows of then and now stand in the same order.
    """

    changed: tuple[int, ...]
    gone: tuple[int, ...]
    new: tuple[int, ...]
    moved: int | None


def row_changes(before: RowKeys, after: RowKeys) -> RowChanges:
    """Return what is not as it was. A row is itself wherever it stands; of several that say the same, so many."""
    gone = ~np.isin(before.keys, after.keys)
    new = ~np.isin(after.keys, before.keys)
    lost, found = before.numbers[gone], after.numbers[new]
    changed = np.intersect1d(lost, found)
    turned = np.flatnonzero(before.keys[~gone] != after.keys[~new])
    return RowChanges(
        tuple(changed.tolist()),
        tuple(np.setdiff1d(lost, changed).tolist()),
        tuple(np.setdiff1d(found, changed).tolist()),
        int(after.numbers[~new][turned[0]]) if len(turned) else None,
    )


def kept_rows(
    spec: SourceSpec,
    fingerprint: str,
    content: str,
    cache_dir: Path | None,
    likely: Callable[[RowIndex, Array | None], bool] = lambda index, chosen: True,
) -> RowKeys | None:
    """Return a source's rows as they were at a fingerprint and content, from an index that is still kept; None where none is.

    `content` is that of the view that the source's options take, contaminated rows included; empty where it is not known: then the
    newest index of the fingerprint that is `likely`, told the index and the view's places in it (None: all), and not of a view.
    """
    whole = spec.unviewed() == spec
    for index in _candidates(spec, fingerprint, cache_dir) if cache_dir and (whole or content) else ():
        try:
            chosen = viewed_rows(spec, index)
        except SourceError:  # the view is not of that index
            continue
        if sorted_digest(index.keys.column, chosen) == content if content else likely(index, chosen):
            return RowKeys.of(index, chosen)
    return None


def _candidates(spec: SourceSpec, fingerprint: str, cache_dir: Path) -> Iterator[RowIndex]:
    """Yield the indexes that bear the fingerprint, former ones too; of a view, whose files' fingerprint is not known, all that are kept."""
    key = index_key(spec, fingerprint) if spec.unviewed() == spec else "*"
    former = sorted(cache_dir.glob(f"former-{key}-*"), key=lambda one: one.stat().st_mtime_ns, reverse=True)
    for folder in (*sorted(cache_dir.glob(f"index-{key}")), *former):
        if (index := load_index(folder, "")) is not None:
            yield index
