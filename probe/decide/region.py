"""The mixtures that may be chosen: bounds, a greatest number of sources, a trust region around a prior, floors of capabilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probe.decide.simplex import ShareBounds, divergence, nearest_within, positive, scaled_within, sobol_mixtures
from probe.decide.surrogates import Surrogate
from probe.decide.surrogates.objective import differences

Floats = NDArray[np.float64]
TOLERANCE = 1e-6  # a shortfall up to this is rounding


@dataclass(frozen=True, slots=True, eq=False)
class Floor:
    """A target's predicted gain over `base[source]` is at least `least` with `probability`; .5 asks it of the mean alone."""

    name: str
    surrogate: Surrogate
    base: Floats
    least: float = 0.0
    probability: float = 0.9

    def shortfall(self, points: ArrayLike) -> Floats:
        """Return how far below the floor each point is, 0 on or above it."""
        from scipy.special import ndtri

        mean, deviation = differences(self.surrogate, points, self.base)
        return np.maximum(self.least - mean + float(ndtri(self.probability)) * deviation, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Which mixtures are allowed. `prior` and `max_kl` (nats) bound the divergence from a mixture; None and () bound nothing.

    `project` keeps all constraints but the floors; `shortfall` says by how much a point misses any of them.
    """

    bounds: ShareBounds
    most_sources: int | None = None
    prior: tuple[float, ...] = ()
    max_kl: float | None = None
    floors: tuple[Floor, ...] = ()

    def project(self, points: ArrayLike) -> Floats:
        """Bring `points[point, source]` near-by into the region, floors aside: the sources with the largest shares, then the bounds,
        then along the line to the mixture that diverges least from the prior (divergence grows along it, because it is convex).
        """
        x = np.atleast_2d(np.asarray(points, dtype=np.float64))
        low, high = np.array(self.bounds.least), np.broadcast_to(np.array(self.bounds.greatest), x.shape)
        if self.most_sources is not None and self.most_sources < x.shape[1]:
            high = np.where(_supports(x, low, high[0], self.most_sources), high, 0.0)
        inside = nearest_within(x, low, high)
        return inside if self.max_kl is None else self._trusted(inside, low, high)

    def _trusted(self, points: Floats, low: Floats, high: Floats) -> Floats:
        assert self.max_kl is not None
        nearest = scaled_within(positive(self.prior), low, high)
        far = divergence(points, self.prior) > self.max_kl
        below, above = np.zeros(len(points)), np.ones(len(points))
        for _ in range(50):
            middle = (below + above) / 2
            over = divergence(nearest + middle[:, None] * (points - nearest), self.prior) > self.max_kl
            below, above = np.where(over, below, middle), np.where(over, middle, above)
        return np.where(far[:, None], nearest + below[:, None] * (points - nearest), points)

    def shortfall(self, points: ArrayLike) -> Floats:
        """Return by how much each point misses the constraints in all, 0 where it keeps them."""
        x = np.atleast_2d(np.asarray(points, dtype=np.float64))
        low, high = np.array(self.bounds.least), np.array(self.bounds.greatest)
        missed = [np.maximum(low - x, 0.0).sum(axis=1) + np.maximum(x - high, 0.0).sum(axis=1)]
        if self.most_sources is not None:
            missed.append(np.maximum((x > TOLERANCE).sum(axis=1) - float(self.most_sources), 0.0))
        if self.max_kl is not None:
            missed.append(np.maximum(divergence(x, self.prior) - self.max_kl, 0.0))
        missed += [floor.shortfall(x) for floor in self.floors]
        total = np.sum(missed, axis=0)
        return np.where(total > TOLERANCE, total, 0.0)

    def without(self, dropped: Sequence[int]) -> Region | None:
        """Return the region with these sources held at zero; None where that leaves no mixture within the bounds."""
        bounds = self.bounds.without(dropped)
        return None if bounds is None else replace(self, bounds=bounds)

    def sample(self, n: int, seed: int) -> Floats:
        """Return about `n` mixtures that fill the region, faces and edges of the simplex too; floors aside."""
        sources = len(self.bounds.least)
        rng = np.random.default_rng(seed)
        points = sobol_mixtures(n, sources, seed)
        most = min(self.most_sources or sources, sources)
        active = np.where(np.arange(n) % 2 == 0, most, rng.integers(1, most + 1, n))
        rank = rng.random((n, sources)).argsort(axis=1).argsort(axis=1)
        kept = np.where(rank < active[:, None], points, 0.0)
        return self.project(kept / kept.sum(axis=1, keepdims=True))


def feasible(region: Region, starts: ArrayLike, *, points: int = 1024, rounds: int = 12, moves: int = 64, seed: int = 0) -> bool:
    """Say whether a mixture that keeps every constraint is found, among a sample, `starts[point, source]` and moves from the best."""
    pool = np.vstack([region.project(starts), region.sample(points, seed)])
    short = region.shortfall(pool)
    rng = np.random.default_rng(seed)
    best, least = pool[int(np.argmin(short))], float(short.min())
    for step in np.geomspace(0.2, 0.005, rounds) if least > 0 else ():
        near = region.project(best + step * rng.standard_normal((moves, pool.shape[1])))
        short = region.shortfall(near)
        if short.min() < least:
            best, least = near[int(np.argmin(short))], float(short.min())
    return least == 0.0


def conflict(names: Sequence[str], possible: Callable[[frozenset[str]], bool]) -> tuple[str, ...]:
    """Return constraints that cannot hold together, none of which can be spared; nothing if all can hold.

    `possible` says whether a set of them can hold. The deletion filter of Chinneck & Dravnieks 1991 (ORSA J. Computing 3, 157-168).
    """
    if possible(frozenset(names)):
        return ()
    kept = list(names)
    for name in names:
        if not possible(frozenset(kept) - {name}):
            kept.remove(name)
    return tuple(kept)


def _supports(points: Floats, low: Floats, high: Floats, most: int) -> NDArray[np.bool_]:
    """Return which sources each point may use: those with a least share, then the largest shares that still let the rest sum to 1."""
    chosen = np.broadcast_to(low > 0, points.shape).copy()
    for left in range(most - int((low > 0).sum()) - 1, -1, -1):
        free = np.where(chosen, 0.0, high)
        held = np.cumsum(np.sort(free, axis=1)[:, ::-1], axis=1)
        before = held[:, [left - 1]] if left else 0.0
        # What all places can hold together if a source takes this one; the others go to the greatest bounds that are left.
        room = np.where(chosen, high, 0.0).sum(axis=1, keepdims=True) + np.minimum(free + before, held[:, [left]])
        possible = np.where(~chosen & (high > 0) & (room >= 1 - 1e-12), points, -np.inf)
        widest = np.where(chosen, -np.inf, high)
        best = np.where(np.isfinite(possible).any(axis=1), possible.argmax(axis=1), widest.argmax(axis=1))
        chosen[np.arange(len(points)), best] = True
    return chosen
