"""`MIXTURE.md`: a manifest for people, as the data card of the mixture."""

from __future__ import annotations

from collections.abc import Iterator

from probe.manifest.document import Manifest
from probe.manifest.show import claim_text, estimate_text, gain_text, origin_text, watched_text


def mixture_markdown(doc: Manifest) -> str:
    """Return the data card of a manifest as Markdown; text from outside is escaped, so it stays text."""
    return "\n".join([*_head(doc), *_phases(doc), *_sources(doc), *_gains(doc), *_terms(doc), *_method(doc)]) + "\n"


def _head(doc: Manifest) -> Iterator[str]:
    yield f"# Mixture of study {escaped(doc.study.name)}"
    yield ""
    yield f"Manifest `{doc.hash}`: {doc.budget.amount:,} {doc.budget.unit}, {sum(doc.rows().values()):,} rows, {len(doc.phases)} phase(s)."
    for warning in doc.warnings:
        yield ""
        yield f"> **Warning.** {escaped(warning)}"


def _phases(doc: Manifest) -> Iterator[str]:
    yield from ("", "## What to train on", "", "| phase | source | weight | rows |", "|---|---|---:|---:|")
    for phase in doc.phases:
        for slug, weight in sorted(phase.weights.items(), key=lambda item: (-item[1], item[0])):
            yield f"| {escaped(phase.name)} | {escaped(slug)} | {weight:.4f} | {phase.counts.get(slug, 0):,} |"


def _sources(doc: Manifest) -> Iterator[str]:
    yield from (
        "",
        "## Sources",
        "",
        "| source | from | licence | usable | excluded | epochs | effect |",
        "|---|---|---|---:|---:|---:|---|",
    )
    for entry in doc.sources:
        origin = origin_text(entry) or entry.format
        excluded = "unknown" if entry.excluded is None else f"{sum(entry.excluded.values()):,}"
        effect = estimate_text(entry.effect, signed=True) if entry.effect else "not measured"
        licence = f"{entry.licence.declared} (concluded {entry.licence.concluded})"
        numbers = f"{entry.usable:,} | {excluded} | {entry.repeat:.2f}"
        yield f"| {escaped(entry.slug)} | {escaped(origin)} | {escaped(licence)} | {numbers} | {effect} |"


def _gains(doc: Manifest) -> Iterator[str]:
    yield from (
        "",
        f"## How sure ({doc.study.level:.0%} intervals, {escaped(doc.objective.metric)})",
        "",
        "| against | gain | on |",
        "|---|---|---|",
    )
    for name, gain in (doc.confirmed or {}).items():
        yield f"| {escaped(name)} | {gain_text(gain)} | confirmation items, fresh seeds |"
    for name, predicted in doc.predicted.items():
        yield f"| {escaped(name)} | {estimate_text(predicted, signed=True)} | predicted, no claim |"
    if doc.confirmed:
        yield ""
        yield f"On confirmation items: {claim_text(doc)}."
    yield from _outside(doc)
    if doc.fidelity:
        yield ""
        yield escaped(doc.fidelity.said)


def _outside(doc: Manifest) -> Iterator[str]:
    if not doc.outside:
        return
    yield from ("", "Outside the objective, no part of the claim:", "", "| benchmark | against | gain |", "|---|---|---|")
    for entry in doc.outside:
        for name, gain in entry.gains.items():
            yield f"| {escaped(entry.name)} | {escaped(name)} | {watched_text(gain)} |"


def _terms(doc: Manifest) -> Iterator[str]:
    yield from ("", "## Licences", "", f"`{doc.licences.expression}`")
    if doc.licences.flagged:
        yield ""
    for flag in doc.licences.flagged:
        yield f"- {escaped(flag.source)}: {escaped(flag.licence)}: {escaped(flag.reason)}"


def _method(doc: Manifest) -> Iterator[str]:
    names = ", ".join(escaped(entry.name) for entry in doc.objective.benchmarks)
    yield from ("", "## How it was found", "")
    yield f"Proxy {escaped(doc.proxy.name)} (`{doc.proxy.weights_hash}`); benchmarks {names}; optimiser {escaped(doc.optimiser.name)}, "
    yield f"seed {doc.optimiser.seed}, {doc.optimiser.observations} observations (`{doc.optimiser.observations_digest}`); "
    yield f"{len(doc.evidence.search)} trainings, {len(doc.evidence.confirmation)} for the confirmation."


def escaped(value: str) -> str:
    """Escape what Markdown or HTML would act on: slugs and terms come from outside."""
    value = " ".join(value.split())
    for character in "\\`*_[]|#":
        value = value.replace(character, "\\" + character)
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
