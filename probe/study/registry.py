"""Names to sources and benchmarks: what is registered in the store, and what is built in."""

from __future__ import annotations

import difflib
import importlib.util
from dataclasses import replace
from typing import TYPE_CHECKING

from db.values import BenchmarkRecord, SourceRecord
from probe.errors import ProbeError
from sources.benchmark import BenchmarkSpec, items_fingerprint
from sources.problems import SourceError
from sources.spec import SourceSpec

if TYPE_CHECKING:
    from db.store import Store
    from probe.study.items import BenchmarkReader
    from sources.sampling import SourcePool


def builtin_sources() -> dict[str, SourceSpec]:
    """Return the sources that need no path: easy-VQA's (package `easy-vqa`) and the generated world's."""
    from sources.easy_vqa import easy_vqa_source_specs
    from sources.world import world_source_specs

    return {spec.slug: spec for spec in (*easy_vqa_source_specs(), *world_source_specs())}


def builtin_benchmarks() -> dict[str, BenchmarkSpec]:
    """Return the benchmarks that need no path."""
    from sources.easy_vqa import easy_vqa_benchmark_specs
    from sources.world import world_benchmark_specs

    return {spec.name: spec for spec in (*easy_vqa_benchmark_specs(), *world_benchmark_specs())}


def find_source(store: Store, slug: str) -> SourceSpec:
    """Return the source of a slug: registered, a sub-source of a registered one (`name/sub`), or built in.

    Raises:
        SourceError: nobody knows it, or it is a catalogue source whose data is not here; the message holds the cure.
    """
    from sources.catalogue import resolve_source

    return resolve_source(slug, {record.spec.slug: record.spec for record in store.sources()})


def find_benchmark(store: Store, name: str) -> BenchmarkSpec:
    """Return the benchmark of a name, registered or built in.

    Raises:
        ProbeError: there is none.
    """
    record = store.benchmark(name)
    if record is not None:
        return record.spec
    builtin = builtin_benchmarks()
    if name in builtin:
        return builtin[name]
    known = [*(r.spec.name for r in store.benchmarks()), *builtin]
    raise ProbeError(
        f"there is no benchmark {name!r}{_suggestion(name, known)}; see `probe benchmarks list`, or add one with `probe benchmarks add`."
    )


def default_benchmarks(store: Store, slugs: list[str]) -> list[str]:
    """Return the benchmarks of a new study that names none: all registered ones.

    Built-in sources bring their own built-in benchmarks when none is registered.

    Raises:
        ProbeError: there is none.
    """
    registered = [record.spec.name for record in store.benchmarks()]
    if registered:
        return registered
    families = {slug.split("/")[0] for slug in slugs}
    own = [name for name in builtin_benchmarks() if name.split("/")[0] in families] if families <= {"easy-vqa", "world"} else []
    if not own:
        raise ProbeError(
            "no benchmark is registered: add one with `probe benchmarks add NAME --path FILE.tsv`, "
            "or hold some of your own data out with `probe sources split SOURCE --holdout 0.1`."
        )
    return own


def easy_vqa_installed() -> bool:
    """Say whether the demo's real data is here."""
    return importlib.util.find_spec("easy_vqa") is not None


def source_record(spec: SourceSpec, pool: SourcePool) -> SourceRecord:
    """Return the record of a source as its index found it."""
    excluded = tuple(sorted((problem.value, rows) for problem, rows in pool.excluded.items()))
    return SourceRecord(spec, pool.fingerprint, pool.usable, excluded, pool.content)


def benchmark_record(spec: BenchmarkSpec, reader: BenchmarkReader | None = None) -> BenchmarkRecord:
    """Read a benchmark and split its items by image.

    Raises:
        SourceError: its file cannot be used.
        ProbeError: one half of the split has no item.
    """
    from probe.study.items import BenchmarkReader, split_items
    from sources.answer_rules.scoring import chance

    data = (reader or BenchmarkReader()).read(spec)
    groups, splits = split_items(data.items, data.digests)
    record = BenchmarkRecord(spec, data.fingerprint, len(data.items), groups, splits, chance(spec, data.items))
    check_halves(record)
    return record


def rescored(record: BenchmarkRecord) -> BenchmarkRecord:
    """Return a registered benchmark as its scorer is now; one whose file is gone stays as it was, and fails where it is scored."""
    from sources.answer_rules.scoring import scoring_identity

    if not record.spec.generates:
        return record
    try:
        scoring = scoring_identity(record.spec)
    except SourceError:
        return record
    return replace(record, fingerprint=f"{items_fingerprint(record.fingerprint)}-{scoring}")


def check_halves(record: BenchmarkRecord) -> None:
    """Refuse a benchmark without items to rank by, or without items to confirm on.

    Raises:
        ProbeError: it is one.
    """
    confirming = int(record.splits.sum())
    if 0 < confirming < record.n_items:
        return
    images, half = len(set(record.groups.tolist())), "selection" if confirming == 0 else "confirmation"
    raise ProbeError(
        f"benchmark {record.spec.name} cannot be split: all of its {record.n_items} items ({images} images) fall to {half}, "
        "and both halves need some; give it items on more images."
    )


def register_benchmark(store: Store, spec: BenchmarkSpec) -> BenchmarkRecord:
    """Read a benchmark, split its items by image, and put it into the store.

    Raises:
        SourceError, ProbeError: it cannot be used.
    """
    record = benchmark_record(spec)
    store.put_benchmark(record)
    return record


def _suggestion(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
