"""Scaling laws of a score over training size, fitted as one family whose exponent says which law it is.

Score at size n: `level + slope * g(n / n0)` with the Box-Cox transform g(x) = (x^e - 1) / e, ln x at e = 0 (Box and Cox 1964, J. R.
Statist. Soc. B 26, 211-252). An exponent of zero is the logarithmic law (a + b ln n, which SAIL-VL's curves follow), a positive one the
power law (a + b n^k; 1 is linear), a negative one the saturating law (a - b n^-k, with a ceiling).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sources.estimate import Estimate

Floats = NDArray[np.float64]
STEP = 0.02
FINE = 121
LEAST_EXPONENT, GREATEST_EXPONENT = -2.0, 1.5
NEARLY_LOG = 0.25  # exponents this near to zero make one law with the logarithmic: over 16 times the size their curves differ little


class Law(enum.StrEnum):
    """How a score grows with size."""

    LOG = "log"
    POWER = "power"
    SATURATING = "saturating"


EXPONENTS: dict[Law, tuple[float, float]] = {
    Law.LOG: (0.0, 0.0),
    Law.POWER: (STEP, GREATEST_EXPONENT),
    Law.SATURATING: (LEAST_EXPONENT, -STEP),
}


def grid(law: Law | None = None) -> Floats:
    """Return the exponents that are tried, of one law or of all."""
    low, high = EXPONENTS[law] if law else (LEAST_EXPONENT, GREATEST_EXPONENT)
    return np.round(np.arange(low, high + STEP / 2, STEP), 6)


def growth(sizes: ArrayLike, unit: float, exponent: float) -> Floats:
    """Return g(size / unit) of one exponent."""
    logs = np.log(np.asarray(sizes, dtype=np.float64) / unit)
    return np.expm1(exponent * logs) / exponent if exponent else logs


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Scores at sizes: `scores[size]` and their covariance `[size, size]`, whose seed part was estimated with `df` degrees of freedom."""

    sizes: Floats
    scores: Floats
    covariance: Floats
    df: float

    @property
    def unit(self) -> float:
        """Return the size that exponents are relative to: the geometric mean."""
        return float(np.exp(np.log(self.sizes).mean()))

    def estimates(self, level: float) -> tuple[Estimate, ...]:
        """Return the score at each size with its interval, for new seeds and items."""
        from scipy.special import stdtrit

        deviations = np.sqrt(np.diag(self.covariance))
        halves = deviations * float(stdtrit(self.df, 0.5 + level / 2))
        rows = zip(self.scores.tolist(), deviations.tolist(), halves.tolist(), strict=True)
        return tuple(Estimate(value, deviation, value - half, value + half, len(self.sizes)) for value, deviation, half in rows)

    def first(self, count: int) -> Curve:
        """Return the curve without all but its smallest sizes."""
        return Curve(self.sizes[:count], self.scores[:count], self.covariance[:count, :count], self.df)


@dataclass(frozen=True, slots=True, eq=False)
class Fits:
    """Level and slope fitted by generalised least squares for each of several exponents.

    `coefficients[exponent, 2]` with `covariance[exponent, 2, 2]`; `misfit[exponent]` is the squared distance left. `solve[exponent, 2,
    size]` takes scores to coefficients.
    """

    exponents: Floats
    unit: float
    coefficients: Floats
    covariance: Floats
    misfit: Floats
    solve: Floats

    def design(self, sizes: ArrayLike) -> Floats:
        """Return what level and slope are multiplied by at sizes [exponent, size, 2]."""
        wanted = np.asarray(sizes, dtype=np.float64)
        grown = np.stack([growth(wanted, self.unit, float(exponent)) for exponent in self.exponents])
        return np.stack([np.ones_like(grown), grown], axis=-1)

    def at(self, sizes: ArrayLike) -> Floats:
        """Return the fitted scores at sizes [exponent, size]."""
        return np.asarray((self.design(sizes) @ self.coefficients[:, :, None])[:, :, 0], dtype=np.float64)

    def weights(self, df: float) -> Floats:
        """Return each exponent's weight (their sum is 1), which falls with the misfit as a t density does."""
        weights = (1 + (self.misfit - self.misfit.min()) / df) ** (-(df + 1) / 2)
        return np.asarray(weights / weights.sum(), dtype=np.float64)


def fit_exponents(curve: Curve, exponents: ArrayLike, unit: float | None = None) -> Fits:
    """Fit level and slope for each exponent."""
    tried, reference = np.asarray(exponents, dtype=np.float64), unit or curve.unit
    grown = np.stack([growth(curve.sizes, reference, float(exponent)) for exponent in tried])
    design = np.stack([np.ones_like(grown), grown], axis=-1)
    inverse = np.linalg.pinv(curve.covariance, hermitian=True)
    covariance = np.asarray(np.linalg.pinv(design.transpose(0, 2, 1) @ inverse @ design, hermitian=True), dtype=np.float64)
    solve = covariance @ design.transpose(0, 2, 1) @ inverse
    coefficients = solve @ curve.scores
    left = curve.scores - (design @ coefficients[:, :, None])[:, :, 0]
    misfit = np.einsum("es,st,et->e", left, inverse, left)
    return Fits(tried, reference, coefficients, covariance, misfit, solve)


def profile(curve: Curve, law: Law | None = None, reach: float = 40.0) -> Fits:
    """Return fits of exponents close enough for the profile of the misfit to be seen: a coarse grid, then finer ones where it is low."""
    coarse = fit_exponents(curve, grid(law))
    if len(coarse.exponents) == 1:
        return coarse
    near = coarse.exponents[coarse.misfit <= coarse.misfit.min() + reach]
    low, high = EXPONENTS[law] if law else (LEAST_EXPONENT, GREATEST_EXPONENT)
    ends = max(low, near.min() - STEP), min(high, near.max() + STEP)
    fine = fit_exponents(curve, np.linspace(*ends, FINE))
    near = fine.exponents[fine.misfit <= fine.misfit.min() + reach]
    if len(near) > FINE // 4:
        return fine
    gap = (ends[1] - ends[0]) / (FINE - 1)
    return fit_exponents(curve, np.linspace(max(ends[0], near.min() - gap), min(ends[1], near.max() + gap), FINE))
