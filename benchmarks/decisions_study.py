"""What `decisions.py` asks on the proxy, with the tool's own code: ranking, surrogates, mixture search; and the arms of each question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from decisions_full_scale import PROXY, Sizes
from decisions_runs import UNTRAINED, Lab, Run, runs
from decisions_world import BASE, FULL, LEFT_OUT, World
from numpy.typing import NDArray

from db.values import ArmRole, Design, Ranking
from probe.decide.levels import Combination, combination
from probe.decide.ranking import rank_study
from probe.decide.simplex import ShareBounds
from probe.decide.study_scores import StudyArm, StudyScores
from probe.decide.surrogates import Choice, MergedScores, Objective, fit_objective
from probe.decide.swarm import swarm_mixtures
from probe.study.designs.mixtures import uniform, with_share
from probe.study.observations import Observations, Targets, targets
from sources.benchmark import Split
from sources.mixture import Mixture

ADD_SHARE = 0.2
EPOCH_CAP = 4.0
LEVEL = 0.90
FEWEST_ACTIVE = 2
SMALL = 0.01
CANDIDATE = "optimum"
FRESH, TOP = 100, 200  # first seeds of what is confirmed and of the best that are trained again
Floats = NDArray[np.float64]


def seeds(count: int, first: int = 0) -> range:
    return range(first, first + count)


def solo(world: World) -> dict[str, Mixture]:
    return {name: Mixture.single(name) for name in world.sources}


def base() -> Mixture:
    return Mixture.of(BASE)


def added(world: World) -> dict[str, Mixture]:
    return {f"+{name}": with_share(base(), name, ADD_SHARE) for name in world.sources}


def left_out() -> dict[str, Mixture]:
    """Return the mixture that holds both twins, and the same without each of some sources."""
    return {"all": uniform(FULL)} | {f"-{name}": uniform([other for other in FULL if other != name]) for name in LEFT_OUT}


def bounds(lab: Lab) -> ShareBounds:
    return ShareBounds.of(len(lab.world.sources), usable=lab.usable(), budget=lab.sizes.full_samples, epoch_cap=EPOCH_CAP)


def swarm(lab: Lab) -> list[Mixture]:
    names = lab.world.sources
    points = swarm_mixtures(names, lab.sizes.swarm, 0, _weights([base()], names)[0], bounds=bounds(lab), repeated=0)
    return [Mixture.of(dict(zip(names, point.shares, strict=True))) for point in points]


def random_mixtures(lab: Lab) -> list[Mixture]:
    """Return mixtures of two to all sources, uniform on each face of the simplex, within the bounds of the search."""
    rng, names, found = np.random.default_rng([lab.world.seed, 64]), lab.world.sources, []
    limits = bounds(lab)
    while len(found) < lab.sizes.random:
        active = rng.permutation(len(names))[: rng.integers(FEWEST_ACTIVE, len(names) + 1)]
        within = limits.without([k for k in range(len(names)) if k not in active])
        if within is None:
            continue
        point = np.zeros(len(names))
        point[active] = rng.dirichlet(np.ones(len(active)))
        share = within.project(point)[0]
        found.append(Mixture.of({name: w for name, w in zip(names, share.tolist(), strict=True) if w >= SMALL}))
    return found


def search_runs(lab: Lab) -> list[Run]:
    """Return every run that the search reads, the sources alone and the swarm; what it costs is the cost of the search."""
    return [*runs(list(solo(lab.world).values()), seeds(lab.sizes.seeds)), *runs(swarm(lab), [0])]


def verdict_runs(lab: Lab) -> list[Run]:
    """Return the base mixture and each source added to it."""
    return runs([base(), *added(lab.world).values()], seeds(lab.sizes.verdict_seeds))


def ranking(lab: Lab, scale: str, split: Split, counts: dict[Design, range]) -> Ranking:
    """Rank the sources with `rank_study`: the proxy reads selection items, the truth confirmation items."""
    world = lab.world
    arms: list[tuple[StudyArm, Mixture, range]] = [(StudyArm("untrained", ArmRole.UNTRAINED), UNTRAINED, seeds(1))]
    if Design.SOLO in counts:
        own = counts[Design.SOLO]
        arms += [(StudyArm(name, ArmRole.SOURCE, Design.SOLO, name), mixture, own) for name, mixture in solo(world).items()]
    if Design.ADD_ONE in counts:
        own = counts[Design.ADD_ONE]
        arms.append((StudyArm("base", ArmRole.BASE), base(), own))
        arms += [(StudyArm(name, ArmRole.SOURCE, Design.ADD_ONE, name[1:]), m, own) for name, m in added(world).items()]
    benchmarks = lab.arrays(scale, [(mixture, own) for _, mixture, own in arms], split)
    study = StudyScores(f"world-{world.seed}", 0, scale, False, tuple(arm for arm, _, _ in arms), tuple(benchmarks))
    return rank_study(study, level=LEVEL)


def observed(lab: Lab, asked: list[tuple[Mixture, Any]], scale: str = PROXY) -> Observations:
    """Return trained (or merged) mixtures as the search reads them, on selection items."""
    names, places = lab.world.sources, list(range(len(asked)))
    parts = tuple(array.panel(places, []) for array in lab.arrays(scale, asked, Split.SELECTION))
    return Observations(names, tuple(f"run-{k}" for k in places), _weights([mixture for mixture, _ in asked], names), parts)


def objective_of(seen: Observations) -> Combination:
    return combination(seen.parts, range(len(seen.arms)), dict.fromkeys(seen.capabilities, 1.0))


def fitted(seen: Observations, merged: MergedScores | None = None) -> tuple[Targets, Objective, Choice]:
    """Fit the surrogates as `probe optimize` does."""
    found = targets(seen, objective_of(seen))
    surface, choice = fit_objective(seen.weights, found.values, found.noise, found.weights, level=LEVEL, merged=merged)
    return found, surface, choice


def weights_of(mixtures: list[Mixture], sources: tuple[str, ...]) -> Floats:
    return _weights(mixtures, sources)


def _weights(mixtures: list[Mixture], sources: tuple[str, ...]) -> Floats:
    rows = [mixture.weights() for mixture in mixtures]
    return np.array([[row.get(name, 0.0) for name in sources] for row in rows])


def score(lab: Lab, scale: str, mixture: Mixture, seeds: Sequence[int], split: Split) -> Floats:
    """Return a mixture's score by seed: right-choice probability, equal weights of tasks."""
    arrays = lab.arrays(scale, [(mixture, seeds)], split)
    return np.mean([np.nanmean(array.values[0, 0], axis=1) for array in arrays], axis=0)  # type: ignore[no-any-return]


def budget_share(sizes: Sizes, probes: int) -> float:
    """Return the samples of so many probes over those of the random mixtures at full scale."""
    return probes * sizes.samples / (sizes.random * sizes.full_samples)


def plain_mean(parts: list[Any]) -> Combination:
    """Return the equal-weight mean of the tasks."""
    return combination(parts, range(len(parts[0].panel.means)))
