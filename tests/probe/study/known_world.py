"""A store filled with scores of known truth, for what decides on it."""

from __future__ import annotations

import numpy as np

from db.store import Store
from db.values import Arm, BenchmarkRecord, BudgetUnit, PlannedProbe, SourceRecord, StudyRecord
from probe.study import designs
from probe.study.run import SEED_STRIDE
from proxy_training.jobs import METRICS, Cost, ItemScores, JobResult, ProxySpec, Recipe
from sources.benchmark import BenchmarkSpec
from sources.mixture import Mixture
from sources.spec import SourceSpec

SOURCES = ("good", "fine", "noise")
ITEMS = 200


def truth(mixture: Mixture) -> float:
    """Return the score of a mixture in a made-up world: good and fine complement each other, noise costs."""
    w = mixture.weights()
    good, fine, noise = (w.get(name, 0.0) for name in SOURCES)
    return 0.3 + 0.35 * np.sqrt(good) + 0.2 * np.sqrt(fine) - 0.25 * noise


class World:
    """A store with a study whose probes are finished with scores of known truth."""

    def __init__(self, store: Store) -> None:
        self.store, self.rng = store, np.random.default_rng(0)
        self.difficulty = self.rng.normal(0, 0.08, ITEMS)
        self.seeds = {seed: self.rng.normal(0, 0.01) for seed in range(3 * SEED_STRIDE)}
        self.spec = BenchmarkSpec("bench", "skill")
        self.record = BenchmarkRecord(self.spec, "f1", ITEMS, np.arange(ITEMS, dtype=np.int32), np.arange(ITEMS, dtype=np.int8) % 2, 0.25)
        store.put_benchmark(self.record)
        for i, name in enumerate(SOURCES):
            store.put_source(SourceRecord(SourceSpec(name, "llava", f"/data/{name}.json"), f"f-{name}", (900, 500, 400)[i]))
        base = Mixture.of({"good": 0.2, "fine": 0.3, "noise": 0.5})
        self.study = StudyRecord("s", ProxySpec("p", "/p", "w", "idefics3"), Recipe(), base, True, BudgetUnit.SAMPLES, 1000)
        store.create_study(self.study, ["bench"])

    def finish(self, arms: list[Arm], repeats: range) -> None:
        self.store.add_arms("s", arms)
        one = [PlannedProbe(arm.name, r, r, f"{arm.name}-{r}", 1000, 30000) for arm in arms for r in repeats]
        self.store.plan_probes("s", one)
        by_name = {arm.name: arm for arm in arms}
        while (claim := self.store.claim("me", "s", 60)) is not None:
            phases = by_name[claim.arm].curriculum.phases
            mixture = phases[0].mixture if phases else None
            assert self.store.finish(claim, JobResult(claim.training_id, self.scores(mixture, claim.seed), cost=Cost(1.0, 1.0)))

    def scores(self, mixture: Mixture | None, seed: int) -> tuple[ItemScores, ...]:
        scores = np.full((len(METRICS), ITEMS), np.nan, np.float32)
        known = truth(mixture) if mixture else 0.1
        scores[:3] = known + self.seeds[seed] + self.difficulty + self.rng.normal(0, 0.01) + self.rng.normal(0, 0.05, ITEMS)
        return (ItemScores("bench", "f1", scores, ITEMS),)


class MixedWorld(World):
    """Beside the choices, free text in bits per byte: its raw differences are twenty times as large, its noise too."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.text = BenchmarkRecord(BenchmarkSpec("text", "writing"), "f2", ITEMS, self.record.groups, self.record.splits)
        store.put_benchmark(self.text)
        store.add_study_benchmark("s", "text")

    def scores(self, mixture: Mixture | None, seed: int) -> tuple[ItemScores, ...]:
        (choice,) = super().scores(mixture, seed)
        bits = np.full((len(METRICS), ITEMS), np.nan, np.float32)
        good = mixture.weights().get("good", 0.0) if mixture else 0.0
        bits[3] = 9 + 2 * good + 20 * (self.rng.normal(0, 0.01) + self.rng.normal(0, 0.05, ITEMS))
        bits[2] = 0.5
        return (choice, ItemScores("text", "f2", bits, ITEMS))


def searched_world(store: Store, kind: type[World] = World) -> World:
    """Return a world with solo arms and the base in three repeats, and a swarm of fourteen mixtures in one."""
    world = kind(store)
    points = [dict(zip(SOURCES, w, strict=True)) for w in np.random.default_rng(1).dirichlet(np.ones(3), 14)]
    world.finish([*designs.solo_arms(SOURCES), designs.base_arm(world.study.base)], range(3))
    world.finish(designs.swarm_arms([Mixture.of(p) for p in points]), range(1))
    return world
