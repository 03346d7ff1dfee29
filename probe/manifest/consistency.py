"""What a JSON Schema cannot say: that the numbers of a manifest agree with each other."""

from __future__ import annotations

import math
from collections.abc import Iterator

from probe.manifest.document import Manifest, PhaseEntry, SourceEntry
from sources.counted import counted
from sources.mixture import largest_remainder

SUM_TOLERANCE = 1e-6


def contradictions(doc: Manifest) -> list[str]:
    """Return what does not agree, one sentence each; empty when all does."""
    return [*_about_phases(doc), *_about_sources(doc), *_about_budget(doc)]


def _about_phases(doc: Manifest) -> Iterator[str]:
    known = {entry.slug for entry in doc.sources}
    if abs(math.fsum(phase.share for phase in doc.phases) - 1) > SUM_TOLERANCE:
        yield "the phases' shares do not sum to 1"
    for phase in doc.phases:
        if abs(math.fsum(phase.weights.values()) - 1) > SUM_TOLERANCE:
            yield f"the weights of phase {phase.name} do not sum to 1"
        if strangers := sorted({*phase.weights, *phase.counts} - known):
            yield f"phase {phase.name} names {strangers[0]}, which is not among the sources"
        if unweighted := sorted(slug for slug, count in phase.counts.items() if count and not phase.weights.get(slug)):
            yield f"phase {phase.name} counts rows of {unweighted[0]} without a weight for it"


def _about_sources(doc: Manifest) -> Iterator[str]:
    slugs = [entry.slug for entry in doc.sources]
    if len(set(slugs)) != len(slugs):
        yield "a source is listed twice"
    rows = doc.rows()
    total = sum(rows.values())
    for entry in doc.sources:
        if entry.rows != rows.get(entry.slug, 0):
            yield f"source {entry.slug} says {counted(entry.rows, 'row')}, its phases count {rows.get(entry.slug, 0)}"
        elif total and abs(entry.share - entry.rows / total) > SUM_TOLERANCE:
            yield f"source {entry.slug} says a share of {entry.share:.4f} of the rows, its counts make {entry.rows / total:.4f}"
        yield from _about_reading(entry)
        if entry.rows and not entry.usable:
            yield f"source {entry.slug} has no usable row"
        elif entry.usable and abs(entry.repeat - entry.rows / entry.usable) > SUM_TOLERANCE * max(1.0, entry.repeat):
            yield f"source {entry.slug} says {entry.repeat:.4f} epochs, its counts make {entry.rows / entry.usable:.4f}"


def _about_reading(entry: SourceEntry) -> Iterator[str]:
    excluded = entry.excluded or {}
    if entry.available is not None and entry.available != (read := entry.usable + sum(excluded.values())):
        yield f"source {entry.slug} says {entry.available} rows were read, its usable and excluded ones make {read}"
    if entry.contaminated is not None and entry.contaminated != (found := excluded.get("contaminated", 0)):
        yield f"source {entry.slug} says {entry.contaminated} contaminated rows, {found} are excluded as such"


def _about_budget(doc: Manifest) -> Iterator[str]:
    if doc.budget.unit != "samples":
        return  # in tokens, rows a source depend on its tokens per row
    total = sum(doc.rows().values())
    if total != doc.budget.amount:
        yield f"the budget is {doc.budget.amount} samples, the phases count {total}"
        return
    for phase in doc.phases:
        yield from _about_counts(phase)


def _about_counts(phase: PhaseEntry) -> Iterator[str]:
    exact = largest_remainder(sum(phase.counts.values()), phase.weights)
    for slug, count in exact.items():
        if abs(phase.counts.get(slug, 0) - count) > 1:
            yield f"phase {phase.name} counts {phase.counts.get(slug, 0)} rows of {slug}, its weights make {count}"
