"""The manifest's counts as rows: drawn with its seed, exactly as many, only such as the trainer can read.

A source that several phases use is drawn once and cut in phase order, so no row comes again before all others were used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from probe.export.report import ExportError, ExportOptions, Mode
from probe.manifest.document import Manifest
from sources.sample import Sample

if TYPE_CHECKING:
    from sources.sampling import DrawnRow, SourcePool

Unreadable = Callable[[Sample], str]  # why a trainer cannot read a sample; empty where it can


@dataclass(frozen=True, slots=True)
class DrawnRows:
    """Rows by phase (`phase-1`, ...) and source, in drawn order, and the distinct rows left out by source and reason."""

    phases: Mapping[str, Mapping[str, tuple[DrawnRow, ...]]]
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
    phases: dict[str, dict[str, tuple[DrawnRow, ...]]] = {phase: {} for phase in requested}
    excluded = {}
    for slug, wanted in sorted(doc.rows().items()):
        if not wanted:
            continue
        pool = _pool(doc, pools, slug, options)
        rows, reasons = _draw_readable(pool, slug, wanted, seed, options.mode, unreadable)
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
    if pool.fingerprint != doc.source(slug).fingerprint and not options.changed_sources:
        raise ExportError(
            f"source {slug} is not what the manifest was decided on: run `probe manifest verify`, restore it, or decide again"
        )
    return pool


def _draw_readable(
    pool: SourcePool, slug: str, wanted: int, seed: int, mode: Mode, unreadable: Unreadable
) -> tuple[list[DrawnRow], dict[str, int]]:
    """Draw more until enough of the drawn rows can be read; without repeats, as many as there are."""
    most = pool.usable if mode is Mode.ONCE else None
    budget = wanted
    while True:
        budget = budget if most is None else min(budget, most)
        draw = pool.draw(budget, seed)
        drawn = draw.rows
        readable, reasons = _sift(drawn, wanted, mode, unreadable)
        reasons |= {problem.value: rows for problem, rows in sorted(draw.rejected.items())}
        if len(readable) == wanted or (most is not None and budget == most):
            return readable, reasons
        if not readable and (not drawn or len(drawn) >= pool.usable):
            why = "; ".join(f"{rows} rows: {reason}" for reason, rows in reasons.items()) or "nothing could be drawn"
            raise ExportError(f"source {slug} has no row that this trainer can read ({why}): leave it out of the mixture, or repair it")
        missing = wanted - len(readable)
        budget += missing * -(-len(drawn) // max(1, len(readable))) + 1


def _sift(drawn: tuple[DrawnRow, ...], wanted: int, mode: Mode, unreadable: Unreadable) -> tuple[list[DrawnRow], dict[str, int]]:
    readable: list[DrawnRow] = []
    verdicts: dict[int, str] = {}
    for row in drawn:
        if len(readable) == wanted or (mode is Mode.ONCE and row.number in verdicts):
            break
        if row.number not in verdicts:
            verdicts[row.number] = unreadable(row.sample)
        if not verdicts[row.number]:
            readable.append(row)
    return readable, dict(sorted(Counter(reason for reason in verdicts.values() if reason).items()))
