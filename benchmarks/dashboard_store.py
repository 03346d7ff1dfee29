"""A large store for the dashboard's benchmark and tests: studies as a cluster would leave them, with made-up scores.

Plans, scores, ranking and manifest are written by `db`'s own functions; only the leases of ten thousand workers are skipped, and rows
are written many at a time. Sources share one small folder of real images, so that their rows can be looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from PIL import Image

from db.blobs import pack_scores
from db.engine import open_engine, writing
from db.results import split_means
from db.schema import EvaluationRow, ItemScoreRow, ScoreMeanRow, StudyRow, TrainingRow
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
    ProbeState,
    Ranking,
    SourceRecord,
    StudyRecord,
    Verdict,
)
from probe.decide.arm_names import MIXED, MIXED_RESTARTS, REVERSED, STAGED, at_size
from probe.manifest import manifest_json
from probe.manifest.document import ConfirmedGain, Manifest, StudyEntry
from probe.manifest.example import example_manifest
from probe.study.designs.swarm import swarm_arms
from probe.study.quality_files import keep_study_quality
from proxy_training.jobs import METRICS, Cost, ItemScores, ProxySpec, Recipe, evaluation_id
from sources.benchmark import BenchmarkSpec
from sources.canonical import content_hash
from sources.estimate import Estimate
from sources.fingerprint import fingerprint
from sources.mixture import Curriculum, Mixture, Phase
from sources.spec import Licence, SourceSpec

BUDGET = 20_000
FAMILIES = ("charts", "docs", "web", "ocr", "math", "scenes", "counting", "chat")
CAPABILITIES = ("recognition", "OCR", "charts", "counting", "knowledge", "hallucination", "text-only", "in-domain")
LICENCES = ("CC-BY-4.0", "Apache-2.0", "CC-BY-NC-4.0", "LicenseRef-academic-only")
SCORED = ("right_probability", "right_probability_per_token", "accuracy")
AT_ONCE = 50  # probes written together


@dataclass(frozen=True, slots=True)
class Size:
    """How large the store is; `waiting` probes of all are not trained yet."""

    probes: int = 10_000
    sources: int = 200
    benchmarks: int = 50
    items: int = 200
    seeds: int = 5
    waiting: int = 40
    orders: tuple[int, ...] = (2_500, 5_000, 10_000, 20_000)
    ladder: tuple[int, ...] = (1_250, 2_500, 5_000, 10_000, 20_000)
    laddered: int = 20  # sources with a ladder


SMALLER = Size(probes=900, sources=60, benchmarks=12, items=40, seeds=3, waiting=6, laddered=3)  # seconds, for tests


def fill(root: Path, size: Size = Size(), url: str = "", study: str = "main") -> None:
    """Fill an empty store at `url`, or `probe.db` in the workspace `root`, where sources' data lie too."""
    place = url or root / "probe.db"
    with Store.open(place) as store:
        _register(store, root / "data", size)
        slugs = slugs_of(size)
        store.create_study(_study(study, slugs), _benchmark_names(size))
        arms = list(_arms(size, slugs))
        store.add_arms(study, arms)
        planned = list(_planned(arms, size))
        store.plan_probes(study, planned)
        records = store.study_benchmarks(study)
    _write_results(place, study, arms, planned[: -size.waiting], records)
    with Store.open(place) as store:
        record = store.study(study)
        assert record is not None
        ranking = _ranking(record, size, slugs, arms)
        store.put_ranking(ranking)
        for decided in decisions(record, size, slugs, arms):
            store.put_manifest(decided)
        store.create_study(_study("fresh", slugs), _benchmark_names(size))
    from probe.study.study_quality import study_quality

    with Store.open(place, read_only=True) as store:
        keep_study_quality(root / "quality", study, record.revision, study_quality(store, study))


def slugs_of(size: Size) -> tuple[str, ...]:
    """Return the sources' names."""
    return tuple(f"{FAMILIES[k % len(FAMILIES)]}/part-{k // len(FAMILIES):02d}" for k in range(size.sources))


def _benchmark_names(size: Size) -> list[str]:
    return [f"{CAPABILITIES[k % len(CAPABILITIES)].lower()}-{k // len(CAPABILITIES) + 1}" for k in range(size.benchmarks)]


def _register(store: Store, folder: Path, size: Size) -> None:
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    rows = []
    for k in range(24):
        Image.effect_mandelbrot((160, 120), (-2, -1.2, 0.8 - k / 40, 1.2 - k / 30), 60).save(images / f"{k}.png")
        turns = [{"from": "human", "value": "<image>\nWhat is shown?"}, {"from": "gpt", "value": f"A fractal, zoom level {k}."}]
        rows.append({"id": str(k), "image": f"{k}.png", "conversations": turns})
    file = folder / "data.json"
    file.write_text(json.dumps(rows))
    known = ""
    for k, slug in enumerate(slugs_of(size)):
        spec = SourceSpec(slug, "llava", path=str(file), image_root=str(images), licence=Licence(*[LICENCES[k % len(LICENCES)]] * 2))
        known = known or fingerprint(spec)
        store.put_source(SourceRecord(spec, known, 24 + 1000 * (k % 17), (("missing_image", k % 5), ("no_answer", k % 3))))
    for k, name in enumerate(_benchmark_names(size)):
        places = np.arange(size.items)
        spec = BenchmarkSpec(name, CAPABILITIES[k % len(CAPABILITIES)])
        splits = (places % 2).astype(np.int8)
        store.put_benchmark(BenchmarkRecord(spec, content_hash(name), size.items, places.astype(np.int32) // 2, splits, 0.25))


def _study(name: str, slugs: Sequence[str]) -> StudyRecord:
    base = Mixture.of(dict.fromkeys(slugs[:24], 1.0))
    return StudyRecord(name, ProxySpec("vlm-256m", "models/vlm-256m", "w0", "idefics3"), Recipe(), base, True, BudgetUnit.SAMPLES, BUDGET)


def _arms(size: Size, slugs: Sequence[str]) -> Iterator[Arm]:
    base = _study("", slugs).base
    yield Arm("untrained", ArmRole.UNTRAINED, None, Curriculum(()))
    yield Arm("base", ArmRole.BASE, None, Curriculum.static(base))
    for slug in slugs:
        yield Arm(slug, ArmRole.SOURCE, Design.SOLO, Curriculum.static(Mixture.single(slug)), slug)
        mixed = Mixture.of({name: 0.8 * share for name, share in base.shares} | {slug: 0.2 + 0.8 * base.weights().get(slug, 0.0)})
        yield Arm(f"+{slug}", ArmRole.SOURCE, Design.ADD_ONE, Curriculum.static(mixed), slug)
    for slug in slugs[: size.laddered]:
        for rows in size.ladder:
            yield Arm(
                at_size(slug, rows), ArmRole.SOURCE, Design.LADDER, Curriculum(Curriculum.static(Mixture.single(slug)).phases, rows), slug
            )
    yield from _order_arms(size, slugs)
    rng, room = np.random.default_rng(1), size.probes - 1 - size.seeds * (1 + 2 * len(slugs) + size.laddered * len(size.ladder))
    room -= size.seeds * 4 * len(size.orders)
    for _ in range(room // 2):
        chosen = rng.choice(24, 12, replace=False)
        yield swarm_arms([Mixture.of(dict(zip([slugs[k] for k in chosen], rng.dirichlet(np.ones(12)).tolist(), strict=True)))])[0]


def _order_arms(size: Size, slugs: Sequence[str]) -> Iterator[Arm]:
    phases = (
        Phase(Mixture.of({slugs[0]: 0.7, slugs[1]: 0.3}), 0.3),
        Phase(Mixture.of({slugs[1]: 0.4, slugs[2]: 0.6}), 0.3),
        Phase(Mixture.of({slugs[2]: 0.2, slugs[3]: 0.8}), 0.4),
    )
    whole: dict[str, float] = {}
    for phase in phases:
        for slug, share in phase.mixture.shares:
            whole[slug] = whole.get(slug, 0.0) + phase.share * share
    mixed = tuple(Phase(Mixture.of(whole), phase.share) for phase in phases)
    orders = ((STAGED, phases, True), (REVERSED, phases[::-1], True), (MIXED, mixed, False), (MIXED_RESTARTS, mixed, True))
    for rows in size.orders:
        for name, order, restarts in orders:
            yield Arm(at_size(name, rows), ArmRole.SOURCE, Design.PHASES, Curriculum(order, rows, restarts), name)


def _planned(arms: Sequence[Arm], size: Size) -> Iterator[PlannedProbe]:
    for arm in arms:
        repeats = 1 if arm.role is ArmRole.UNTRAINED else 2 if arm.role is ArmRole.MIXTURE else size.seeds
        rows = 0 if arm.role is ArmRole.UNTRAINED else arm.curriculum.budget or BUDGET
        for repeat in range(repeats):
            yield PlannedProbe(arm.name, repeat, repeat, content_hash([arm.name, repeat]), rows, 32 * rows)


def _write_results(
    place: Path | str, study: str, arms: Sequence[Arm], planned: Sequence[PlannedProbe], records: Sequence[BenchmarkRecord]
) -> None:
    engine = open_engine(f"sqlite:///{place}" if isinstance(place, Path) else place)
    skill = {arm.name: _skill(arm, len(records)) for arm in arms}
    try:
        with writing(engine).begin() as connection:
            for start in range(0, len(planned), AT_ONCE):
                part = planned[start : start + AT_ONCE]
                scores, means = [], []
                for probe in part:
                    for found, record in zip(_scores(probe, skill[probe.arm], records), records, strict=True):
                        key = {"training_id": probe.training_id, "evaluation_id": evaluation_id(record.fingerprint)}
                        scores.append(key | {"scores": pack_scores(found.values, record.fingerprint)})
                        means += [key | mean for mean in split_means(found, record)]
                connection.execute(sa.insert(ItemScoreRow), scores)
                connection.execute(sa.insert(ScoreMeanRow), means)
            _set_done(connection, study, planned, len(records[0].groups))
    finally:
        engine.dispose()


def _set_done(connection: sa.Connection, study: str, planned: Sequence[PlannedProbe], items: int) -> None:
    same = TrainingRow.training_id == sa.bindparam("probe")
    cost = Cost(train_cpu_s=410.0, train_wall_s=400.0, eval_cpu_s=160.0, eval_wall_s=150.0, rows=BUDGET, tokens=32 * BUDGET)
    done = {"state": ProbeState.DONE, "adapter_done": True, "cost": cost, "cpu_s": 570.0, "wall_s": 550.0, "attempts": 1}
    stamps = {"started_at": "2026-06-01T10:00:00Z", "finished_at": "2026-06-01T10:09:10Z"}
    connection.execute(sa.update(TrainingRow).where(same).values(done | stamps), [{"probe": probe.training_id} for probe in planned])
    scored = sa.select(ItemScoreRow.training_id).where(
        ItemScoreRow.training_id == EvaluationRow.training_id, ItemScoreRow.evaluation_id == EvaluationRow.evaluation_id
    )
    connection.execute(
        sa.update(EvaluationRow).where(scored.exists()).values(state=ProbeState.DONE, n_items=items, finished_at="2026-06-01T10:09:10Z")
    )
    connection.execute(sa.update(StudyRow).where(StudyRow.name == study).values(revision=StudyRow.revision + len(planned)))


def _skill(arm: Arm, benchmarks: int) -> np.ndarray:
    """Return what an arm adds to each benchmark, `[benchmark]`: that of its sources, weighted, and more with more rows."""
    if arm.role is ArmRole.UNTRAINED:
        return np.zeros(benchmarks)
    added = np.zeros(benchmarks)
    for phase in arm.curriculum.phases:
        for slug, share in phase.mixture.shares:
            own = np.random.default_rng(int(content_hash(slug)[:8], 16)).normal(0.05, 0.05, benchmarks)
            added += phase.share * np.sqrt(share) * own
    grown = 1.0 - 0.5 * (arm.curriculum.budget / BUDGET) ** -0.3 if arm.curriculum.budget else 0.5
    return added * 2 * grown + (0.01 if arm.name.startswith(STAGED) else 0.0)


def _scores(probe: PlannedProbe, skill: np.ndarray, records: Sequence[BenchmarkRecord]) -> Iterator[ItemScores]:
    rng = np.random.default_rng(int(probe.training_id[:12], 16))
    for k, record in enumerate(records):
        hard = np.random.default_rng(k).normal(0.4, 0.2, record.n_items)
        right = np.clip(hard + skill[k] + rng.normal(0, 0.08, record.n_items) + rng.normal(0, 0.004), 0.01, 0.99)
        values = np.full((len(METRICS), record.n_items), np.nan, np.float32)
        for metric, value in zip(SCORED, (right, 0.9 * right, right > 0.5), strict=True):
            values[METRICS.index(metric)] = value
        yield ItemScores(record.spec.name, record.fingerprint, values, record.n_items)


def _ranking(study: StudyRecord, size: Size, slugs: Sequence[str], arms: Sequence[Arm]) -> Ranking:
    names = _benchmark_names(size)
    levels = [("overall", "overall"), *(("capability", name) for name in CAPABILITIES), *(("benchmark", name) for name in names)]
    rng, effects, pairs = np.random.default_rng(2), [], []
    ranked = [arm for arm in arms if arm.design in (Design.SOLO, Design.ADD_ONE, Design.PHASES) and not arm.name.startswith("phases/mixed")]
    worth = {arm.name: float(_skill(arm, size.benchmarks).mean()) - 0.05 * (arm.design is Design.ADD_ONE) for arm in ranked}
    for level, name in levels:
        here = {}
        for arm in ranked:
            value = worth[arm.name] + float(rng.normal(0, 0 if level == "overall" else 0.02))
            here[arm.name] = _around(value, 0.006 if level == "overall" else 0.015, 25 * size.benchmarks)
            verdict = None if arm.design is Design.SOLO else _verdict(here[arm.name])
            tier = None if arm.design is Design.PHASES else 1 + int(min(5, max(0.0, (0.06 - value) // 0.012)))
            design = "" if arm.design is Design.SOLO or arm.design is None else arm.design.value
            more = 6 if verdict is Verdict.UNDECIDED else None
            effects.append(
                EffectRow(
                    arm.name,
                    ArmRole.SOURCE,
                    level,
                    name,
                    here[arm.name],
                    0.5,
                    tier,
                    verdict,
                    design,
                    more,
                    arm.source,
                    "right_probability",
                )
            )
        for i, a in enumerate(slugs):
            for b in slugs[i + 1 :]:
                difference = _around(here[a].value - here[b].value, 0.009, 25 * size.benchmarks)
                pairs.append(PairRow(level, name, a, b, difference, abs(difference.value) > 0.03, a, b))
    warnings = ("3 sources are not new to the proxy", "benchmark text-only-1 is near its ceiling: read its effects with care")
    return Ranking(
        study.name, study.revision, "vlm-256m", "untrained (solo), base (add-one)", "right_probability", 0.90, 0.012, 0.02, False,
        tuple(effects), tuple(pairs), warnings,
    )  # fmt: skip


def _verdict(effect: Estimate) -> Verdict:
    if effect.low > 0.01:
        return Verdict.HELPS
    return Verdict.HURTS if effect.high < -0.01 else Verdict.NEUTRAL if abs(effect.value) < 0.004 else Verdict.UNDECIDED


def _around(value: float, stderr: float, n: int) -> Estimate:
    return Estimate(value, stderr, value - 1.7 * stderr, value + 1.7 * stderr, n)


def decisions(study: StudyRecord, size: Size, slugs: Sequence[str], arms: Sequence[Arm]) -> Iterator[ManifestRecord]:
    """Yield two decisions of the study, the older one first."""
    for seed, made in ((3, "2026-06-20T12:00:00Z"), (4, "2026-07-01T12:00:00Z")):
        doc = _manifest(study, size, slugs, arms, seed)
        yield ManifestRecord(doc.hash, study.name, manifest_json(doc), made)


def _manifest(study: StudyRecord, size: Size, slugs: Sequence[str], arms: Sequence[Arm], seed: int) -> Manifest:
    shares = np.random.default_rng(seed).dirichlet(np.ones(24))
    counts = {slug: int(share * BUDGET) + 1 for slug, share in zip(slugs, shares.tolist(), strict=False)}
    doc = example_manifest((counts,), usable=dict.fromkeys(slugs, 50_000))
    total = sum(counts.values())
    weights = {slug: Estimate(rows / total, 0.02, max(0.0, rows / total - 0.03), rows / total + 0.03, 200) for slug, rows in counts.items()}
    gains = {"base": 0.03, "uniform": 0.04, "proportional": 0.035}
    parameters = {
        **doc.optimiser.parameters,
        "surrogate": {
            "name": "stacked",
            "shares": {"gaussian-process": 0.6, "mixing-law": 0.4},
            "bad_tails_raised": False,
            "runs": 3000,
            "held_out": {"spearman": {"value": 0.91, "low": 0.9, "high": 0.92}, "r2": {"value": 0.83, "low": 0.81, "high": 0.85}},
            "families": {},
        },
        "flat_optimum": _flat(weights),
        "searched": _searched(size, arms, weights),
        "curriculum": _curriculum(),
    }
    return replace(
        doc,
        study=StudyEntry(study.name, study.revision, "right_probability", "base", 0.90, 0.012),
        weights=weights,
        baselines={"base": study.base.weights(), "uniform": dict.fromkeys(counts, 1 / 24), "proportional": dict.fromkeys(counts, 1 / 24)},
        predicted={name: _around(gain, 0.006, 2500) for name, gain in gains.items()},
        confirmed={name: ConfirmedGain(_around(gain - 0.01, 0.006, 2500), held=True) for name, gain in gains.items()},
        optimiser=replace(doc.optimiser, parameters=parameters, observations=3000),
    )


def _flat(weights: dict[str, Estimate]) -> dict[str, object]:
    ranges = {slug: {"low": max(0.0, one.value - 0.06), "high": one.value + 0.08} for slug, one in weights.items()}
    moves = {slug: {"low": max(0.0, one.value - 0.03), "high": one.value + 0.04} for slug, one in weights.items()}
    few = dict(sorted(((slug, one.value) for slug, one in weights.items()), key=lambda pair: -pair[1])[:6])
    simplest = {
        "weights": {slug: share / sum(few.values()) for slug, share in few.items()},
        "predicted_loss": {"value": 0.004, "low": -0.001, "high": 0.009},
        "sure": True,
        "moved": 0.4,
    }
    return {"measurable_loss": 0.01, "seeds": 3, "ranges": ranges, "moves": moves, "simplest": simplest}


def _searched(size: Size, arms: Sequence[Arm], weights: dict[str, Estimate]) -> dict[str, object]:
    rng, runs = np.random.default_rng(5), []
    for arm in (arm for arm in arms if arm.role is ArmRole.MIXTURE):
        score, error = 0.45 + float(_skill(arm, size.benchmarks).mean()), float(rng.normal(0, 0.006))
        held = {"value": score + error, "low": score + error - 0.011, "high": score + error + 0.011}
        runs.append({"arm": arm.name, "score": {"value": score, "low": score - 0.006, "high": score + 0.006}, "held_out": held})
    points = [
        {
            "weights": {slug: one.value for slug, one in weights.items()},
            "gain": {"value": 0.03 - 0.002 * k, "low": 0.02 - 0.002 * k, "high": 0.04 - 0.002 * k},
            "cost": 600_000 - 30_000.0 * k,
        }
        for k in range(10)
    ]
    return {"mixtures": runs, "front": {"cost": "tokens", "points": points}}


def _curriculum() -> dict[str, object]:
    gain = {"value": 0.002, "stderr": 0.003, "low": -0.003, "high": 0.007, "n": 2500, "held": False}
    why = f"{STAGED} is not shown to beat the best static mixture. The manifest has one phase."
    return {"chosen": None, "restarts": None, "candidate": STAGED, "why": why, "orders": [], "confirmed_gain": {"static": gain}}
