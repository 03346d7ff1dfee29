"""What `probe sources overlap` finds and prints: rows that sources share, and rows that hold a benchmark's items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from probe.cli.output import counting, estimate_json, interval, plain
from probe.cli.row_names import row_name
from probe.errors import UsageError
from probe.study.overlap_files import KeptOverlap, keep_overlaps
from probe.workspace import Workspace
from sources.counted import counted
from sources.estimate import Estimate

if TYPE_CHECKING:
    from sources.overlap.contamination import Contamination
    from sources.overlap.shares import Overlap
    from sources.sampling import SourcePool

COLUMNS = ("source", "with", "kind", "rows", "by image", "by text", "by both")
EXAMPLES = 3  # of each comparison that are told


def overlap_rows(workspace: Workspace, slugs: Sequence[str], benchmarks: Sequence[str], rows: int) -> list[dict[str, Any]]:
    """Compare sources with themselves, with each other both ways, and with benchmarks: by default all that are registered.

    One source that is named alone is looked for in all others. What is found is kept for the Source page.

    Raises:
        UsageError: there is no source to compare.
        ProbeError, SourceError: one is not known or cannot be used.
    """
    from probe.study.decontamination import cleaner_of
    from probe.study.registry import find_source
    from sources.overlap.shares import overlap
    from sources.sampling import SourcePool

    with workspace.look() as store:
        every = [record.spec.slug for record in store.sources()]
        names = list(dict.fromkeys(slugs or every))
        if not names:
            raise UsageError("no source is registered: name the sources to compare, or add one with `probe sources add`.")
        cleaner = cleaner_of(store, list(benchmarks) or [record.spec.name for record in store.benchmarks()], workspace.indexes)
        against = names if len(names) > 1 else list(dict.fromkeys((*names, *every)))
        specs = [find_source(store, name) for name in against]
        with counting("reading sources") as progress:
            others = [SourcePool.open(spec, workspace.indexes, progress) for spec in specs]
        pools = others[: len(names)]
        with counting("comparing") as progress:
            found = [_shared(one, other, overlap(one, other, workspace.indexes, progress, rows)) for one, other in product(pools, others)]
            held = [_held(pool, finding) for pool in pools for finding in cleaner.findings(pool, progress)]
        sources = {pool.spec.slug: pool.fingerprint for pool in others}
        registered = {record.spec.name: record.fingerprint for record in store.benchmarks()}
    kept = [_kept(row, sources[row["source"]], sources[row["with"]]) for row in found]
    kept += [_kept(row, sources[row["source"]], registered[row["with"]]) for row in held if row["with"] in registered]
    keep_overlaps(workspace.overlaps, kept)
    return found + held


def _kept(row: Mapping[str, Any], fingerprint: str, other: str) -> KeptOverlap:
    by_image, by_text, by_both = (row[name] and Estimate(**row[name]) for name in ("by_image", "by_text", "by_both"))
    data = (row["source"], row["with"], row["kind"], fingerprint, other, row["rows"])
    return KeptOverlap(*data, by_image, by_text, by_both, row["excluded"], tuple(row["told"]))


def example_lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what the examples are, under the names of what was compared."""
    for row in rows:
        if row["told"]:
            yield ""
            yield (
                f"for example, inside {row['source']}:" if row["kind"] == "inside" else f"for example, {row['source']} with {row['with']}:"
            )
            yield from (f"  {line}" for line in row["told"])


def _shared(pool: SourcePool, other: SourcePool, found: Overlap) -> dict[str, Any]:
    pairs = dict.fromkeys(tuple(sorted(pair)) if pool is other else pair for pair in found.examples)  # inside, both are of one source
    return {
        "source": found.source,
        "with": found.other,
        "kind": "inside" if found.source == found.other else "source",
        "rows": found.rows,
        "by_image": estimate_json(found.by_image),
        "by_text": estimate_json(found.by_text),
        "by_both": estimate_json(found.by_both),
        "excluded": 0,
        "examples": [list(pair) for pair in found.examples],
        "told": [f"{row_name(pool, a)} = {row_name(other, b)}" for a, b in list(pairs)[:EXAMPLES]],
        "by image": interval(found.by_image, signed=False),
        "by text": interval(found.by_text, signed=False),
        "by both": interval(found.by_both, signed=False),
    }


def _held(pool: SourcePool, found: Contamination) -> dict[str, Any]:
    return {
        "source": found.source,
        "with": found.benchmark,
        "kind": "benchmark",
        "rows": found.rows,
        "by_image": None,
        "by_text": None,
        "by_both": None,
        "excluded": len(found.numbers),
        "examples": [list(pair) for pair in found.examples],
        "told": [f"{row_name(pool, row)} holds item {plain(item)} of {found.benchmark}" for row, item in found.examples[:EXAMPLES]],
        "by image": "-",
        "by text": counted(len(found.by_text), "row"),
        "by both": counted(len(found.by_item), "row"),
    }
