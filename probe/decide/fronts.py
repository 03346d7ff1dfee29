"""Fronts: mixtures that no other beats in every goal at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from probe.decide.climbing import climb
from probe.decide.region import Region

Floats = NDArray[np.float64]
Goal = Callable[[Floats], Floats]  # of mixtures [point, source]; higher is better
POINTS, DIRECTIONS = 4096, 48


def front(goals: Sequence[Goal], region: Region, starts: Floats, *, most: int = 15, points: int = POINTS, seed: int = 0) -> Floats:
    """Return up to `most` mixtures `[point, source]` that spread over the front, ordered by the first goal, the best first.

    The region is sampled, and from the samples climbs go towards weighted Chebyshev distances to the best of each goal (Bowman 1976;
    these reach every point of a front, bent inwards or not). Surrogates are cheap for many points at once and slow one by one, so this
    finds a better front than NSGA-II in the same time (`benchmarks/mixtures.py --only fronts` compares them). Deterministic in the seed.

    Raises:
        ValueError: no mixture was found that keeps the region's constraints.
    """
    pool = np.vstack([region.project(starts), region.sample(points, seed)])
    pool = pool[region.shortfall(pool) == 0]
    if not len(pool):
        raise ValueError("no mixture was found that keeps all constraints")
    values = _values(goals, pool)
    low, high = values.min(axis=0), values.max(axis=0)
    unit = np.where(high > low, high - low, 1.0)
    weights = _directions(len(goals), seed)

    def score(moved: Floats) -> Floats:
        flat = moved.reshape(-1, moved.shape[-1])
        away = ((high - _values(goals, flat)) / unit).reshape(*moved.shape[:-1], len(goals))
        return -np.asarray((away * weights[:, None]).max(axis=-1) + 0.01 * (away * weights[:, None]).sum(axis=-1))

    away = (high - values) / unit
    first = [int(np.argmin((away * w).max(axis=1) + 0.01 * (away * w).sum(axis=1))) for w in weights]
    climbed = climb(score, lambda x: region.shortfall(x) == 0, region.project, pool[first], seed, rounds=20, moves=24)
    values = _values(goals, climbed)
    kept = non_dominated(values)
    return _spread(climbed[kept], values[kept] / unit, most)


def non_dominated(values: Floats) -> NDArray[np.bool_]:
    """Say which of `values[point, goal]` no other point beats in one goal without losing in another; the first of equal ones."""
    kept = np.zeros(len(values), dtype=np.bool_)
    for k in np.lexsort(-values.T[::-1]).tolist():  # a point is only beaten by one that comes before it
        front = values[kept]
        kept[k] = not (front >= values[k]).all(axis=1).any()
    return kept


def _values(goals: Sequence[Goal], points: Floats) -> Floats:
    return np.column_stack([goal(points) for goal in goals])


def _directions(goals: int, seed: int) -> Floats:
    """Return weights of goals: each alone, then filling the simplex."""
    if goals == 2:
        share = np.linspace(0, 1, DIRECTIONS)
        return np.column_stack([share, 1 - share])
    drawn = np.random.default_rng(seed).dirichlet(np.ones(goals), DIRECTIONS)
    return np.vstack([np.eye(goals), drawn])


def _spread(points: Floats, values: Floats, most: int) -> Floats:
    """Return the best of each goal and then points far from those chosen, sorted by the first goal, best first."""
    chosen = list(dict.fromkeys(values.argmax(axis=0).tolist()))[:most]
    distance = np.min([np.linalg.norm(values - values[k], axis=1) for k in chosen], axis=0)
    while len(chosen) < most and distance.max() > 1e-3:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(values - values[chosen[-1]], axis=1))
    return points[sorted(chosen, key=lambda k: -values[k, 0])]
