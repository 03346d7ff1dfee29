"""A manifest as plain text lines: what to train on, how sure that is, under which terms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from probe.manifest.document import ConfirmedGain, DrawEntry, Manifest, SourceEntry, WatchedGain
from probe.manifest.equal_baselines import by_mixture
from probe.manifest.terms import mixture_terms
from sources.counted import counted
from sources.estimate import Estimate


def manifest_lines(doc: Manifest) -> list[str]:
    """Return the manifest as text lines without markup, in the order of the decision."""
    return [*_head(doc), *_mixture(doc), *_origins(doc), *_gains(doc), *_licences(doc), *_warnings(doc)]


def estimate_text(estimate: Estimate, *, signed: bool = False) -> str:
    """Return `+0.041 [+0.020, +0.062] n=450`: value, interval, items or replicates."""
    sign = "+" if signed else ""
    return f"{estimate.value:{sign}.3f} [{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}] n={estimate.n}"


def gain_text(gain: ConfirmedGain) -> str:
    """Return a confirmed gain with its interval and whether the claim held."""
    return f"{estimate_text(gain.gain, signed=True)}  {'held' if gain.held else 'did not hold'}"


def watched_text(gain: WatchedGain) -> str:
    """Return a gain outside the objective, and whether it is a loss beyond doubt."""
    return f"{estimate_text(gain.gain, signed=True)}{'  lost' if gain.lost else ''}"


def claim_text(doc: Manifest) -> str:
    """Return what a confirmed manifest claims over its baselines together."""
    if same := doc.same_as():
        return f"the same mixture as the baseline {' and '.join(same)}, so not better than every baseline"
    return "better than every baseline" if doc.beats_all() else "not shown to be better than every baseline"


def budget_text(doc: Manifest) -> str:
    """Return the budget, such as `20,000 samples`."""
    return counted(doc.budget.amount, doc.budget.unit.removesuffix("s"))


def _head(doc: Manifest) -> Iterator[str]:
    yield f"manifest {doc.hash}"
    yield f"study {doc.study.name}, revision {doc.study.revision}; proxy {doc.proxy.name}; metric {doc.study.metric}"
    yield f"objective {doc.objective.metric} of {', '.join(entry.name for entry in doc.objective.benchmarks)}"
    rows, phases = counted(sum(doc.rows().values()), "row"), counted(len(doc.phases), "phase")
    yield f"budget {budget_text(doc)}; {rows} in {phases}"


def _mixture(doc: Manifest) -> Iterator[str]:
    width = max(len(entry.slug) for entry in doc.sources)
    for phase in doc.phases:
        yield ""
        again = "; the learning rate starts again" if phase.restarts else ""
        yield f"{phase.name}: {phase.share:.1%} of the budget, {counted(sum(phase.counts.values()), 'row')}{again}"
        for slug, weight in sorted(phase.weights.items(), key=lambda item: (-item[1], item[0])):
            interval = doc.weights.get(slug) if len(doc.phases) == 1 else None
            between = f" [{interval.low:.1%}, {interval.high:.1%}]" if interval else ""
            repeat, rows = doc.source(slug).repeat, phase.counts.get(slug, 0)
            yield f"  {slug:<{width}}  {weight:6.1%}{between}  {rows:>9,} {'row ' if rows == 1 else 'rows'}  {repeat:.2f} epochs in all"
    if len(doc.phases) > 1 and doc.weights:
        yield ""
        yield "over all phases:"
        yield from _aligned({slug: f"{e.value:6.1%} [{e.low:.1%}, {e.high:.1%}]" for slug, e in doc.weights.items()})
    unused = [entry.slug for entry in doc.sources if not entry.rows]
    if unused:
        yield f"not used: {', '.join(unused)}"


def origin_text(entry: SourceEntry) -> str:
    """Return where a source comes from and how it was drawn; empty for one that lies on disk and is nobody's part."""
    published = " ".join(filter(None, (entry.hub_id, entry.subset, entry.revision)))
    part = f"part {entry.part}" + (f" of {entry.part_of}" if entry.part_of else "") if entry.part else ""
    return "; ".join(filter(None, (published, part, _draw_text(entry.drawn) if entry.drawn else "")))


def _draw_text(drawn: DrawEntry) -> str:
    file = f", files {drawn.file}" if drawn.file else ""
    return f"at most {counted(drawn.rows, 'row')} of split {drawn.split}{file}, seed {drawn.seed}"


def _origins(doc: Manifest) -> Iterator[str]:
    known = {entry.slug: origin for entry in doc.sources if (origin := origin_text(entry))}
    if known:
        yield ""
        yield "sources come from"
        yield from _aligned(known)


def _gains(doc: Manifest) -> Iterator[str]:
    level = f"{doc.study.level:.0%} intervals"
    yield ""
    if doc.confirmed is not None:
        yield f"confirmed gain against ({level}; confirmation items, fresh seeds)"
        yield from _aligned({name: gain_text(gain) for name, gain in by_mixture(doc, doc.confirmed).items()})
        yield claim_text(doc)
        yield from _outside(doc)
    yield f"predicted gain against ({level}; the items searched on: no claim)"
    yield from _aligned({name: estimate_text(gain, signed=True) for name, gain in by_mixture(doc, doc.predicted).items()})
    if doc.confirmed is None:
        yield "not confirmed"
    if doc.fidelity:
        yield ""
        yield doc.fidelity.said


def _outside(doc: Manifest) -> Iterator[str]:
    for entry in doc.outside:
        yield f"outside the objective: {entry.name} ({entry.capability}, {entry.metric}), no part of the claim"
        yield from _aligned({name: watched_text(one) for name, one in by_mixture(doc, entry.gains).items()})


def _licences(doc: Manifest) -> Iterator[str]:
    yield ""
    terms = mixture_terms(doc)
    yield f"licences: {doc.licences.expression}"
    yield f"  {terms.sentence()}"
    for flag in doc.licences.flagged:
        yield f"  {flag.source}: {flag.licence}: {flag.reason}"
    for conflict in terms.conflicts:
        yield f"  conflict: {conflict}"


def _warnings(doc: Manifest) -> Iterator[str]:
    for warning in doc.warnings:
        yield f"warning: {warning}"


def _aligned(rows: Mapping[str, str]) -> Iterator[str]:
    width = max(map(len, rows), default=0)
    for name, text in rows.items():
        yield f"  {name:<{width}}  {text}"
