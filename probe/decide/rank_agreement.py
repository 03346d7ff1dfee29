"""Whether a metric puts arms in the order in which what they write is right."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probe.decide.means import LEVEL
from sources.estimate import Estimate

FEWEST_ARMS = 5
RESAMPLES = 2000


def kendall(one: ArrayLike, other: ArrayLike, level: float = LEVEL, *, fewest: int = FEWEST_ARMS) -> Estimate | None:
    """Return Kendall's tau-b (Kendall 1945, Biometrika 33, 239-251) of two scores `[arm]`, with an interval over new arms.

    A percentile bootstrap over arms (Efron 1979). Where arms agree or disagree in every pair it would have no width: then the exact
    bound of n // 2 independent pairs is taken (Clopper & Pearson 1934). None of fewer than `fewest` arms, or where either score is the
    same for all; `n` counts arms.
    """
    one, other = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    known = np.isfinite(one) & np.isfinite(other)
    arms = int(known.sum())
    if arms < fewest:
        return None
    a, b = (np.sign(np.subtract.outer(score[known], score[known])) for score in (one, other))
    value = float(_taus(a, b, np.ones((1, arms)))[0])
    if not np.isfinite(value):
        return None
    draws = np.random.default_rng(0).multinomial(arms, np.full(arms, 1 / arms), RESAMPLES).astype(np.float64)
    taus = _taus(a, b, draws)
    taus = taus[np.isfinite(taus)]
    low, high = (float(q) for q in np.quantile(taus, [0.5 - level / 2, 0.5 + level / 2]))
    if abs(value) == 1:
        bound = 2 * ((1 - level) / 2) ** (1 / (arms // 2)) - 1
        low, high = (min(low, bound), 1.0) if value > 0 else (-1.0, max(high, -bound))
    return Estimate(value, float(taus.std()), low, high, arms)


def _taus(a: NDArray[np.float64], b: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return tau-b with each arm taken `weights[draw, arm]` times, from the signs of differences [arm, arm]; NaN where all are tied."""
    product, of_a, of_b = (np.einsum("ki,ij,kj->k", weights, pairs, weights, optimize=True) for pairs in (a * b, a * a, b * b))
    with np.errstate(invalid="ignore", divide="ignore"):
        taus = product / np.sqrt(of_a * of_b)
    return np.asarray(np.clip(taus, -1.0, 1.0), dtype=np.float64)
