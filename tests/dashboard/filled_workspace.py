"""A small store, filled through the Store API: two designs' worth of arms, fake results, a ranking with known numbers, a manifest."""

import json
from dataclasses import replace

import numpy as np
from PIL import Image

from db.store import Store
from db.values import (
    Arm,
    ArmRole,
    BenchmarkRecord,
    BudgetUnit,
    Design,
    EffectRow,
    ManifestRecord,
    PairRow,
    PlannedProbe,
    Ranking,
    SourceRecord,
    StudyRecord,
    Verdict,
)
from probe.manifest import manifest_json
from probe.manifest.document import ConfirmedGain, StudyEntry
from probe.manifest.example import example_manifest
from proxy_training.jobs import METRICS, Cost, ItemScores, JobResult, ProxySpec, Recipe
from sources.benchmark import BenchmarkSpec
from sources.estimate import Estimate
from sources.fingerprint import fingerprint
from sources.mixture import Curriculum, Mixture
from sources.spec import Licence, SourceSpec

FREE_TEXT = "negative bits_per_byte"
HOSTILE = "web/<script>alert(1)</script>[x](javascript:alert(2))"
SCRIPT = "<script>document.title='owned'</script>"
MARKDOWN = "[click](https://example.org) **bold** :red[red] $x^2$"
SLUGS = ("docs/charts", "web/captions", "web/noise", HOSTILE)
CAPABILITIES = {"chart-test": "charts", "doc-test": "charts", "shape-test": "recognition", "yes-no": "hallucination"}
OVERALL = {
    "docs/charts": (0.112, 0.018, 1),
    "web/captions": (0.094, 0.02, 1),
    HOSTILE: (0.004, 0.021, 2),
    "web/noise": (-0.071, 0.016, 3),
}
VERDICTS = {
    "docs/charts": Verdict.HELPS,
    "web/captions": Verdict.UNDECIDED,
    HOSTILE: Verdict.NEUTRAL,
    "web/noise": Verdict.HURTS,
}


def write_source(folder, slug, rows=14):
    """A LLaVA file of coloured squares; one answer is hostile, one image is missing."""
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    records = []
    for number in range(rows):
        Image.new("RGB", (64, 48), (17 * number, 200 - 9 * number, 120)).save(images / f"{number}.png")
        answer = f"{SCRIPT} {MARKDOWN}" if number % 2 else "a plain answer"
        turns = [{"from": "human", "value": "<image>\nWhat is this?"}, {"from": "gpt", "value": answer}]
        records.append({"id": str(number), "image": f"{number}.png", "conversations": turns})
    records.append(records[0] | {"id": "gone", "image": "gone.png"})
    (folder / "data.json").write_text(json.dumps(records))
    licence = Licence("CC-BY-4.0", "CC-BY-4.0", "captions by a provider whose terms forbid competing models")
    return SourceSpec(slug, "llava", path=str(folder / "data.json"), image_root=str(images), licence=licence)


def estimate(value, half, n=450):
    return Estimate(value, half / 1.7, value - half, value + half, n)


def a_study(name, base_given=False):
    proxy = ProxySpec("tiny", "somewhere", "w0", "idefics3", illustration_only=True)
    base = Mixture.of({"web/captions": 0.5, "docs/charts": 0.3, "web/noise": 0.2})
    return StudyRecord(name, proxy, Recipe(), base, base_given, BudgetUnit.SAMPLES, 1920)


def fill_registry(store, folder):
    for slug in SLUGS:
        spec = write_source(folder / str(SLUGS.index(slug)), slug)
        store.put_source(SourceRecord(spec, fingerprint(spec), 14, (("missing_image", 1), ("no_answer", 3))))
    for number, (name, capability) in enumerate(CAPABILITIES.items()):
        splits = np.arange(60, dtype=np.int8) % 2
        store.put_benchmark(
            BenchmarkRecord(BenchmarkSpec(name, capability), f"items-{number}", 60, np.arange(60, dtype=np.int32), splits, 0.25)
        )


def arms_of(design, prefix):
    reference = Arm("untrained", ArmRole.UNTRAINED, None, Curriculum(()))
    singles = [Arm(prefix + slug, ArmRole.SOURCE, design, Curriculum.static(Mixture.single(slug)), slug) for slug in SLUGS]
    return [reference, *singles]


def result_of(store, claim):
    scores = []
    for name in claim.missing:
        values = np.full((len(METRICS), 60), 0.5, np.float32)
        scores.append(ItemScores(name, store.benchmark(name).fingerprint, values, 60))
    cost = Cost(train_cpu_s=4.5 + len(claim.arm) / 10, train_wall_s=4.4, eval_cpu_s=1.8, eval_wall_s=1.8, rows=1920)
    return JobResult(claim.training_id, tuple(scores), np.array([2.0, 1.0], np.float32), cost)


def run_probes(store, study, arms, repeats=3, leave=0, fail_last=True):
    """Plan and finish probes; the last one fails, `leave` stay waiting and one of them runs."""
    planned = [
        PlannedProbe(arm.name, repeat, repeat, f"{study}-{arm.name}-{repeat}", 1920 if arm.source else 0, 61_440 if arm.source else 0)
        for arm in arms
        for repeat in (range(repeats) if arm.source else range(1))
    ]
    store.plan_probes(study, planned)
    for _ in range(len(planned) - leave - int(fail_last)):
        claim = store.claim("worker", study, 3600)
        assert store.finish(claim, result_of(store, claim))
    if fail_last:
        claim = store.claim("worker", study, 3600)
        assert store.fail(claim, f"RuntimeError: out of memory {SCRIPT}")
    if leave:
        store.claim("worker", study, 3600)


def effects(prefix, verdicts, levels=CAPABILITIES):
    rows = []
    for place, (slug, (value, half, tier)) in enumerate(OVERALL.items()):
        verdict = VERDICTS[slug] if verdicts else None
        common = {
            "arm": prefix + slug,
            "source": slug,
            "metric": "right_probability",
            "role": ArmRole.SOURCE,
            "verdict_from": "add-one" if verdicts else "",
            "accuracy": 0.5 + value,
        }
        seeds = 4 if verdict is Verdict.UNDECIDED else None
        rows.append(
            EffectRow(
                level="overall", name="overall", effect=estimate(value, half), tier=tier, verdict=verdict, seeds_to_decide=seeds, **common
            )
        )
        rng = np.random.default_rng(place)
        for name, capability in {**dict.fromkeys(levels.values(), None), **levels}.items():
            level = "capability" if capability is None else "benchmark"
            there = estimate(float(value + rng.normal(0, 0.06)), half * 1.6, 150)
            measured = common | ({"metric": FREE_TEXT} if name == "doc-test" and not verdicts else {})
            rows.append(EffectRow(level=level, name=name, effect=there, tier=min(tier, 2), verdict=verdict, **measured))
    return rows


def a_ranking(study, revision, prefix="", verdicts=False):
    slugs = list(OVERALL)
    pairs = [
        PairRow(
            "overall",
            "overall",
            prefix + a,
            prefix + b,
            estimate(OVERALL[a][0] - OVERALL[b][0], 0.03),
            OVERALL[a][2] != OVERALL[b][2],
            a,
            b,
        )
        for number, a in enumerate(slugs)
        for b in slugs[number + 1 :]
    ]
    warnings = ("only 2 repeats: intervals are wide", "benchmark yes-no is at chance (0.50) for every arm: read its effects with care")
    return Ranking(
        study, revision, "tiny", "base" if verdicts else "untrained", "right_probability", 0.9, 0.012, 0.034, True,
        tuple(effects(prefix, verdicts)), tuple(pairs), warnings,
    )  # fmt: skip


def a_manifest(study):
    counts = ({"docs/charts": 1100, "web/captions": 700, "web/noise": 120},)
    doc = example_manifest(counts, usable=dict.fromkeys(SLUGS, 4000))
    weights = {"docs/charts": Estimate(0.573, 0.05, 0.49, 0.66, 200), "web/captions": Estimate(0.365, 0.05, 0.28, 0.45, 200)}
    weights["web/noise"] = Estimate(0.062, 0.03, 0.0, 0.12, 200)
    doc = replace(
        doc,
        study=StudyEntry(study, 3, "right_probability", "untrained", 0.90, 0.012),
        weights=weights,
        baselines=doc.baselines | {"base": {"web/captions": 0.5, "docs/charts": 0.3, "web/noise": 0.2}},
        predicted={name: estimate(value, 0.02) for name, value in {"base": 0.05, "uniform": 0.062, "proportional": 0.055}.items()},
        confirmed={
            "base": ConfirmedGain(estimate(0.041, 0.021), held=True),
            "uniform": ConfirmedGain(estimate(0.057, 0.022), held=True),
            "proportional": ConfirmedGain(estimate(0.012, 0.024), held=False),
        },
    )
    return ManifestRecord(doc.hash, study, manifest_json(doc), "2026-07-01T12:00:00Z")


def fill(root):
    """Fill a workspace: `main` (solo, decided), `adding` (add-one, running, its ranking old), `fresh` (no probe)."""
    store = Store.open(root / "probe.db")
    fill_registry(store, root / "data")
    for name, design, prefix in (("main", Design.SOLO, ""), ("adding", Design.ADD_ONE, "+")):
        store.create_study(a_study(name, design is Design.ADD_ONE), list(CAPABILITIES))
        arms = arms_of(design, prefix)
        if design is Design.ADD_ONE:
            arms.insert(1, Arm("base", ArmRole.BASE, None, Curriculum.static(a_study(name).base)))
        store.add_arms(name, arms)
        run_probes(store, name, arms, leave=4 if prefix else 0)
        revision = store.study(name).revision - (2 if prefix else 0)
        store.put_ranking(a_ranking(name, revision, prefix, verdicts=bool(prefix)))
    store.put_manifest(a_manifest("main"))
    store.create_study(a_study("fresh"), list(CAPABILITIES))
    store.close()
