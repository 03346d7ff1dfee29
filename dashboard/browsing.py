"""Walking a source's usable rows: opened once, in a seeded random order, a page at a time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from dashboard.decorators import kept_values
from db.values import SourceRecord
from sources.problems import SourceError
from sources.sampling import SourcePool

ROWS_A_PAGE = 6
EVERY = "(all)"


def open_pool(record: SourceRecord, indexes: Path) -> SourcePool | str:
    """Return the source's pool, or the sentence that says why it cannot be read. The first time, every row is checked."""
    try:
        return _pool(record.spec.slug, record.fingerprint, repr(record.spec.options), record, indexes)
    except SourceError as error:
        return str(error)
    except OSError as error:
        return f"the data cannot be read ({error.strerror}): see where it lies"


@kept_values(entries=8, says="Reading the source; its index is kept for the next time ...")
def _pool(slug: str, fingerprint: str, options: str, _record: SourceRecord, _indexes: Path) -> SourcePool:
    return SourcePool.open(_record.spec, _indexes)


def subsources(pool: SourcePool) -> list[str]:
    """Return what can be looked at: everything, and each sub-source where there are several."""
    return [EVERY, *sorted(pool.subsources)] if len(pool.subsources) > 1 else [EVERY]


def shown_subsource(name: str) -> str:
    """Return a sub-source as people read it."""
    return "All" if name == EVERY else name or "(without a name)"


def shuffled(pool: SourcePool, part: str, seed: int) -> list[int]:
    """Return the numbers of usable rows of a sub-source in an order that depends on the seed alone."""
    strata = dict(zip(pool.index.numbers, pool.index.strata, strict=True))
    numbers = [number for number in pool.numbers() if part in (EVERY, pool.index.names[strata[number]])]
    random.Random(seed).shuffle(numbers)
    return numbers


def page_count(numbers: Sequence[int]) -> int:
    """Return how many pages there are, at least one."""
    return max(1, -(-len(numbers) // ROWS_A_PAGE))


def on_page(numbers: Sequence[int], page: int) -> Sequence[int]:
    """Return the rows of a page, counted from 1."""
    return numbers[(page - 1) * ROWS_A_PAGE : page * ROWS_A_PAGE]
