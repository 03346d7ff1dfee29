"""Empirical-Bayes moderation of seed variances: three seeds alone decide nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
# How far log-variances of contrasts are expected to differ before any is seen, as a variance: about 1, hardly above 2.4. The bundled
# proxy's probes have 1.1 on the mean of three benchmarks (`calibration_pool.py`), arms that are equal 0, log-deviations of .8 have 1.3.
EXPECTED_EXCESS, EXCESS_VARIANCE = 1.0, 0.5


@dataclass(frozen=True, slots=True)
class VariancePrior:
    """A scaled inverse chi-square prior around `variance` with `df` degrees of freedom (0: no moderation, inf: one common variance).

    `pooled_df` caps the degrees of freedom of any moderated variance: the family of contrasts holds no more than that.
    """

    variance: float
    df: float
    pooled_df: float

    def moderate(self, variances: ArrayLike, df: ArrayLike) -> tuple[Floats, Floats]:
        """Return posterior variances and their degrees of freedom (Smyth 2004, Linear models and empirical Bayes, eq. 4 and sec. 4)."""
        own, own_df = np.nan_to_num(np.asarray(variances, dtype=np.float64)), np.asarray(df, dtype=np.float64)
        if self.df == 0:
            return own, own_df
        if np.isinf(self.df):
            return np.full_like(own, self.variance), np.full_like(own_df, self.pooled_df)
        total = self.df + own_df
        posterior = (self.df * self.variance + own_df * own) / total
        return posterior, np.maximum(np.minimum(total, self.pooled_df), own_df)


def fit_prior(variances: ArrayLike, df: ArrayLike, pooled_df: float, members: ArrayLike | None = None) -> VariancePrior:
    """Estimate the prior from variances by the moments of log s^2 (Smyth 2004, sec. 6.2); no moderation from fewer than two.

    How far true variances differ, `excess`, is hardly known from a few arms with two degrees of freedom each; taken at its estimate, a
    third of studies of very unequal arms would pool them as if equal, and call too much. So it is a compromise of the estimate and of
    what is expected (`EXPECTED_EXCESS`), each weighed by its precision: the estimate's variance is about 2 trigamma(d/2)^2 for each free
    arm. With many arms or seeds the data rule. `members[k]` are the two arms of contrast k, see `_scatter`; without, contrasts are free
    of one another. Tiny variances are raised to 1e-5 of the median as limma does, so that a zero does not rule the logarithms.
    """
    from scipy.special import digamma, polygamma

    s2, d = np.broadcast_arrays(np.asarray(variances, dtype=np.float64), np.asarray(df, dtype=np.float64))
    known = d > 0
    s2, d = s2[known], d[known]
    if len(s2) < 2 or not np.any(s2 > 0):
        return VariancePrior(float(s2.mean()) if len(s2) else 0.0, 0.0, float(pooled_df))
    pooled = float((d * s2).sum() / d.sum())
    s2 = np.maximum(s2, 1e-5 * max(float(np.median(s2)), 1e-12 * pooled))
    e = np.log(s2) - digamma(d / 2) + np.log(d / 2)
    noise = float(polygamma(1, d / 2).mean())
    found, free = _scatter(e, None if members is None else np.asarray(members)[known])
    doubt = 2 * noise**2 / EXCESS_VARIANCE
    excess = (doubt * EXPECTED_EXCESS + free * (found - noise)) / (doubt + free)
    if excess <= 0:
        return VariancePrior(pooled, float("inf"), float(pooled_df))
    d0 = 2.0 * _inverse_trigamma(excess)
    return VariancePrior(float(np.exp(e.mean() + digamma(d0 / 2) - np.log(d0 / 2))), d0, float(pooled_df))


def _scatter(values: Floats, members: NDArray[np.int64] | None) -> tuple[float, int]:
    """Return the variance of contrasts' values, and from how many free arms it is.

    Contrasts that share an arm are alike, and a plain sample variance would come out too small. So it is half the mean square of the
    differences between contrasts that share none (a U-statistic: Hoeffding 1948, Ann. Math. Statist. 19, 293-325); 0 arms where there
    are none such.
    """
    count = free = len(values)
    apart, couples = count * (values**2).sum() - values.sum() ** 2, count * (count - 1) / 2
    if members is not None:
        arms, places = np.unique(members, return_inverse=True)
        ends, twice, free = places.reshape(-1, 2).T.ravel(), np.concatenate([values, values]), len(arms)
        n, sums, squares = np.bincount(ends), np.bincount(ends, twice), np.bincount(ends, twice**2)
        apart, couples = apart - (n * squares - sums**2).sum(), couples - (n * (n - 1)).sum() / 2
    return (float(apart / couples / 2), free - 1) if couples > 0 else (0.0, 0)


def _inverse_trigamma(value: float) -> float:
    """Solve trigamma(y) = value by Newton's method on 1/trigamma, which is convex (Smyth 2004, appendix)."""
    from scipy.special import polygamma

    if value > 1e7:
        return float(1 / np.sqrt(value))
    if value < 1e-6:
        return 1 / value
    y = 0.5 + 1 / value
    for _ in range(50):
        tri = float(polygamma(1, y))
        step = tri * (1 - tri / value) / float(polygamma(2, y))
        y += step
        if -step / y < 1e-8:
            break
    return y


def pooled_degrees_of_freedom(runs: ArrayLike, *, centred: bool) -> float:
    """Return how many degrees of freedom the pooled variance of a family of contrasts has.

    `runs[arm, repeat]` are per-repeat means of complete arms. `centred` for pairs between arms (what all arms share in a repeat cancels);
    else for arms against a constant, where a shared seed effect makes the arms' variances one and the same draw. Satterthwaite's
    n tr(S)^2 / tr(S^2) with both traces unbiased under a Wishart law (Srivastava 2005, J. Japan Statist. Soc. 35, sec. 2), kept between n
    and n times the number of free contrasts. With two repeats the traces say nothing, and pairs are taken as exchangeable.
    """
    values = np.asarray(runs, dtype=np.float64)
    if centred:
        values = values - values.mean(axis=0)
    arms, n = values.shape[0] - int(centred), values.shape[1] - 1
    if n < 1 or arms < 1:
        return 0.0
    if n == 1:
        return float(arms if centred else 1)
    residuals = values - values.mean(axis=1, keepdims=True)
    gram = residuals.T @ residuals / n  # same traces as the covariance over arms
    first, second = float(np.trace(gram)), float((gram**2).sum())
    factor = n / ((n - 1) * (n + 2))
    squared_trace = factor * ((n + 1) * first**2 - 2 * second)
    trace_of_square = factor * (n * second - first**2)
    if trace_of_square <= 0:
        return float(n * arms)
    return float(np.clip(n * squared_trace / trace_of_square, n, n * arms))
