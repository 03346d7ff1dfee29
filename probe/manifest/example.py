"""Small manifests, one with every field filled, for tests, plug-ins and documentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from probe.manifest.build import HOW_TO_VERIFY
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
    WatchedGain,
)
from probe.manifest.licences import summarise_licences
from probe.manifest.typed_json import plain_value
from sources.canonical import content_hash
from sources.estimate import Estimate
from sources.spec import Licence

COUNTS = ({"chart/qa": 300, "web/captions": 700},)
STAGED = ({"chart/qa": 100, "web/captions": 300}, {"chart/qa": 500, "web/captions": 100})
LICENCES = {
    "chart/qa": Licence("CC-BY-4.0"),
    "web/captions": Licence("CC-BY-NC-4.0", terms="captions by a provider whose terms forbid competing models"),
}


def example_manifest(
    counts: Sequence[Mapping[str, int]] = COUNTS,
    usable: Mapping[str, int] | None = None,
    fingerprints: Mapping[str, str] | None = None,
    image_policy: object = "example",
) -> Manifest:
    """Return a consistent manifest over phases of counts; sources hold 1,000 usable rows unless `usable` says otherwise."""
    slugs = sorted({slug for phase in counts for slug in phase})
    rows = {slug: sum(phase.get(slug, 0) for phase in counts) for slug in slugs}
    total = sum(rows.values())
    sources = tuple(
        _source(slug, rows[slug], total, (usable or {}).get(slug, 1000), (fingerprints or {}).get(slug, content_hash(slug)))
        for slug in slugs
    )
    return Manifest(
        study=StudyEntry("main", 3, "right_probability", "base", 0.90, 0.012),
        proxy=ProxyEntry("tiny", "idefics3", content_hash("weights"), {"rank": 8, "learning_rate": 0.002}, illustration_only=True),
        budget=BudgetEntry("samples", total),
        phases=tuple(_phase(number, phase, total) for number, phase in enumerate(counts, start=1)),
        sources=sources,
        weights={slug: Estimate(rows[slug] / total, 0.03, 0.0, 1.0, 200) for slug in slugs},
        baselines={"uniform": dict.fromkeys(slugs, 1 / len(slugs)), "proportional": dict.fromkeys(slugs, 1 / len(slugs))},
        predicted={"uniform": Estimate(0.05, 0.01, 0.03, 0.07, 450), "proportional": Estimate(0.04, 0.01, 0.02, 0.06, 450)},
        confirmed={"uniform": ConfirmedGain(Estimate(0.04, 0.01, 0.02, 0.06, 450), held=True)},
        objective=ObjectiveEntry("right_probability", (_benchmark(),), {"charts": 1.0}),
        optimiser=OptimiserEntry("gp-sqrt-ard", {"trials": 400, "epoch_cap": 4.0}, 0, 24, content_hash("observations")),
        evidence=EvidenceEntry((content_hash("training 1"), content_hash("training 2")), (content_hash("training 3"),)),
        image_policy=plain_value(image_policy),
        licences=summarise_licences((entry.slug, entry.licence) for entry in sources),
        provenance=Provenance("0.1.0", "2026-07-01T12:00:00Z", "0" * 40),
        warnings=("illustration, not evidence",),
    )


def complete_manifest() -> Manifest:
    """Return a manifest of two phases with every field filled, newer ones too."""
    doc = example_manifest(STAGED)
    gain = Estimate(-0.02, 0.005, -0.03, -0.01, 400)
    first = replace(
        doc.sources[0],
        hub_id="someone/charts",
        subset="qa",
        revision="1" * 40,
        excluded={"contaminated": 2, "missing_image": 3},
        content=content_hash("rows of chart/qa"),
        tokens=90_000,
        drawn=DrawEntry("train", 1005, 0, "qa/*.parquet"),
        available=1005,
        contaminated=2,
        effect_seeds=3,
    )
    second = replace(doc.sources[1], part_of="web", part="captions", contaminated=0, excluded={})
    return replace(
        doc,
        study=replace(doc.study, clean_of=("chart-test",)),
        phases=(doc.phases[0], replace(doc.phases[1], restarts=True)),
        sources=(first, second),
        outside=(
            OutsideEntry("pope", "hallucination", content_hash("pope"), "right_probability", {"uniform": WatchedGain(gain, lost=True)}),
        ),
        fidelity=FidelityEntry(8, 20, "the proxy ordered 18 of 20 pairs as full scale did", Estimate(0.9, 0.05, 0.8, 0.97, 20), gain),
        provenance=replace(doc.provenance, packages={"python": "3.11.7", "torch": "2.13.0"}, verify=HOW_TO_VERIFY),
    )


def _source(slug: str, rows: int, total: int, usable: int, fingerprint: str) -> SourceEntry:
    return SourceEntry(
        slug=slug,
        format="llava",
        reader=ReaderEntry("llava", 3),
        fingerprint=fingerprint,
        usable=usable,
        rows=rows,
        share=rows / total,
        repeat=rows / usable,
        licence=LICENCES.get(slug, Licence("CC-BY-4.0")),
        excluded={"missing_image": 3},
        effect=Estimate(0.03, 0.01, 0.01, 0.05, 450),
        tier=1,
        verdict="helps",
        verdict_from="add-one",
    )


def _phase(number: int, counts: Mapping[str, int], total: int) -> PhaseEntry:
    rows = sum(counts.values())
    return PhaseEntry(f"phase-{number}", rows / total, {slug: count / rows for slug, count in counts.items()}, dict(counts))


def _benchmark() -> BenchmarkEntry:
    return BenchmarkEntry("chart-test", "charts", content_hash("chart-test"), 1.0, 450, 450, "text", content_hash("split"))
