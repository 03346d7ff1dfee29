"""How well predictions of held-out runs agree with what these runs scored: order, error, and whether intervals hold what they promise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from probe.decide.surrogates.base import Floats
from probe.decide.surrogates.cross_validation import ranked
from sources.estimate import Estimate

RESAMPLES = 400


@dataclass(frozen=True, slots=True)
class Prediction:
    """A held-out run by its place among all runs: what it scored, and what fits that did not see it predicted, with a run's interval."""

    run: int
    observed: float
    predicted: Estimate


def judged(truth: Floats, predicted: Floats, level: float) -> tuple[Estimate | None, Estimate | None]:
    """Return Spearman and R2 of held-out predictions `[repeat, run]` of the objective, with percentile intervals over runs."""
    if truth.std() <= 1e-12 * max(1.0, float(np.abs(truth).max())):
        return None, None
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(truth), len(truth)) for _ in range(RESAMPLES)]
    found: list[Estimate | None] = []
    for figure in (ranked, _explained):
        value = float(np.mean([figure(one, truth) for one in predicted]))
        again = np.array([np.mean([figure(one[rows], truth[rows]) for one in predicted]) for rows in draws])
        again = again[np.isfinite(again)]
        if not np.isfinite(value) or len(again) < 2:
            found.append(None)
            continue
        low, high = np.quantile(again, [0.5 - level / 2, 0.5 + level / 2]).tolist()
        found.append(Estimate(value, float(again.std(ddof=1)), min(low, value), max(high, value), len(truth)))
    return found[0], found[1]


def _explained(predicted: Floats, truth: Floats) -> float:
    spread = float(truth.var())
    return 1.0 - float(((truth - predicted) ** 2).mean()) / spread if np.ptp(truth) > 0 else float("nan")


def coverage(predictions: tuple[Prediction, ...], level: float = 0.90) -> Estimate | None:
    """Return the share of held-out runs inside their interval, with its exact binomial one (Clopper & Pearson 1934); None of none."""
    from scipy.special import betaincinv

    n = len(predictions)
    if not n:
        return None
    inside = sum(one.predicted.low <= one.observed <= one.predicted.high for one in predictions)
    tail = (1 - level) / 2
    low = float(betaincinv(inside, n - inside + 1, tail)) if inside else 0.0
    high = float(betaincinv(inside + 1, n - inside, 1 - tail)) if inside < n else 1.0
    value = inside / n
    return Estimate(value, float(np.sqrt(value * (1 - value) / n)), low, high, n)
