"""Which mixtures to train next: the greatest expected improvement over what was trained, runs being noisy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probe.decide.posterior import posterior_draws
from probe.decide.region import Region
from probe.decide.simplex import divergence
from probe.decide.surrogates import Objective
from sources.estimate import Estimate

Floats = NDArray[np.float64]
FEW, SAMPLES = 768, 1024
APART = 0.02  # two mixtures differ by at least this part of the budget
LEAST_SHARE = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """A mixture to train: its shares, the improvement that it is expected to add to those before it, and its predicted score.

    `improvement.value` is a mean over draws of the surface, its standard error that of the draws. `predicted` is the surface's, not a
    run's. `chance` is the probability that it is better than every trained mixture and every proposal before it.
    """

    shares: Floats
    improvement: Estimate
    predicted: Estimate
    chance: float


def next_mixtures(
    objective: Objective,
    trained: ArrayLike,
    region: Region,
    n: int,
    *,
    prior: ArrayLike | None = None,
    price: float = 0.0,
    level: float = 0.90,
    candidates: int = FEW,
    samples: int = SAMPLES,
    seed: int = 0,
) -> tuple[Proposal, ...]:
    """Choose up to `n` mixtures of the region by noisy expected improvement (Letham et al. 2019, Bayesian Analysis 14, 495-519).

    Surfaces are drawn from the joint posterior at the `trained` mixtures `[mixture, source]` and at candidates, so what was best so far
    is as uncertain as it is, and no noisy score is taken for the truth. The batch is chosen one by one: each draw's best counts the
    mixtures that were chosen before it, at their drawn values, which is what fantasies of their scores average over (Wilson et al. 2018,
    Maximizing acquisition functions; greedy is near-optimal as the criterion is submodular). `price` a nat of divergence from `prior` is
    taken off, as in the search. Fewer than `n` come back where no more candidates are `APART`. Deterministic in the seed.

    Raises:
        ValueError: `n` is below 1, or no candidate keeps the region's constraints.
    """
    if n < 1:
        raise ValueError(f"needs n >= 1, got {n}")
    runs = np.unique(np.atleast_2d(np.asarray(trained, dtype=np.float64)).round(9), axis=0)
    pool = _candidates(objective, runs, region, candidates, seed)
    if not len(pool):
        raise ValueError("no mixture was found that keeps all constraints")
    points = np.vstack([runs, pool])
    cost = price * divergence(points, prior) if prior is not None and price else np.zeros(len(points))
    drawn = posterior_draws(objective, points, samples, seed) - cost
    best, values = drawn[:, : len(runs)].max(axis=1), drawn[:, len(runs) :]
    mean, deviation = objective.predict(pool)
    chosen: list[Proposal] = []
    free = np.ones(len(pool), dtype=np.bool_)
    while len(chosen) < n and free.any():
        gain = np.maximum(values - best[:, None], 0.0)
        k = int(np.argmax(np.where(free, gain.mean(axis=0), -1.0)))
        predicted = _normal(float(mean[k]), float(deviation[k]), level)
        chosen.append(Proposal(pool[k], _of_draws(gain[:, k], level), predicted, float((values[:, k] > best).mean())))
        best = np.maximum(best, values[:, k])
        free &= np.abs(pool - pool[k]).sum(axis=1) / 2 >= APART
    return tuple(chosen)


def _candidates(objective: Objective, runs: Floats, region: Region, n: int, seed: int) -> Floats:
    """Return feasible mixtures: a half fills the region, a half lies around the mixtures that are predicted best; none was trained."""
    rng = np.random.default_rng(seed)
    wide = region.sample(8 * n, seed)
    known = np.vstack([region.project(runs), wide])
    mean, deviation = objective.predict(known)
    best = known[np.argsort(-(mean + deviation), kind="stable")[:16]]
    steps = rng.choice([0.02, 0.05, 0.1], (n, 1))
    near = region.project(best[rng.integers(0, len(best), n)] + steps * rng.standard_normal((n, wide.shape[1])))
    wide = wide[np.argsort(-(objective.predict(wide)[0] + 2 * objective.predict(wide)[1]), kind="stable")]
    pool = _without_crumbs(np.vstack([wide[: n // 4], wide[n // 4 :: 28], near[: n // 2]]), region)
    pool = pool[region.shortfall(pool) == 0]
    far = np.abs(pool[:, None] - runs[None]).sum(axis=2).min(axis=1) / 2 >= APART
    return np.unique(pool[far], axis=0)


def _without_crumbs(points: Floats, region: Region) -> Floats:
    """Set shares that are too small to train to zero, where the bounds let them go."""
    small = (points < LEAST_SHARE) & (np.array(region.bounds.least) == 0)
    cleaned = np.where(small, 0.0, points)
    cleaned = cleaned / cleaned.sum(axis=1, keepdims=True)
    return np.where((region.shortfall(cleaned) == 0)[:, None], cleaned, points)


def _normal(value: float, deviation: float, level: float) -> Estimate:
    from scipy.special import ndtri

    z = float(ndtri(0.5 + level / 2))
    return Estimate(value, deviation, value - z * deviation, value + z * deviation, 0)


def _of_draws(drawn: Floats, level: float) -> Estimate:
    """Return the mean over draws with the interval of that mean."""
    estimate = _normal(float(drawn.mean()), float(drawn.std(ddof=1) / np.sqrt(len(drawn))), level)
    return Estimate(estimate.value, estimate.stderr, max(estimate.low, 0.0), estimate.high, len(drawn))
