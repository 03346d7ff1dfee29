"""Sources as a study draws from them: without the rows that hold an item of a benchmark that it keeps itself clean of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from db.values import BenchmarkRecord, StudyRecord
from probe.study.draws import Draws
from probe.study.items import BenchmarkReader
from probe.study.registry import find_benchmark, find_source
from sources.benchmark import BenchmarkSpec, Item, items_fingerprint
from sources.problems import SourceError
from sources.sampling import SourcePool
from sources.spec import SourceSpec

if TYPE_CHECKING:
    from db.store import Store
    from sources.overlap.contamination import Contamination

Progress = Callable[[int, int], None]


class Cleaner:
    """Benchmarks to keep sources clean of; one is read only where what it found before is not kept in `cache_dir`.

    `specs` come with the fingerprint that is registered, or nothing for a benchmark that is not. Only items count: a scorer may change.
    """

    def __init__(self, specs: Sequence[tuple[BenchmarkSpec, str]], cache_dir: Path | None, reader: BenchmarkReader | None = None) -> None:
        self._specs = specs
        self._cache_dir = cache_dir
        self._reader = reader or BenchmarkReader()

    def clean(self, pool: SourcePool, progress: Progress | None = None) -> SourcePool:
        """Return a source without the rows that hold an item.

        Raises:
            SourceError: nothing is left, or a benchmark or a row cannot be read.
        """
        return pool.without({number for found in self.findings(pool, progress) for number in found.numbers})

    def findings(self, pool: SourcePool, progress: Progress | None = None) -> list[Contamination]:
        """Return what of each benchmark a source holds.

        Raises:
            SourceError: a benchmark or a row cannot be read.
        """
        from sources.overlap.contamination import Held, contaminated_rows

        asked = [
            Held(spec.name, items_fingerprint(registered or self._reader.read(spec).fingerprint), partial(self._items, spec, registered))
            for spec, registered in self._specs
        ]
        return contaminated_rows(pool, asked, self._cache_dir, progress)

    def _items(self, spec: BenchmarkSpec, registered: str) -> tuple[Item, ...]:
        data = self._reader.read(spec)
        if registered and items_fingerprint(data.fingerprint) != items_fingerprint(registered):
            raise SourceError(f"Benchmark {spec.name} changed since it was registered; put it back, or add it under another name")
        return data.items


def readable(records: Sequence[BenchmarkRecord], reader: BenchmarkReader) -> tuple[tuple[str, ...], list[str]]:
    """Return the names of the benchmarks that are as they were registered, and a sentence for each of the others."""
    names, told = [], []
    for record in records:
        try:
            same = items_fingerprint(reader.read(record.spec).fingerprint) == items_fingerprint(record.fingerprint)
        except SourceError:
            same = False
        if same:
            names.append(record.spec.name)
        else:
            told.append(f"Benchmark {record.spec.name} cannot be read as it was, so rows that hold its items are not looked for.")
    return tuple(names), told


def study_draws(
    store: Store,
    study: StudyRecord,
    cache_dir: Path | None,
    find: Callable[[str], SourceSpec] | None = None,
    reader: BenchmarkReader | None = None,
) -> Draws:
    """Return a study's draws, clean of its benchmarks.

    Raises:
        ProbeError: it is clean of a benchmark that nobody knows any more.
    """
    cleaner = cleaner_of(store, study.clean_of, cache_dir, reader)
    return Draws(study, find or (lambda slug: find_source(store, slug)), cache_dir, cleaner.clean if study.clean_of else None)


def cleaner_of(store: Store, benchmarks: Sequence[str], cache_dir: Path | None, reader: BenchmarkReader | None = None) -> Cleaner:
    """Return the cleaner for benchmarks by name.

    Raises:
        ProbeError: nobody knows one of them.
    """
    records = ((find_benchmark(store, name), store.benchmark(name)) for name in benchmarks)
    return Cleaner([(spec, record.fingerprint if record else "") for spec, record in records], cache_dir, reader)
