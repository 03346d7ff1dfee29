"""Empirical-Bayes moderation of seed variances: three seeds alone decide nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


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


def fit_prior(variances: ArrayLike, df: ArrayLike, pooled_df: float) -> VariancePrior:
    """Estimate the prior from variances by the moments of log s^2 (Smyth 2004, sec. 6.2); no moderation from fewer than two.

    Tiny variances are raised to 1e-5 of the median as limma does, so that a zero does not rule the logarithms.
    """
    from scipy.special import digamma, polygamma

    s2, d = np.broadcast_arrays(np.asarray(variances, dtype=np.float64), np.asarray(df, dtype=np.float64))
    s2, d = s2[d > 0], d[d > 0]
    if len(s2) < 2 or not np.any(s2 > 0):
        return VariancePrior(float(s2.mean()) if len(s2) else 0.0, 0.0, float(pooled_df))
    pooled = float((d * s2).sum() / d.sum())
    s2 = np.maximum(s2, 1e-5 * max(float(np.median(s2)), 1e-12 * pooled))
    e = np.log(s2) - digamma(d / 2) + np.log(d / 2)
    excess = float(e.var(ddof=1) - polygamma(1, d / 2).mean())
    if excess <= 0 or d.max() == 1:  # single degrees of freedom cannot tell variances apart
        return VariancePrior(pooled, float("inf"), float(pooled_df))
    d0 = 2.0 * _inverse_trigamma(excess)
    return VariancePrior(float(np.exp(e.mean() + digamma(d0 / 2) - np.log(d0 / 2))), d0, float(pooled_df))


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
