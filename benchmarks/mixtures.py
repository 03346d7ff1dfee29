#!/usr/bin/env python3
"""What the mixture search decides, on made-up surfaces whose truth is known.

    python benchmarks/mixtures.py [--only next|weights|fronts] [--worlds N] [--sources S] [--quick] [--out FILE.jsonl] [--json]

`next`: 12 space-filling runs, then rounds of 4 by noisy expected improvement, against as many runs that go on filling the space; regret
of the mixture that the search then chooses, in deviations of the surface, paired by world. `weights`: how often the intervals
of the weights hold the true optimum's shares (of the surface less the price of distance, as it is searched), and how often the simplest
mixture of the flat-optimum report really loses no more than could be measured. `fronts`: hypervolume of ours and of Optuna's NSGA-II in the
same time, of a front that is known to both by the same fitted surfaces. All intervals are 90 %, by bootstrap over worlds. With --out,
finished worlds are kept, and the same command goes on. Runs' noise is a quarter of the surface's deviation.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))

from probe.decide.climbing import climb
from probe.decide.flat_optimum import flat_optimum, measurable_loss
from probe.decide.fronts import front, non_dominated
from probe.decide.next_mixtures import next_mixtures
from probe.decide.region import Region
from probe.decide.search import SearchSettings, search_mixture
from probe.decide.simplex import ShareBounds, divergence, from_exponentials, sobol_mixtures
from probe.decide.surrogates import GaussianProcess, Objective, fit_objective
from probe.decide.swarm import swarm_mixtures

Floats = NDArray[np.float64]
PARTS = ("next", "weights", "fronts")
NOISE = 0.25
FIRST, BATCH, ROUNDS = 12, 4, 3
TRUST = 0.05


class World:
    """Sources of unequal use that saturate, one pair that helps each other, one that is redundant, one source that only does harm."""

    def __init__(self, sources: int, seed: int) -> None:
        rng = np.random.default_rng([17, sources, seed])
        self.sources = sources
        self.use = rng.gamma(2.0, 0.5, sources)
        self.use[-1] = -rng.gamma(2.0, 0.5)
        self.scale = rng.uniform(0.05, 0.6, sources)
        self.pairs = rng.choice(sources, 4, replace=False) if sources >= 4 else np.array([0, 1, 1, 2])
        self.strength = rng.uniform(0.5, 2.0, 2)
        self.raw_spread = 1.0
        points = sobol_mixtures(4096, sources, 0)
        self.raw_spread = float(self(points).std())
        self.names = [f"s{k}" for k in range(sources)]
        self.base = rng.dirichlet(np.ones(sources) * 2)

    def __call__(self, weights: Floats) -> Floats:
        w = np.atleast_2d(weights)
        a, b, c, d = self.pairs
        alone = (self.use * (1 - np.exp(-w / self.scale)) / (1 - np.exp(-1 / self.scale))).sum(axis=1)
        together = self.strength[0] * np.sqrt(np.maximum(w[:, a] * w[:, b], 0)) - self.strength[1] * w[:, c] * w[:, d]
        return np.asarray((alone + together) / self.raw_spread)

    def best(self, price: float = 0.0) -> Floats:
        """Return the true optimum of the surface less the price of distance from the base."""
        region = Region(ShareBounds.of(self.sources))
        pool = np.vstack([region.sample(8192, 1), np.eye(self.sources)])

        def value(points: Floats) -> Floats:
            flat = points.reshape(-1, self.sources)
            return (self(flat) - price * divergence(flat, self.base)).reshape(points.shape[:-1])

        starts = pool[np.argsort(-value(pool))[:16]]
        ends = climb(value, lambda x: np.ones(len(x), dtype=np.bool_), region.project, starts, 0, rounds=40, moves=64)
        return ends[int(np.argmax(value(ends)))]

    def observe(self, points: Floats, rng: np.random.Generator) -> Floats:
        return self(points) + NOISE * rng.standard_normal(len(points))


def chosen(world: World, runs: Floats, y: Floats, settings: SearchSettings) -> tuple[Objective, Any]:
    surface, _ = fit_objective(runs, y[:, None], np.full((len(y), 1), NOISE**2))
    optimum = search_mixture(surface, world.names, world.base, ShareBounds.of(world.sources), observed=runs, settings=settings)
    return surface, optimum


def shares(world: World, optimum: Any) -> Floats:
    return np.array([optimum.weights[name].value for name in world.names])


def next_world(world: World, seed: int) -> dict[str, Any]:
    """Return the regret after each round of either way."""
    settings = SearchSettings(trials=10, draws=0, seed=seed, trust=TRUST)
    truth = float(world(world.best())[0])
    filling = np.array([m.shares for m in swarm_mixtures(world.names, FIRST + ROUNDS * BATCH, seed, world.base, repeated=0)])
    regret: dict[str, list[float]] = {"improvement": [], "filling": []}
    for way, found in regret.items():
        rng = np.random.default_rng([seed, 5])
        runs = filling[:FIRST]
        y = world.observe(runs, rng)
        for k in range(ROUNDS + 1):
            surface, optimum = chosen(world, runs, y, settings)
            found.append(truth - float(world(shares(world, optimum))[0]))
            if k == ROUNDS:
                break
            if way == "filling":
                batch = filling[len(runs) : len(runs) + BATCH]
            else:
                spread = float(surface.predict(sobol_mixtures(1024, world.sources, 0))[0].std())
                proposals = next_mixtures(
                    surface, runs, Region(ShareBounds.of(world.sources)), BATCH, prior=world.base, price=TRUST * spread, seed=seed
                )
                batch = np.array([proposal.shares for proposal in proposals])
            runs, y = np.vstack([runs, batch]), np.append(y, world.observe(batch, rng))
    return regret


def weights_world(world: World, seed: int) -> dict[str, Any]:
    """Return for each source whether its interval holds the truth, and its width; and what the simplest mixture really loses."""
    rng = np.random.default_rng([seed, 6])
    runs = np.array([m.shares for m in swarm_mixtures(world.names, 24, seed, world.base, repeated=0)])
    surface, optimum = chosen(world, runs, world.observe(runs, rng), SearchSettings(trials=20, seed=seed, trust=TRUST))
    truth = world.best(TRUST)
    pairs = zip(optimum.weights.values(), truth, strict=True)
    inside = [weight.low - 0.005 <= share <= weight.high + 0.005 for weight, share in pairs]
    found = shares(world, optimum)
    loss = measurable_loss(NOISE**2, np.inf, 3)
    flat = flat_optimum(surface, world.names, found, world.base, Region(ShareBounds.of(world.sources)), loss)
    simple = np.array([flat.simplest.get(name, 0.0) for name in world.names])
    true_loss = float((world(found) - world(simple))[0])
    gain = optimum.predicted_gain["uniform"]
    true_gain = float((world(found) - world(np.full(world.sources, 1 / world.sources)))[0])
    return {
        "inside": [bool(x) for x in inside],
        "width": [weight.high - weight.low for weight in optimum.weights.values()],
        "simplest_loss_inside": bool(flat.simplest_loss.low <= true_loss <= flat.simplest_loss.high),
        "simplest_kept": bool(true_loss <= loss),
        "sources_saved": int((found > 0).sum()) - len(flat.simplest),
        "gain_inside": bool(gain.low <= true_gain <= gain.high),
    }


def fronts_world(world: World, seed: int) -> dict[str, Any]:
    """Return the hypervolume of either front, both judged by the same surfaces, at the time that ours takes."""
    other = World(world.sources, seed + 1000)
    runs = np.array([m.shares for m in swarm_mixtures(world.names, 32, seed, world.base, repeated=0)])
    surrogates = [GaussianProcess().fit(runs, one(runs), np.full(len(runs), 0.01)) for one in (world, other)]
    goals = [lambda points, s=s: s.predict(points)[0] for s in surrogates]
    region = Region(ShareBounds.of(world.sources))
    start = time.perf_counter()
    ours = front(goals, region, runs, most=30, seed=seed)
    seconds = time.perf_counter() - start
    theirs, trials = nsga(goals, region, seconds, seed)
    values = [np.column_stack([goal(points) for goal in goals]) for points in (ours, theirs)]
    low, high = np.vstack(values).min(axis=0), np.vstack(values).max(axis=0)
    unit = np.where(high > low, high - low, 1.0)
    areas = [hypervolume((v - low) / unit) for v in values]
    return {"ours": areas[0], "nsga": areas[1], "seconds": seconds, "trials": trials}


def nsga(goals: Any, region: Region, seconds: float, seed: int) -> tuple[Floats, int]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=["maximize"] * len(goals), sampler=optuna.samplers.NSGAIISampler(seed=seed))
    tried: list[Floats] = []

    def score(trial: Any) -> tuple[float, ...]:
        point = region.project(from_exponentials([trial.suggest_float(f"x{k}", 1e-6, 1 - 1e-6) for k in range(len(region.bounds.least))]))
        tried.append(point[0])
        return tuple(float(goal(point)[0]) for goal in goals)

    study.optimize(score, timeout=seconds)
    points = np.array(tried)
    return points[non_dominated(np.column_stack([goal(points) for goal in goals]))], len(tried)


def hypervolume(values: Floats) -> float:
    """Return the area that two goals dominate above 0."""
    kept = values[non_dominated(values)]
    kept = kept[np.argsort(-kept[:, 0])]
    heights = np.diff(np.concatenate([[0.0], kept[:, 1]]))
    return float((kept[:, 0] * np.maximum(heights, 0)).sum())


def mean_of(values: list[float]) -> dict[str, float]:
    """Return a mean with its 90 % interval by bootstrap over worlds."""
    rng = np.random.default_rng(0)
    array = np.array(values, dtype=np.float64)
    means = array[rng.integers(0, len(array), (2000, len(array)))].mean(axis=1)
    low, high = np.quantile(means, [0.05, 0.95]).tolist()
    return {"value": float(array.mean()), "low": low, "high": high}


def summary(part: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    if part == "next":
        rounds = range(ROUNDS + 1)
        return {
            "worlds": len(found),
            "runs": [FIRST + BATCH * k for k in rounds],
            "improvement": [mean_of([one["improvement"][k] for one in found]) for k in rounds],
            "filling": [mean_of([one["filling"][k] for one in found]) for k in rounds],
            "saved": [mean_of([one["filling"][k] - one["improvement"][k] for one in found]) for k in rounds],
        }
    if part == "weights":
        return {
            "worlds": len(found),
            "coverage": mean_of([float(np.mean(one["inside"])) for one in found]),
            "width": mean_of([float(np.mean(one["width"])) for one in found]),
            "gain_over_uniform_coverage": mean_of([float(one["gain_inside"]) for one in found]),
            "simplest_loss_coverage": mean_of([float(one["simplest_loss_inside"]) for one in found]),
            "simplest_within_loss": mean_of([float(one["simplest_kept"]) for one in found]),
            "sources_saved": mean_of([float(one["sources_saved"]) for one in found]),
        }
    return {
        "worlds": len(found),
        "ours": mean_of([one["ours"] for one in found]),
        "nsga": mean_of([one["nsga"] for one in found]),
        "ours_more": mean_of([one["ours"] - one["nsga"] for one in found]),
        "seconds": float(np.mean([one["seconds"] for one in found])),
        "trials": float(np.mean([one["trials"] for one in found])),
    }


def finished(path: Path | None) -> dict[str, dict[str, Any]]:
    if path is None or not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    return {line["key"]: line["found"] for line in lines}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, default=None)
    parser.add_argument("--worlds", type=int, default=40)
    parser.add_argument("--sources", type=int, default=6)
    parser.add_argument("--quick", action="store_true", help="4 worlds.")
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    run = {"next": next_world, "weights": weights_world, "fronts": fronts_world}
    known = finished(options.out)
    report: dict[str, Any] = {"sources": options.sources, "noise": NOISE}
    for part in (options.only,) if options.only else PARTS:
        found = []
        for seed in range(4 if options.quick else options.worlds):
            key = f"{part}/{options.sources}/{seed}"
            if key not in known:
                known[key] = run[part](World(options.sources, seed), seed)
                if options.out is not None:
                    with options.out.open("a") as file:
                        file.write(json.dumps({"key": key, "found": known[key]}) + "\n")
            found.append(known[key])
            print(f"{part}: world {seed + 1}", file=sys.stderr)
        report[part] = summary(part, found)
    print(json.dumps(report, indent=None if options.json else 2))


if __name__ == "__main__":
    main()
