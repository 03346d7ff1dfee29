"""Where merging adapters says something else than training does: by mixture, and along which sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probe.decide.means import LEVEL
from probe.decide.rank_agreement import kendall
from sources.estimate import Estimate

Floats = NDArray[np.float64]
FEWEST = 4  # mixtures beside single sources: two are spent on the line
FEWEST_FOR_SOURCES = 8


@dataclass(frozen=True, slots=True)
class Residual:
    """One trained mixture: its score, what merging predicts by the line through all mixtures, and the difference over seeds.

    The difference's interval holds the seeds of both; it has no width that can be told (NaN) where nothing was trained twice.
    """

    mixture: str
    trained: float
    predicted: float
    difference: Estimate


@dataclass(frozen=True, slots=True)
class Tilt:
    """How the residual changes with one source's share: trained less predicted, a whole share; `decided` if not zero beyond doubt."""

    source: str
    slope: Estimate
    decided: bool


@dataclass(frozen=True, slots=True)
class Agreement:
    """How merged and trained scores of the same mixtures agree: trained = `offset` + `slope` * merged + residual.

    `order` is Kendall's tau-b over the mixtures. Single sources are in none of it: their merged adapter is the trained one.
    """

    order: Estimate | None
    offset: float
    slope: float
    residuals: tuple[Residual, ...]
    tilts: tuple[Tilt, ...]


def agreement(
    names: Sequence[str],
    sources: Sequence[str],
    weights: ArrayLike,
    trained: ArrayLike,
    merged: ArrayLike,
    trained_noise: ArrayLike,
    merged_noise: ArrayLike,
    level: float = LEVEL,
) -> Agreement | None:
    """Compare scores `[mixture]` of `weights[mixture, source]`, none of them a single source, with the variances of both.

    The line is least squares. Each source's slope is that of a simple regression of the residuals on its share, all at a joint `level`
    (Bonferroni over sources; Student's t). None of fewer than `FEWEST` mixtures, or where merging says the same of all.
    """
    from scipy.special import ndtri

    y, m, w = np.asarray(trained, dtype=np.float64), np.asarray(merged, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    if len(y) < FEWEST or np.ptp(m) == 0:
        return None
    slope, offset = np.polyfit(m, y, 1).tolist()
    predicted = offset + slope * m
    variance = np.asarray(trained_noise, dtype=np.float64) + slope**2 * np.asarray(merged_noise, dtype=np.float64)
    deviation = np.where(variance > 0, np.sqrt(variance), np.nan)
    z = float(ndtri(0.5 + level / 2))
    residuals = [
        Residual(name, float(y[k]), float(predicted[k]), _around(float(y[k] - predicted[k]), float(deviation[k]), z, len(y)))
        for k, name in enumerate(names)
    ]
    return Agreement(kendall(m, y, level), offset, slope, tuple(residuals), _tilts(sources, w, y - predicted, level))


def _around(value: float, deviation: float, factor: float, n: int) -> Estimate:
    return Estimate(value, deviation, value - factor * deviation, value + factor * deviation, n)


def _tilts(sources: Sequence[str], weights: Floats, residuals: Floats, level: float) -> tuple[Tilt, ...]:
    """Return each source's slope of the residuals, those that are furthest from zero first."""
    from scipy.stats import t

    n = len(residuals)
    if n < FEWEST_FOR_SOURCES:
        return ()
    found = []
    for k, source in enumerate(sources):
        share = weights[:, k] - weights[:, k].mean()
        spread = float(share @ share)
        if spread <= 1e-12:
            continue
        slope = float(share @ residuals) / spread
        left = residuals - residuals.mean() - slope * share
        error = float(np.sqrt(left @ left / (n - 2) / spread))
        estimate = _around(slope, error, float(t.ppf(0.5 + (1 - (1 - level) / len(sources)) / 2, n - 2)), n)
        found.append(Tilt(source, estimate, estimate.low > 0 or estimate.high < 0))
    return tuple(sorted(found, key=lambda tilt: -abs(tilt.slope.value) / max(tilt.slope.stderr, 1e-300)))
