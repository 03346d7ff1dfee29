"""Points on the simplex: shares within bounds, fillings of the space, distances between mixtures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ShareBounds:
    """The least and the greatest share of each source."""

    least: tuple[float, ...]
    greatest: tuple[float, ...]

    @classmethod
    def of(
        cls,
        sources: int,
        *,
        least: Sequence[float] | float = 0.0,
        greatest: Sequence[float] | float = 1.0,
        usable: Sequence[float] | None = None,
        budget: float = 0.0,
        epoch_cap: float | None = None,
    ) -> ShareBounds:
        """Take the tighter of the stated greatest shares and the epoch cap: share * `budget` <= `epoch_cap` * `usable` rows (or tokens).

        A cap of 4 to 5 epochs is what repetition costs nothing up to (Muennighoff et al. 2023; Olmix, arXiv 2602.12237).

        Raises:
            ValueError: no mixture keeps the bounds, with the sums in the message.
        """
        low = np.broadcast_to(np.asarray(least, dtype=np.float64), (sources,))
        high = stated = np.minimum(np.broadcast_to(np.asarray(greatest, dtype=np.float64), (sources,)), 1.0)
        if epoch_cap is not None and usable is not None and budget > 0:
            high = np.minimum(high, epoch_cap * np.asarray(usable, dtype=np.float64) / budget)
        _check(low, stated, high, budget)
        return cls(tuple(low.tolist()), tuple(high.tolist()))

    def project(self, points: ArrayLike) -> Floats:
        """Return the nearest mixtures within the bounds, `points[point, source]` in and out (Euclidean; bisection on the multiplier)."""
        x = np.atleast_2d(np.asarray(points, dtype=np.float64))
        return nearest_within(x, np.array(self.least), np.array(self.greatest))

    def without(self, dropped: Sequence[int]) -> ShareBounds | None:
        """Return the bounds with these sources held at zero; None where that leaves no mixture."""
        high = tuple(0.0 if k in dropped else value for k, value in enumerate(self.greatest))
        possible = all(self.least[k] == 0 for k in dropped) and sum(high) >= 1
        return ShareBounds(self.least, high) if possible else None


def nearest_within(points: Floats, low: Floats, high: Floats) -> Floats:
    """Return the mixtures nearest to `points[point, source]` within bounds, the same for all points or one row a point."""
    below, above = (low - points).min(axis=1) - 1.0, (high - points).max(axis=1) + 1.0
    for _ in range(60):
        middle = (below + above) / 2
        over = np.clip(points + middle[:, None], low, high).sum(axis=1) > 1
        below, above = np.where(over, below, middle), np.where(over, middle, above)
    return np.asarray(np.clip(points + below[:, None], low, high), dtype=np.float64)


def scaled_within(prior: Floats, low: Floats, high: Floats) -> Floats:
    """Return the mixtures within bounds (one row a mixture) that diverge least from `prior`: its shares scaled alike, then clipped.

    These are the conditions of Karush, Kuhn and Tucker for the least Kullback-Leibler divergence under a sum and bounds.
    """
    log = np.log(prior)
    below, above = np.full(len(high), -50.0), np.full(len(high), 50.0)
    for _ in range(80):
        middle = (below + above) / 2
        over = np.clip(np.exp(log + middle[:, None]), low, high).sum(axis=1) > 1
        below, above = np.where(over, below, middle), np.where(over, middle, above)
    return np.asarray(np.clip(np.exp(log + below[:, None]), low, high), dtype=np.float64)


def _check(low: Floats, stated: Floats, high: Floats, budget: float) -> None:
    """Refuse bounds that no mixture keeps: `stated` are the greatest shares asked for, `high` those that the epoch cap leaves."""
    if (low < 0).any() or (low > stated).any() or low.sum() > 1 + 1e-12:
        raise ValueError(f"the least shares contradict: they sum to {low.sum():.3f}, or one is negative or above its greatest share")
    if stated.sum() < 1 - 1e-12:
        raise ValueError(f"the greatest shares contradict: they sum to {stated.sum():.3f}, less than 1")
    if (low > high).any() or high.sum() < 1 - 1e-12:
        largest = _largest_budget(low, stated, high * budget)
        raise ValueError(
            f"no mixture of this budget keeps the epoch cap: the largest possible budget is {largest:,} "
            "(lower the budget, raise the epoch cap, or add sources)"
        )


def _largest_budget(low: Floats, stated: Floats, stock: Floats) -> int:
    """Return the largest budget that some mixture fills: min(stated, stock / budget) sums to 1 or more, and holds the least shares."""
    most = float(min(stock[low > 0] / low[low > 0], default=np.inf))
    below, above = 0.0, min(most, float(stock.sum()))
    for _ in range(60):
        middle = (below + above) / 2
        fits = middle <= 0 or np.minimum(stated, stock / middle).sum() >= 1
        below, above = (middle, above) if fits else (below, middle)
    return int(below + 1e-6)


def sobol_mixtures(n: int, sources: int, seed: int) -> Floats:
    """Return `n` points that fill the simplex evenly: scrambled Sobol, each mapped by normalised exponentials (uniform Dirichlet)."""
    from scipy.stats import qmc

    exponent = max(1, int(np.ceil(np.log2(max(n, 2)))))
    unit = qmc.Sobol(sources, rng=np.random.default_rng(seed)).random_base2(exponent)[:n]
    return from_exponentials(unit)


def from_exponentials(unit: ArrayLike) -> Floats:
    """Map points of the unit cube to the simplex, uniform to uniform: -log u, normalised (Devroye 1986, ch. V, theorem 4.1)."""
    gaps = -np.log(np.clip(np.asarray(unit, dtype=np.float64), 1e-12, 1 - 1e-12))
    return np.asarray(gaps / gaps.sum(axis=-1, keepdims=True), dtype=np.float64)


def to_exponentials(weights: ArrayLike) -> Floats:
    """Return a point of the unit cube that `from_exponentials` maps to `weights`, its gaps scaled to sum to the number of sources."""
    w = np.asarray(weights, dtype=np.float64)
    return np.asarray(np.clip(np.exp(-w * w.shape[-1]), 1e-6, 1 - 1e-6), dtype=np.float64)


def divergence(points: ArrayLike, base: ArrayLike) -> Floats:
    """Return the Kullback-Leibler divergence of each mixture from `base`, in nats; base shares count as at least .001, to stay finite."""
    w = np.atleast_2d(np.asarray(points, dtype=np.float64))
    return np.asarray((w * np.log(np.maximum(w, 1e-12) / positive(base))).sum(axis=1), dtype=np.float64)


def positive(base: ArrayLike) -> Floats:
    """Return a mixture with shares of at least .001, so that divergences from it are finite."""
    prior = np.maximum(np.asarray(base, dtype=np.float64), 1e-3)
    return np.asarray(prior / prior.sum(), dtype=np.float64)
