"""The manifest's counts as rows: drawn with its seed, exactly as many, only such as the trainer can read.

A source that several phases use is drawn once and cut in phase order, so no row comes again before all others were used.
Only the rows' numbers are held: their texts and images are fetched when they are written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from probe.export.report import ExportError, ExportOptions, Mode
from probe.manifest.document import Manifest, SourceEntry
from sources.counted import counted
from sources.problems import Problem
from sources.sample import Sample

if TYPE_CHECKING:
    from sources.sampling import SourcePool

Unreadable = Callable[[Sample], str]  # why a trainer cannot read a sample; empty where it can


@dataclass(frozen=True, slots=True)
class RowNumber:
    """Which row of which source, by its place there; `digest` hashes what it says and shows."""

    source: str
    number: int
    digest: str
    has_image: bool


@dataclass(frozen=True, slots=True)
class DrawnRows:
    """Rows by phase (`phase-1`, ...) and source, in drawn order, and the distinct rows left out by source and reason."""

    phases: Mapping[str, Mapping[str, tuple[RowNumber, ...]]]
    excluded: Mapping[str, Mapping[str, int]]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the rows of each source in each phase."""
        return {phase: {slug: len(rows) for slug, rows in sources.items()} for phase, sources in self.phases.items()}


def requested_counts(doc: Manifest) -> dict[str, dict[str, int]]:
    """Return the manifest's counts by phase (`phase-1`, ...) and source, without zeros."""
    return {
        f"phase-{number}": {slug: count for slug, count in sorted(phase.counts.items()) if count}
        for number, phase in enumerate(doc.phases, start=1)
    }


def draw_rows(doc: Manifest, pools: Mapping[str, SourcePool], options: ExportOptions, seed: int, unreadable: Unreadable) -> DrawnRows:
    """Draw every source's rows for every phase.

    Raises:
        ExportError: a source is missing, is not the manifest's any more, or holds no row that the trainer can read.
    """
    requested = requested_counts(doc)
    phases: dict[str, dict[str, tuple[RowNumber, ...]]] = {phase: {} for phase in requested}
    excluded = {}
    for slug, wanted in sorted(doc.rows().items()):
        if not wanted:
            continue
        rows, reasons = _draw_readable(_pool(doc, pools, slug, options), slug, wanted, seed, options.mode, unreadable)
        if reasons:
            excluded[slug] = reasons
        for phase, counts in requested.items():
            share, rows = rows[: counts.get(slug, 0)], rows[counts.get(slug, 0) :]
            if share:
                phases[phase][slug] = tuple(share)
    return DrawnRows(phases, excluded)


def _pool(doc: Manifest, pools: Mapping[str, SourcePool], slug: str, options: ExportOptions) -> SourcePool:
    pool = pools.get(slug)
    if pool is None:
        raise ExportError(f"source {slug} is not registered here: add it with `probe sources add {slug} --path ...`")
    if not options.changed_sources and (what := what_changed(doc.source(slug), pool)):
        raise ExportError(
            f"source {slug} is not what the manifest was decided on ({what}): `probe manifest verify` names the rows; restore it, decide "
            "again, or export it as it is now with --changed-sources"
        )
    return pool


def what_changed(entry: SourceEntry, pool: SourcePool) -> str:
    """Say how a source differs from what a manifest was decided on: its files, or what its rows say and show; empty where it does not."""
    if pool.fingerprint != entry.fingerprint:
        return "its fingerprint is another"
    return "its rows say or show something else" if entry.content and pool.content != entry.content else ""


def _draw_readable(
    pool: SourcePool, slug: str, wanted: int, seed: int, mode: Mode, unreadable: Unreadable
) -> tuple[list[RowNumber], dict[str, int]]:
    """Walk the source's order until enough rows can be read; without repeats, through the source once at most."""
    readable: list[RowNumber] = []
    seen: dict[int, tuple[RowNumber, str]] = {}
    rejected: dict[int, Problem] = {}
    for row in pool.order(seed, rejected):
        if again := row.number in seen:
            if not readable:
                raise ExportError(_nothing_readable(slug, _reasons(seen, rejected)))
            if mode is Mode.ONCE:
                break
        else:
            seen[row.number] = RowNumber(slug, row.number, row.digest, bool(row.sample.images)), unreadable(row.sample)
        known, why = seen[row.number]
        if not why:
            readable.append(known)
        if len(readable) == wanted or (mode is Mode.ONCE and not again and len(seen) + len(rejected) == pool.usable):
            break
    if not readable:
        raise ExportError(_nothing_readable(slug, _reasons(seen, rejected)))
    return readable, _reasons(seen, rejected)


def _reasons(seen: Mapping[int, tuple[RowNumber, str]], rejected: Mapping[int, Problem]) -> dict[str, int]:
    reasons = Counter(why for _, why in seen.values() if why)
    return dict(sorted(reasons.items())) | dict(sorted(Counter(problem.value for problem in rejected.values()).items()))


def _nothing_readable(slug: str, reasons: Mapping[str, int]) -> str:
    why = "; ".join(f"{counted(rows, 'row')}: {reason}" for reason, rows in reasons.items()) or "nothing could be drawn"
    cure = "repair it, export for another trainer, or decide on a mixture without it"
    return f"source {slug} has no row that this trainer can read ({why}): {cure}"
