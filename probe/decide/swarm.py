"""The swarm: mixtures that fill the simplex, and repeats that say how noisy a run is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probe.decide.simplex import ShareBounds, sobol_mixtures

Floats = NDArray[np.float64]
SAME = 1e-6  # shares closer than this are one mixture
POOL = 4096


@dataclass(frozen=True, slots=True)
class SwarmMixture:
    """A mixture to train, `repeats` times with other seeds and draws; `shares` run parallel to the sources asked for."""

    shares: tuple[float, ...]
    repeats: int = 1


def swarm_mixtures(
    sources: Sequence[str],
    n: int,
    seed: int,
    base: ArrayLike,
    *,
    min_active: int = 1,
    bounds: ShareBounds | None = None,
    vertices: bool = False,
    repeated: int = 2,
    repeats: int = 3,
    least_share: float = 0.02,
    existing: ArrayLike | None = None,
) -> tuple[SwarmMixture, ...]:
    """Choose `n` different mixtures: the base, uniform, the vertices if asked for, `existing` ones, then points far from all of these.

    The rest is greedy maximin (Kennard & Stone 1969, Technometrics 11, 137-148) in the metric of square-root weights over Sobol points of
    every number of active sources from `min_active` up, so edges and faces are seen and not only the middle. Solo arms of the same budget
    can serve as vertices, which is why these are left out by default. The first `repeated` mixtures (base and uniform: noise differs
    between mixtures) get `repeats` runs each. Shares below `least_share` are set to zero. Deterministic in the seed, and the first of a
    larger swarm are the smaller swarm: what is chosen does not depend on `n`, and `existing[mixture, source]` count as chosen.

    Raises:
        ValueError: `n` is below 1 or `min_active` outside 1..number of sources.
    """
    count = len(sources)
    if n < 1 or not 1 <= min_active <= count:
        raise ValueError(f"needs n >= 1 and 1 <= min_active <= {count}, got {n} and {min_active}")
    bounds = bounds or ShareBounds.of(count)
    given = np.asarray(base, dtype=np.float64)
    fixed = [given / given.sum(), np.full(count, 1 / count), *(np.eye(count) if vertices else [])]
    known = np.zeros((0, count)) if existing is None else np.asarray(existing, dtype=np.float64).reshape(-1, count)
    chosen = _distinct([*_within(bounds, np.array(fixed)), *known])[:n]
    pool = _within(bounds, _candidates(count, POOL, seed, min_active, least_share))
    distance = np.min([_distance(pool, point) for point in chosen], axis=0)
    while len(chosen) < n and distance.max() >= SAME:  # else bounds are so tight that nothing is left
        chosen.append(pool[int(np.argmax(distance))])
        distance = np.minimum(distance, _distance(pool, chosen[-1]))
    return tuple(SwarmMixture(tuple(row.tolist()), repeats if k < repeated else 1) for k, row in enumerate(chosen))


def _within(bounds: ShareBounds, points: Floats) -> Floats:
    """Project into the bounds; what the projection leaves of zero shares is zero again, so that it is no source of the mixture."""
    projected = bounds.project(points)
    cleaned = np.where(projected < SAME, 0.0, projected)
    return np.asarray(cleaned / cleaned.sum(axis=1, keepdims=True), dtype=np.float64)


def _distance(pool: Floats, point: Floats) -> Floats:
    return np.asarray(np.linalg.norm(np.sqrt(pool) - np.sqrt(point), axis=1), dtype=np.float64)


def _distinct(points: Sequence[Floats]) -> list[Floats]:
    kept: list[Floats] = []
    for point in points:
        if all(np.abs(point - other).max() > SAME for other in kept):
            kept.append(point)
    return kept


def _candidates(count: int, n: int, seed: int, min_active: int, least_share: float) -> Floats:
    """Return Sobol mixtures whose number of active sources runs evenly from `min_active` to all; a lone source only if asked for."""
    rng = np.random.default_rng(seed)
    points = sobol_mixtures(n, count, seed)
    fewest = min(max(min_active, 2), count)
    active = fewest + np.arange(n) % (count - fewest + 1)
    rank = rng.random((n, count)).argsort(axis=1).argsort(axis=1)
    points = np.where(rank < active[:, None], points, 0.0)
    points /= points.sum(axis=1, keepdims=True)
    small = np.where(points < least_share, 0.0, points)
    enough = (small > 0).sum(axis=1) >= fewest
    points = np.where(enough[:, None], small, points)
    return np.asarray(points / points.sum(axis=1, keepdims=True), dtype=np.float64)
