"""How flat the optimum is: how far one can move from the chosen mixture at a loss that a confirmation could not measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probe.decide.climbing import climb
from probe.decide.region import Region
from probe.decide.surrogates import Objective
from sources.estimate import Estimate

Floats = NDArray[np.float64]
POINTS = 2048
GRID = 201


@dataclass(frozen=True, slots=True)
class FlatOptimum:
    """What is as good as the chosen mixture, as far as `loss` can be measured (at `seeds` fresh seeds, two-sided `level`).

    `ranges`: the least and the greatest share of each source among all mixtures within the loss. `moves`: how far its share goes by
    itself, the others scaled alike; both by the surrogate's mean. `simplest` has the fewest sources and is then nearest to the base, of
    the mixtures whose predicted loss is within `loss` with its whole interval (by the mean alone the luckiest would be taken);
    `simplest_loss` is that loss, `moved` the part of the budget that it spends otherwise than the chosen mixture.
    """

    loss: float
    seeds: int
    level: float
    ranges: Mapping[str, tuple[float, float]]
    moves: Mapping[str, tuple[float, float]]
    simplest: Mapping[str, float]
    simplest_loss: Estimate
    moved: float


def measurable_loss(run_variance: float, df: float, seeds: int, level: float = 0.90) -> float:
    """Return half the width of the interval of a difference between two mixtures with `seeds` runs each.

    `run_variance` is that of one run, beside what its seed does to all mixtures alike, known with `df` degrees of freedom (infinite:
    the variance is that of a model). The noise of items is left out: near mixtures answer them alike.
    """
    from scipy.stats import norm, t

    quantile = float(t.ppf(0.5 + level / 2, df) if np.isfinite(df) else norm.ppf(0.5 + level / 2))
    return quantile * float(np.sqrt(2 * run_variance / seeds))


def flat_optimum(
    objective: Objective,
    sources: Sequence[str],
    found: ArrayLike,
    base: ArrayLike,
    region: Region,
    loss: float,
    *,
    seeds: int = 3,
    level: float = 0.90,
    seed: int = 0,
    n: int = 0,
) -> FlatOptimum:
    """Report what is within `loss` of the mixture `found[source]`, in the region. Deterministic in the seed."""
    around = _Around(objective, np.asarray(found, dtype=np.float64), region, loss, level)
    pool = np.vstack([around.found, region.sample(POINTS, seed)])
    flat = pool[around.flat(pool)]
    simplest = _simplest(around, np.asarray(base, dtype=np.float64), seed)
    mean, deviation = objective.difference(around.found, simplest)
    return FlatOptimum(
        loss=loss,
        seeds=seeds,
        level=level,
        ranges=dict(zip(sources, _ranges(around, flat, seed), strict=True)),
        moves={name: _move(around, k) for k, name in enumerate(sources)},
        simplest={name: float(share) for name, share in zip(sources, simplest, strict=True) if share > 0},
        simplest_loss=_normal(mean, deviation, level, n),
        moved=float(np.abs(simplest - around.found).sum() / 2),
    )


class _Around:
    """The mixtures of a region whose predicted score is at most `loss` below that of the one that was found."""

    def __init__(self, objective: Objective, found: Floats, region: Region, loss: float, level: float) -> None:
        from scipy.special import ndtri

        self.objective, self.found, self.region, self.loss = objective, found, region, loss
        self.least = float(objective.predict(found[None])[0][0]) - loss
        self.z = float(ndtri(0.5 + level / 2))

    def flat(self, points: Floats) -> NDArray[np.bool_]:
        good = self.objective.predict(points)[0] >= self.least - 1e-12
        if good.any():
            good[good] = self.region.shortfall(points[good]) == 0
        return good

    def surely_flat(self, points: Floats) -> NDArray[np.bool_]:
        """Say of each point whether its loss is within the measurable one with its whole interval."""
        good = self.flat(points)
        if good.any():
            mean, deviation = self.objective.differences(points[good], self.found)
            good[good] = self.z * deviation - mean <= self.loss + 1e-12
        return good


def _ranges(around: _Around, flat: Floats, seed: int) -> list[tuple[float, float]]:
    """Return each source's least and greatest share among the flat mixtures, the others free."""
    count = len(around.found)
    directions = np.vstack([np.eye(count), -np.eye(count)])
    starts = flat[np.argmax(flat @ directions.T, axis=0)]
    ends = climb(
        lambda points: np.einsum("dms,ds->dm", points, directions), around.flat, around.region.project, starts, seed, rounds=24, moves=24
    )
    return [(float(ends[count + k, k]), float(ends[k, k])) for k in range(count)]


def _move(around: _Around, k: int) -> tuple[float, float]:
    """Return how far the share of source `k` goes down and up from where it is, the others scaled alike."""
    own, others = float(around.found[k]), np.delete(around.found, k)
    others = others / others.sum() if others.sum() > 1e-12 else np.full(len(others), 1 / len(others))
    shares = np.unique(np.append(np.linspace(0, 1, GRID), own))
    kept = around.flat(np.insert(np.outer(1 - shares, others), k, shares, axis=1))
    here = int(np.searchsorted(shares, own))
    low = high = here
    while low > 0 and kept[low - 1]:
        low -= 1
    while high < len(shares) - 1 and kept[high + 1]:
        high += 1
    return float(shares[low]), float(shares[high])


def _simplest(around: _Around, base: Floats, seed: int) -> Floats:
    """Return the surely flat mixture of the fewest sources, of these the nearest to the base (least budget spent otherwise)."""
    used = int((around.found > 1e-9).sum())
    for most in range(max(1, int((np.array(around.region.bounds.least) > 0).sum())), used + 1):
        region = replace(around.region, most_sources=most)
        starts = _of_few_sources(around, region, base, seed)
        if len(starts):
            return _nearest(around, region, starts, base, seed)
    return around.found


def _of_few_sources(around: _Around, region: Region, base: Floats, seed: int) -> Floats:
    """Return surely flat mixtures of a region of few sources: samples, and those that are climbed to."""

    def predicted(points: Floats) -> Floats:
        return around.objective.predict(points.reshape(-1, points.shape[-1]))[0].reshape(points.shape[:-1])

    pool = region.project(np.vstack([around.found, base, region.sample(POINTS, seed)]))
    starts = pool[np.argsort(-predicted(pool), kind="stable")[:8]]
    ends = climb(predicted, lambda points: region.shortfall(points) == 0, region.project, starts, seed)
    found = np.vstack([ends, pool])
    return np.asarray(found[around.surely_flat(found)])


def _nearest(around: _Around, region: Region, starts: Floats, base: Floats, seed: int) -> Floats:
    def closeness(points: Floats) -> Floats:
        return -np.asarray(np.abs(points - base).sum(axis=-1) / 2)

    starts = starts[np.argsort(-closeness(starts), kind="stable")[:8]]
    ends = climb(closeness, lambda points: around.surely_flat(points) & (region.shortfall(points) == 0), region.project, starts, seed)
    best: Floats = ends[int(np.argmax(closeness(ends)))]
    return best


def _normal(value: float, deviation: float, level: float, n: int) -> Estimate:
    from scipy.special import ndtri

    z = float(ndtri(0.5 + level / 2))
    return Estimate(value, deviation, value - z * deviation, value + z * deviation, n)
