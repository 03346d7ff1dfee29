"""The trainings of `decisions.py`: each mixture and seed trained once at a scale, its item scores kept as a file of its own.

OUT/world-S/SCALE/MIXTURE-SEED.npz holds `values[metric, item]` of every benchmark, rows and CPU-seconds; OUT/world-S/adapters/ the proxy's
adapters of single sources. A file appears under its name when it is whole, so the same command goes on where it was cut off.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from decisions_full_scale import FULL, PROXY, Sizes, engine_of, proxy_of
from decisions_world import World, benchmarks, write_sources
from numpy.typing import NDArray

from db.values import SPLIT_CODES
from probe.decide.study_scores import BenchmarkArrays
from probe.study.items import split_items
from proxy_training.jobs import METRICS, EvalSet, ItemScores, Job, Stage, Training
from sources.benchmark import Split
from sources.canonical import content_hash
from sources.mixture import Mixture
from sources.mixture_draw import draw_mixture, training_order
from sources.sampling import SourcePool

UNTRAINED = Mixture(())
MERGED = "merged"  # scored without training, beside the two scales
IMAGES = "images"


@dataclass(frozen=True, slots=True)
class Run:
    """One training: a mixture (empty: the model as it is) with one seed, which also decides the rows drawn."""

    mixture: Mixture
    seed: int = 0

    def name(self) -> str:
        return f"{content_hash(self.mixture)[:10]}-{self.seed}" if self.mixture.shares else "untrained-0"

    def single(self) -> bool:
        return len(self.mixture.shares) == 1


def runs(mixtures: Sequence[Mixture], seeds: Sequence[int]) -> list[Run]:
    """Return every mixture with every seed, seeds first, so that what was cut off is complete up to some seed."""
    return [Run(mixture, seed) for seed in seeds for mixture in mixtures]


@dataclass(slots=True)
class Engines:
    """The models of both scales, loaded when first used."""

    out: Path
    model: Path
    _loaded: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    def of(self, scale: str) -> tuple[Any, Any]:
        """Return a scale's proxy and engine."""
        if scale not in self._loaded:
            proxy = proxy_of(scale, self.model)
            self._loaded[scale] = proxy, engine_of(proxy, self.out / "features")
        return self._loaded[scale]


@dataclass(slots=True)
class Lab:
    """One world, what was trained on it, and how to train what is missing."""

    world: World
    sizes: Sizes
    out: Path
    engines: Engines
    _pools: dict[str, SourcePool] = field(default_factory=dict)
    _sets: tuple[EvalSet, ...] = ()

    @property
    def folder(self) -> Path:
        return self.out / f"world-{self.world.seed}"

    def usable(self) -> list[float]:
        return [float(max(40, round(part.rows * self.sizes.rows_share))) for part in self.world.parts]

    def pools(self) -> dict[str, SourcePool]:
        if not self._pools:
            specs = write_sources(self.world, self.folder / "sources", self.sizes.rows_share)
            self._pools = {name: SourcePool.open(spec, self.out / "indexes") for name, spec in specs.items()}
        return self._pools

    def eval_sets(self) -> tuple[EvalSet, ...]:
        if not self._sets:
            made = benchmarks(self.world, self.sizes.items)
            self._sets = tuple(EvalSet(spec, content_hash([self.world.seed, spec.name, len(items)]), items) for spec, items in made)
        return self._sets

    def path(self, scale: str, run: Run) -> Path:
        return self.folder / scale / f"{run.name()}.npz"

    def adapter(self, run: Run) -> Path:
        return self.folder / "adapters" / run.name()

    def missing(self, scale: str, wanted: Sequence[Run]) -> list[Run]:
        return [run for run in dict.fromkeys(wanted) if not self.path(scale, run).exists()]

    def train(self, scale: str, wanted: Sequence[Run], what: str) -> None:
        """Train and score what is missing."""
        todo = self.missing(scale, wanted)
        if not todo:
            return
        (self.folder / scale).mkdir(parents=True, exist_ok=True)
        named: dict[str, Run] = {}
        began = time.monotonic()
        _, engine = self.engines.of(scale)
        for done, result in enumerate(engine.run(self._jobs(scale, todo, named)), 1):
            run = named.pop(result.training_id)
            if result.failure or result.unscored:
                raise SystemExit(f"{what} {run.name()}: {result.failure or result.unscored}")
            cost = result.cost
            self.keep(scale, run, result.scores, [cost.rows, cost.train_cpu_s, cost.eval_cpu_s])
            each = (time.monotonic() - began) / done
            print(f"world {self.world.seed}, {what}, {scale}: {done} of {len(todo)}, {each:.1f} s each", file=sys.stderr, flush=True)

    def keep(self, scale: str, run: Run, found: Sequence[ItemScores], cost: Sequence[float]) -> None:
        """Write a run's scores with its rows and its CPU-seconds of training and of scoring."""
        _write(self.path(scale, run), {scores.benchmark: scores.values for scores in found} | {"cost": np.array(cost)})

    def _jobs(self, scale: str, todo: Sequence[Run], named: dict[str, Run]) -> Iterator[Job]:
        proxy, _ = self.engines.of(scale)
        budget = self.sizes.samples if scale == PROXY else self.sizes.full_samples
        for run in todo:
            stages: tuple[Stage, ...] = ()
            if run.mixture.shares:
                drawn = draw_mixture(self.pools(), run.mixture, budget, run.seed)
                stages = (Stage(training_order(drawn.rows, run.seed)),)
            training = Training(proxy, proxy.recipe, stages, run.seed)
            named[training.training_id()] = run
            save_to = self.adapter(run) if scale == PROXY and run.single() else None
            yield Job(training, self.eval_sets(), save_to=save_to)

    def scores(self, scale: str, run: Run) -> dict[str, NDArray[np.float32]]:
        with np.load(self.path(scale, run)) as kept:
            return {name: kept[name] for name in kept.files}

    def arrays(self, scale: str, arms: Sequence[tuple[Mixture, Sequence[int]]], split: Split) -> list[BenchmarkArrays]:
        """Return every benchmark's scores of arms, each a mixture with its seeds, on the items of one split; repeats are seeds."""
        seeds = sorted({seed for _, own in arms for seed in own})
        kept = {(a, seed): self.scores(scale, Run(mixture, seed)) for a, (mixture, own) in enumerate(arms) for seed in own}
        found = []
        for eval_set in self.eval_sets():
            groups, splits = split_items(eval_set.items)
            items = np.flatnonzero(splits == SPLIT_CODES[split])
            values = np.full((len(METRICS), len(arms), len(seeds), len(items)), np.nan)
            for (a, seed), scored in kept.items():
                values[:, a, seeds.index(seed)] = scored[eval_set.spec.name][:, items]
            found.append(BenchmarkArrays(eval_set.spec.name, eval_set.spec.capability, values, groups[items], pool=IMAGES))
        return found

    def spent(self, scale: str) -> dict[str, float]:
        """Return runs, rows and CPU-seconds of everything trained at a scale."""
        costs = [np.load(path)["cost"] for path in sorted((self.folder / scale).glob("*.npz"))]
        total = np.sum(costs, axis=0) if costs else np.zeros(3)
        return {"runs": len(costs), "samples": float(total[0]), "cpu_s": float(total[1] + total[2])}


def _write(path: Path, arrays: dict[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, **arrays)
    os.replace(partial, path)


__all__ = ["FULL", "MERGED", "PROXY", "UNTRAINED", "Engines", "Lab", "Run", "runs"]
