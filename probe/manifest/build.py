"""Make a manifest of the values that a decision left behind: the store's records, the curriculum, its counts, the gains."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from probe.manifest.document import (
    BenchmarkEntry,
    BudgetEntry,
    ConfirmedGain,
    DrawEntry,
    EvidenceEntry,
    FidelityEntry,
    Manifest,
    ObjectiveEntry,
    OptimiserEntry,
    OutsideEntry,
    PhaseEntry,
    Provenance,
    ProxyEntry,
    ReaderEntry,
    SourceEntry,
    StudyEntry,
)
from probe.manifest.licences import summarise_licences
from probe.manifest.readers import current_reader
from probe.manifest.typed_json import plain_value
from sources.canonical import hash_bytes
from sources.estimate import Estimate
from sources.mixture import Curriculum
from sources.spec import Stream

if TYPE_CHECKING:  # the store's values import numpy, which reading a manifest does not need
    from db.values import BenchmarkRecord, EffectRow, SourceRecord, StudyRecord

ILLUSTRATION = "illustration, not evidence: the proxy is the bundled one, which is no stand-in for a real model on your own data"
HOW_TO_VERIFY = (
    "Register each source under its slug (`probe sources add SLUG --path ...`) and each benchmark, then run `probe manifest verify` on "
    "this file: it reads files, rows, images and benchmarks again and names what changed. The hash is said in the schema (`hash`)."
)
NOT_CONFIRMED = "not confirmed: the gain is predicted on the items that were searched on, so it is no claim"


@dataclass(frozen=True, slots=True)
class Decision:
    """What the optimiser decided and found: everything of a manifest that the store's records do not hold."""

    curriculum: Curriculum
    counts: Sequence[Mapping[str, int]]  # a phase, rows by source; see `phase_counts`
    budget: BudgetEntry
    weights: Mapping[str, Estimate]  # intervals over n draws of the fitted surface
    baselines: Mapping[str, Mapping[str, float]]  # the confirmation list, by name
    predicted: Mapping[str, Estimate]
    confirmed: Mapping[str, ConfirmedGain] | None
    optimiser: OptimiserEntry
    evidence: EvidenceEntry
    sampling_seed: int = 0
    warnings: tuple[str, ...] = ()
    outside: tuple[OutsideEntry, ...] = ()
    fidelity: FidelityEntry | None = None


def build_manifest(
    decision: Decision,
    *,
    study: StudyRecord,
    metric: str,
    objective_metric: str,
    illustration_only: bool,
    sources: Sequence[SourceRecord],
    benchmarks: Sequence[BenchmarkEntry],
    capabilities: Mapping[str, float],
    image_policy: Any,
    provenance: Provenance,
    readers: Mapping[str, ReaderEntry] | None = None,
    effects: Sequence[EffectRow] = (),
    effect_seeds: Mapping[str, int] | None = None,
    tokens_per_row: Mapping[str, float] | None = None,
    level: float = 0.90,
    noise_floor: float | None = None,
    reference: str = "",
) -> Manifest:
    """Return the manifest of a decision; it is checked when it is written.

    `metric` is that of the ranking's `effects`, `objective_metric` that of the gains. `readers` maps a slug to the reader that read
    it; by default the format's reader of this version. `effect_seeds` are the seeds that each arm was run with.
    Sources that no phase uses may be given: they are listed with 0 rows.

    Raises:
        LicenceError: a source's licence is no SPDX expression.
    """
    rows = _totals(decision.counts)
    ordered = sorted(sources, key=lambda record: record.spec.slug)
    # What the source itself brings: alone, or better, added to the base mixture. Other designs ask about its place and size.
    alone = {row.source: row for row in effects if row.level == "overall" and row.arm == row.source}
    found = alone | {row.source: row for row in effects if row.level == "overall" and row.verdict_from == "add-one"}
    entries = tuple(
        source_entry(
            record,
            readers[record.spec.slug] if readers else current_reader(record.spec),
            rows,
            found.get(record.spec.slug),
            (tokens_per_row or {}).get(record.spec.slug),
            effect_seeds,
            clean=bool(study.clean_of),
        )
        for record in ordered
    )
    return Manifest(
        study=StudyEntry(study.name, study.revision, metric, reference, level, noise_floor, study.clean_of),
        proxy=proxy_entry(study, illustration_only),
        budget=decision.budget,
        phases=phase_entries(decision.curriculum, decision.counts),
        sources=entries,
        weights=decision.weights,
        baselines=decision.baselines,
        predicted=decision.predicted,
        confirmed=decision.confirmed,
        objective=ObjectiveEntry(objective_metric, tuple(benchmarks), capabilities),
        optimiser=decision.optimiser,
        evidence=decision.evidence,
        image_policy=plain_value(image_policy),
        licences=summarise_licences((entry.slug, entry.licence) for entry in entries if entry.rows),
        provenance=provenance,
        warnings=_warnings(decision, illustration_only),
        sampling_seed=decision.sampling_seed,
        outside=decision.outside,
        fidelity=decision.fidelity,
    )


def source_entry(
    record: SourceRecord,
    reader: ReaderEntry,
    rows: Mapping[str, int],
    effect: EffectRow | None = None,
    tokens_per_row: float | None = None,
    effect_seeds: Mapping[str, int] | None = None,
    clean: bool = False,
) -> SourceEntry:
    """Return a source's entry; `rows` maps every chosen source to its rows over all phases, `effect_seeds` every arm to its seeds.

    With `clean`, the record was made without the rows that hold a benchmark's item.
    """
    spec, chosen, excluded = record.spec, rows.get(record.spec.slug, 0), dict(record.excluded)
    part = spec.option("subsource")
    return SourceEntry(
        slug=spec.slug,
        format=spec.format,
        reader=reader,
        fingerprint=record.fingerprint,
        usable=record.usable,
        rows=chosen,
        share=chosen / max(1, sum(rows.values())),
        repeat=chosen / max(1, record.usable),
        licence=spec.licence,
        hub_id=spec.hub_id,
        subset=spec.subset,
        revision=spec.revision,
        excluded=excluded,
        content=record.content,
        tokens=None if tokens_per_row is None else round(chosen * tokens_per_row),
        effect=effect.effect if effect else None,
        tier=effect.tier if effect else None,
        verdict=effect.verdict.value if effect and effect.verdict else None,
        verdict_from=effect.verdict_from if effect else "",
        drawn=_draw_entry(spec.stream),
        part_of=spec.slug.removesuffix(f"/{part}") if part and spec.slug.endswith(f"/{part}") else "",
        part=part,
        available=record.usable + sum(excluded.values()) if spec == spec.unviewed() else None,  # excluded rows belong to no part
        contaminated=excluded.get("contaminated", 0) if clean else None,
        effect_seeds=(effect_seeds or {}).get(effect.arm) if effect else None,
    )


def _draw_entry(stream: Stream | None) -> DrawEntry | None:
    return DrawEntry(stream.split, stream.rows, stream.seed, stream.file) if stream else None


def proxy_entry(study: StudyRecord, illustration_only: bool) -> ProxyEntry:
    """Return the proxy's entry: everything but the folder it lies in, and whether it says nothing of a real model on this data."""
    proxy = study.proxy
    return ProxyEntry(proxy.name, proxy.family, proxy.weights_hash, dataclasses.asdict(study.recipe), illustration_only)


def phase_entries(curriculum: Curriculum, counts: Sequence[Mapping[str, int]]) -> tuple[PhaseEntry, ...]:
    """Return the phases, named `phase-1`, `phase-2`, ... in training order."""
    return tuple(
        PhaseEntry(f"phase-{number}", phase.share, phase.mixture.weights(), dict(rows), restarts=curriculum.restarts and number > 1)
        for number, (phase, rows) in enumerate(zip(curriculum.phases, counts, strict=True), start=1)
    )


def benchmark_entry(record: BenchmarkRecord, weight: float, unit: float = 1.0) -> BenchmarkEntry:
    """Return a benchmark's entry; its split digest tells other splits of the same items apart."""
    return BenchmarkEntry(
        name=record.spec.name,
        capability=record.spec.capability,
        fingerprint=record.fingerprint,
        weight=weight,
        unit=unit,
        selection_items=int((record.splits == 0).sum()),
        confirmation_items=int((record.splits == 1).sum()),
        prompt_form=record.spec.prompt_form.value,
        split_digest=hash_bytes(record.splits.tobytes()),
    )


def _totals(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for phase in counts:
        for slug, count in phase.items():
            totals[slug] = totals.get(slug, 0) + count
    return totals


def _warnings(decision: Decision, illustration_only: bool) -> tuple[str, ...]:
    own = [*decision.warnings]
    if illustration_only and not any(warning.startswith("illustration, not evidence") for warning in own):
        own.insert(0, ILLUSTRATION)
    if decision.confirmed is None:
        own.append(NOT_CONFIRMED)
    return tuple(dict.fromkeys(own))
