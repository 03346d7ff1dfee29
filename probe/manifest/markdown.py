"""`MIXTURE.md`: a manifest for people, as the data card of the mixture."""

from __future__ import annotations

import re
from collections.abc import Iterator

from probe.manifest.document import Manifest
from probe.manifest.equal_baselines import JOINT, by_mixture
from probe.manifest.show import budget_text, claim_text, estimate_text, gain_text, origin_text, watched_text
from probe.manifest.terms import mixture_terms
from sources.counted import counted


def mixture_markdown(doc: Manifest) -> str:
    """Return the data card of a manifest as Markdown; text from outside is escaped, so it stays text."""
    parts = (_head, _phases, _gains, _sources, _terms, _method, _use)
    return "\n".join(line for part in parts for line in part(doc)) + "\n"


def _head(doc: Manifest) -> Iterator[str]:
    yield f"# Mixture of study {escaped(doc.study.name)}"
    yield ""
    rows = counted(sum(doc.rows().values()), "row")
    yield f"Manifest `{doc.hash}`: {budget_text(doc)}, {rows}, {counted(len(doc.phases), 'phase')}."
    for warning in doc.warnings:
        yield ""
        yield f"> **Warning.** {escaped(warning)}"


def _phases(doc: Manifest) -> Iterator[str]:
    level = f"{doc.study.level:.0%}"
    yield from ("", "## What to train on", "", f"| phase | source | weight | {level} interval | rows |", "|---|---|---:|---|---:|")
    for phase in doc.phases:
        for slug, weight in sorted(phase.weights.items(), key=lambda item: (-item[1], item[0])):
            interval = doc.weights.get(slug) if len(doc.phases) == 1 else None
            between = f"{interval.low:.4f} to {interval.high:.4f}" if interval else ""
            yield f"| {escaped(phase.name)} | {escaped(slug)} | {weight:.4f} | {between} | {phase.counts.get(slug, 0):,} |"
    if len(doc.phases) > 1:
        again = [phase.name for phase in doc.phases if phase.restarts]
        how = f"The learning rate starts again at {', '.join(again)}" if again else "One learning rate schedule runs over all phases"
        yield ""
        yield f"Train the phases in this order. {escaped(how)}."


def _sources(doc: Manifest) -> Iterator[str]:
    yield from (
        "",
        "## Sources",
        "",
        "| source | from | declared licence | concluded | usable | excluded | epochs | effect | seeds | verdict |",
        "|---|---|---|---|---:|---:|---:|---|---:|---|",
    )
    for entry in doc.sources:
        origin = origin_text(entry) or entry.format
        excluded = "unknown" if entry.excluded is None else f"{sum(entry.excluded.values()):,}"
        effect = estimate_text(entry.effect, signed=True) if entry.effect else "not measured"
        licence = f"{escaped(entry.licence.declared)} | {escaped(entry.licence.concluded)}"
        numbers = f"{entry.usable:,} | {excluded} | {entry.repeat:.2f}"
        seeds = "" if entry.effect_seeds is None else str(entry.effect_seeds)
        found = f"{effect} | {seeds} | {escaped(entry.verdict or '')}"
        yield f"| {escaped(entry.slug)} | {escaped(origin)} | {licence} | {numbers} | {found} |"
    if doc.study.clean_of:
        yield ""
        yield f"Rows that hold an item of {escaped(', '.join(doc.study.clean_of))} are excluded."


def _gains(doc: Manifest) -> Iterator[str]:
    yield from (
        "",
        f"## How sure ({doc.study.level:.0%} intervals, {escaped(doc.objective.metric)})",
        "",
        "| against | gain | on |",
        "|---|---|---|",
    )
    confirmed, predicted = by_mixture(doc, doc.confirmed or {}), by_mixture(doc, doc.predicted)
    for name, gain in confirmed.items():
        yield f"| {escaped(name)} | {gain_text(gain)} | confirmation items, fresh seeds |"
    for name, one in predicted.items():
        yield f"| {escaped(name)} | {estimate_text(one, signed=True)} | predicted, no claim |"
    if any(JOINT in name for name in (*confirmed, *predicted)):
        yield from ("", "Baselines joined by = are one and the same mixture.")
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
        for name, gain in by_mixture(doc, entry.gains).items():
            yield f"| {escaped(entry.name)} | {escaped(name)} | {watched_text(gain)} |"


def _terms(doc: Manifest) -> Iterator[str]:
    terms = mixture_terms(doc)
    yield from ("", "## Licences", "", f"{code(doc.licences.expression)}. {escaped(terms.sentence())}.")
    if doc.licences.flagged:
        yield from ("", "Look at these before training:", "")
    for flag in doc.licences.flagged:
        yield f"- {escaped(flag.source)}: {escaped(flag.licence)}: {escaped(flag.reason)}"
    if terms.conflicts:
        yield from ("", "These do not go together where the mixture itself is passed on:", "")
    yield from (f"- {escaped(conflict)}" for conflict in terms.conflicts)
    if terms.provider_terms:
        yield from ("", "Provider terms:", "")
    yield from (f"- {escaped(slug)}: {escaped(words)}" for slug, words in terms.provider_terms.items())
    yield from ("", "This is no legal advice: it says what to read.")


def _method(doc: Manifest) -> Iterator[str]:
    names = ", ".join(escaped(entry.name) for entry in doc.objective.benchmarks)
    yield from ("", "## How it was found", "")
    yield f"Proxy {escaped(doc.proxy.name)} ({code(doc.proxy.weights_hash)}); benchmarks {names}; optimiser {escaped(doc.optimiser.name)}, "
    yield f"seed {doc.optimiser.seed}, {counted(doc.optimiser.observations, 'observation')} ({code(doc.optimiser.observations_digest)}); "
    yield f"{counted(len(doc.evidence.search), 'training')}, {len(doc.evidence.confirmation)} for the confirmation; "
    by = doc.provenance
    commit = f", commit {code(by.commit)}{' with changes' if by.dirty else ''}" if by.commit else ""
    yield f"{escaped(by.tool)} {escaped(by.version)}{commit}, {escaped(by.created_at)}."


def _use(doc: Manifest) -> Iterator[str]:
    short = doc.hash[:12]
    yield from (
        "",
        "## Verify and export",
        "",
        f"    probe manifest verify {short}",
        f"    probe export {short} --trainer jsonl --out DIR",
        "",
        "`verify` reads sources, images and benchmarks again and names what is not as it was; without the store, give the manifest's file",
        "in place of its hash. `probe export --help` names the trainers. What counts are the rows: weights mean other things to other",
        "trainers.",
    )


def code(value: str) -> str:
    """Return a value as code; one that holds more than hashes and licence expressions do is escaped instead."""
    return f"`{value}`" if re.fullmatch(r"[A-Za-z0-9.+() :-]+", value) else escaped(value)


def escaped(value: str) -> str:
    """Escape what Markdown or HTML would act on: slugs and terms come from outside."""
    value = "".join(character if character.isprintable() else " " for character in " ".join(value.split()))
    for character in "\\`*_[]|#":
        value = value.replace(character, "\\" + character)
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
