"""Sources as a study draws from them: without the rows that hold an item of a benchmark that it keeps itself clean of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from db.values import StudyRecord
from probe.study.draws import Draws
from probe.study.registry import find_benchmark, find_source
from sources.benchmark import BenchmarkSpec
from sources.sampling import SourcePool
from sources.spec import SourceSpec

if TYPE_CHECKING:
    from db.store import Store
    from sources.benchmark_data import BenchmarkData
    from sources.overlap.contamination import Contamination

Progress = Callable[[int, int], None]


class Cleaner:
    """Benchmarks to keep sources clean of; each is read once, and nothing is where what was found before is kept in `cache_dir`."""

    def __init__(self, specs: Sequence[BenchmarkSpec], cache_dir: Path | None) -> None:
        self._specs = specs
        self._cache_dir = cache_dir
        self._read: dict[str, BenchmarkData] = {}

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
        from sources.overlap.contamination import contaminated_rows

        found = []
        for spec in self._specs:
            data = self._data(spec)
            found.append(contaminated_rows(pool, spec.name, data.fingerprint, data.items, self._cache_dir, progress))
        return found

    def _data(self, spec: BenchmarkSpec) -> BenchmarkData:
        from sources.benchmark_data import read_benchmark

        if spec.name not in self._read:
            self._read[spec.name] = read_benchmark(spec)
        return self._read[spec.name]


def study_draws(store: Store, study: StudyRecord, cache_dir: Path | None, find: Callable[[str], SourceSpec] | None = None) -> Draws:
    """Return a study's draws, clean of its benchmarks.

    Raises:
        ProbeError: it is clean of a benchmark that nobody knows any more.
    """
    cleaner = cleaner_of(store, study.clean_of, cache_dir)
    return Draws(study, find or (lambda slug: find_source(store, slug)), cache_dir, cleaner.clean if study.clean_of else None)


def cleaner_of(store: Store, benchmarks: Sequence[str], cache_dir: Path | None) -> Cleaner:
    """Return the cleaner for benchmarks by name.

    Raises:
        ProbeError: nobody knows one of them.
    """
    return Cleaner([find_benchmark(store, name) for name in benchmarks], cache_dir)
