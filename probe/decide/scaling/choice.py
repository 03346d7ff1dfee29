"""Which law a curve follows, as far as its sizes can tell, and what it forecasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from probe.decide.scaling.laws import NEARLY_LOG, Curve, Fits, Floats, Law, fit_exponents, grid, profile
from sources.estimate import Estimate

LEAST_SIZES, LEAST_HELD_OUT = 3, 4
DRAWS = 4000
PARTED = 2.0  # deviations of a difference between two scores: what one more size must show to part two laws
MOST_DOUBLINGS = 10


@dataclass(frozen=True, slots=True, eq=False)
class LawChoice:
    """The law of a curve. `told` says whether its sizes leave no other one; else `law` is the one that forecast the largest size best.

    `exponent` is 0 for the logarithmic law; its interval decides. `doubling` is the gain of one doubling under the logarithmic law.
    `held_out[law]` is score minus forecast at the largest size, forecast from the others. `fits` is the p-value of "some law of the
    family fits" (NaN with three sizes, which any fits). `parts_at` is the size at which the laws that are left would part, None where
    there is none within reach or one law is left.
    """

    curve: Curve
    law: Law
    told: bool
    possible: tuple[Law, ...]
    exponent: Estimate
    doubling: Estimate
    held_out: Mapping[Law, Estimate] = field(default_factory=dict)
    fits: float = float("nan")
    parts_at: float | None = None

    def sentence(self) -> str:
        """Say it in words."""
        low, high = self.curve.sizes[[0, -1]]
        sizes = f"{len(self.curve.sizes)} sizes from {low:,.0f} to {high:,.0f}"
        if self.doubling.low <= 0 <= self.doubling.high and not self.told:
            return f"no growth beyond the noise over {sizes}, so no law can be told"
        if self.told:
            return f"{self.law.value} law ({sizes})"
        left = " and ".join(law.value for law in self.possible)
        cure = f"a size of {self.parts_at:,.0f} would part them" if self.parts_at else "more seeds would tell more"
        return f"{sizes} are too few to tell {left} apart; {cure}"


def choose_law(curve: Curve, level: float = 0.90) -> LawChoice:
    """Choose the law of a curve.

    The exponent's interval is the profile likelihood's (all exponents whose squared misfit exceeds the least one by no more than a
    squared t quantile). A law is told when the interval lies within its exponents, those nearer to zero than `NEARLY_LOG` being the
    logarithmic law's. Else the choice is the law under which the largest size is most likely, given the smaller ones (prequential
    likelihood: Dawid 1984, J. R. Statist. Soc. A 147, 278-292), exponents weighted by the profile; the simpler law where there are
    only three sizes.

    Raises:
        ValueError: fewer than three sizes.
    """
    if len(curve.sizes) < LEAST_SIZES:
        raise ValueError(f"a law needs at least {LEAST_SIZES} sizes, got {len(curve.sizes)}")
    exponent, misfit = _exponent(curve, level)
    possible = _possible(exponent)
    held_out, evidence = _held_out(curve, level) if len(curve.sizes) >= LEAST_HELD_OUT else ({}, {})
    told = len(possible) == 1
    law = possible[0] if told else max(possible, key=lambda one: evidence.get(one, 0.0 if one is Law.LOG else -1.0))
    return LawChoice(
        curve,
        law,
        told,
        possible,
        exponent,
        _doubling(curve, level),
        held_out,
        _goodness(curve, misfit),
        None if told else _parting(curve, possible),
    )


def forecast(curve: Curve, sizes: ArrayLike, level: float = 0.90, seed: int = 0) -> tuple[Estimate, ...]:
    """Forecast the mean score at sizes, over all exponents as far as the curve leaves them open, not under one chosen law alone.

    Draws: an exponent by its profile weight, level and slope given it, noise of unknown variance (t with the curve's `df`). The interval
    is for the mean over new seeds and items of the same kind.
    """
    rng = np.random.default_rng(seed)
    fits = profile(curve)
    picked = rng.choice(len(fits.exponents), DRAWS, p=fits.weights(curve.df))
    scale = np.sqrt(curve.df / rng.chisquare(curve.df, DRAWS))
    values, vectors = np.linalg.eigh(fits.covariance)
    roots = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    noise = (roots[picked] @ rng.standard_normal((DRAWS, 2, 1)))[:, :, 0]
    coefficients = fits.coefficients[picked] + scale[:, None] * noise
    drawn = np.einsum("dsc,dc->ds", fits.design(sizes)[picked], coefficients)
    low, high = np.quantile(drawn, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    middle, spread = np.median(drawn, axis=0), (high - low) / 2 / _normal_quantile(level)
    rows = zip(middle.tolist(), spread.tolist(), low.tolist(), high.tolist(), strict=True)
    return tuple(Estimate(value, deviation, lower, upper, len(curve.sizes)) for value, deviation, lower, upper in rows)


def _exponent(curve: Curve, level: float) -> tuple[Estimate, float]:
    """Return the exponent with its profile interval, and the least misfit."""
    from scipy.special import stdtrit

    fits, reach = profile(curve), float(stdtrit(curve.df, 0.5 + level / 2)) ** 2
    inside = fits.exponents[fits.misfit <= fits.misfit.min() + reach]
    low, high = float(inside.min()), float(inside.max())
    value = float(fits.exponents[fits.misfit.argmin()])
    return Estimate(value, (high - low) / 2 / _normal_quantile(level), low, high, len(curve.sizes)), float(fits.misfit.min())


def _possible(exponent: Estimate) -> tuple[Law, ...]:
    reaches = {
        Law.LOG: exponent.low <= NEARLY_LOG and exponent.high >= -NEARLY_LOG,
        Law.POWER: exponent.high > NEARLY_LOG,
        Law.SATURATING: exponent.low < -NEARLY_LOG,
    }
    return tuple(law for law, reached in reaches.items() if reached)


def _held_out(curve: Curve, level: float) -> tuple[dict[Law, Estimate], dict[Law, float]]:
    """Return each law's error at the largest size, forecast from the smaller ones, and the logarithm of its predictive density there."""
    from scipy.special import logsumexp
    from scipy.stats import t as student

    smaller, errors, evidence = curve.first(len(curve.sizes) - 1), {}, {}
    for law in Law:
        fits = profile(smaller, law)
        weights = fits.weights(curve.df)
        error, deviation = _errors(curve, fits)
        density = student.logpdf(error, curve.df, scale=deviation)
        evidence[law] = float(logsumexp(density, b=weights))
        mean = float(weights @ error)
        spread = float(np.sqrt(weights @ (deviation**2 + (error - mean) ** 2)))
        half = spread * float(student.ppf(0.5 + level / 2, curve.df))
        errors[law] = Estimate(mean, spread, mean - half, mean + half, len(curve.sizes))
    return errors, evidence


def _errors(curve: Curve, fits: Fits) -> tuple[Floats, Floats]:
    """Return score minus forecast at the largest size and its deviation, for each fit to the smaller ones."""
    forecast_by = (fits.design(curve.sizes[-1:]) @ fits.solve)[:, 0]
    contrast = np.concatenate([-forecast_by, np.ones((len(forecast_by), 1))], axis=1)
    variance = np.einsum("es,st,et->e", contrast, curve.covariance, contrast)
    return contrast @ curve.scores, np.sqrt(np.maximum(variance, 1e-300))


def _doubling(curve: Curve, level: float) -> Estimate:
    from scipy.special import stdtrit

    fit = fit_exponents(curve, [0.0])
    value, deviation = float(fit.coefficients[0, 1]) * np.log(2), float(np.sqrt(fit.covariance[0, 1, 1])) * np.log(2)
    half = deviation * float(stdtrit(curve.df, 0.5 + level / 2))
    return Estimate(value, deviation, value - half, value + half, len(curve.sizes))


def _goodness(curve: Curve, misfit: float) -> float:
    from scipy.stats import f

    free = len(curve.sizes) - 3
    return float(f.sf(misfit / free, free, curve.df)) if free > 0 else float("nan")


def _parting(curve: Curve, possible: Sequence[Law]) -> float | None:
    """Return the smallest number of doublings of the largest size at which the possible laws' best fits differ beyond noise."""
    best = []
    for law in possible:
        fits = fit_exponents(curve, [e for e in grid(law) if abs(e) >= NEARLY_LOG or law is Law.LOG])
        best.append((fits, int(fits.misfit.argmin())))
    alone = curve.covariance - curve.covariance.mean(axis=0) - curve.covariance.mean(axis=1)[:, None] + curve.covariance.mean()
    noise = float(np.sqrt(2 * np.median(np.diag(alone))))
    for doublings in range(1, MOST_DOUBLINGS + 1):
        size = float(curve.sizes[-1] * 2**doublings)
        scores = sorted(float(fits.at([size])[place, 0]) for fits, place in best)
        if min(np.diff(scores).tolist()) > PARTED * noise:
            return size
    return None


def _normal_quantile(level: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(0.5 + level / 2))
