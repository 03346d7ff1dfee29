"""Several targets, each with its own surrogate, as one surface."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from probe.decide.surrogates.base import Floats, Surrogate

CHUNK = 128  # points whose covariance is held at once


class Objective:
    """A weighted sum of targets, each with its own surrogate, because targets depend on different sources.

    `correlation[target, target]` is that of the targets' errors. Without it errors are taken as fully correlated, an upper bound of the
    sum's deviation: targets share their runs. `run_scale` multiplies the deviation of a new run, as cross-validation found it.
    """

    def __init__(
        self,
        surrogates: Sequence[Surrogate],
        coefficients: Sequence[float] | None = None,
        correlation: Floats | None = None,
        run_scale: float = 1.0,
    ) -> None:
        self.surrogates, self.run_scale = tuple(surrogates), run_scale
        self.coefficients = tuple(coefficients) if coefficients is not None else (1.0 / len(self.surrogates),) * len(self.surrogates)
        self.correlation = fully_correlated(self.coefficients) if correlation is None else correlation

    def predict(self, weights: ArrayLike) -> tuple[Floats, Floats]:
        """Return the mean and the deviation of the surface at `weights[point, source]`."""
        parts = [surrogate.predict(weights) for surrogate in self.surrogates]
        return self._summed(parts)

    def predict_run(self, weights: ArrayLike) -> tuple[Floats, Floats]:
        """Return the mean and the deviation of a new run."""
        mean, deviation = self._summed([surrogate.predict_run(weights) for surrogate in self.surrogates])
        return mean, deviation * self.run_scale

    def _summed(self, parts: Sequence[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
        c = np.array(self.coefficients)
        deviations = np.array([part[1] for part in parts])
        return c @ np.array([part[0] for part in parts]), summed_deviation(deviations, c, self.correlation)

    def differences(self, points: ArrayLike, reference: ArrayLike) -> tuple[Floats, Floats]:
        """Return the mean and the deviation of the surface at `points[point, source]` minus at `reference[source]`."""
        parts = [differences(surrogate, points, np.asarray(reference, dtype=np.float64)) for surrogate in self.surrogates]
        return self._summed(parts)

    def difference(self, first: ArrayLike, second: ArrayLike) -> tuple[float, float]:
        """Return the mean and the deviation of the surface at `first[source]` minus at `second[source]`, from the posterior covariance."""
        mean, deviation = self.differences(np.asarray(first, dtype=np.float64)[None], second)
        return float(mean[0]), float(deviation[0])


def differences(surrogate: Surrogate, points: ArrayLike, reference: Floats) -> tuple[Floats, Floats]:
    """Return mean and deviation of a target at `points[point, source]` minus at `reference[source]`, from the posterior covariance."""
    x = np.atleast_2d(np.asarray(points, dtype=np.float64))
    mean, deviation = np.empty(len(x)), np.empty(len(x))
    for start in range(0, len(x), CHUNK):
        part = np.vstack([reference, x[start : start + CHUNK]])
        values, covariance = surrogate.predict(part)[0], surrogate.covariance(part)
        variance = np.diag(covariance)[1:] + covariance[0, 0] - 2 * covariance[0, 1:]
        mean[start : start + CHUNK] = values[1:] - values[0]
        deviation[start : start + CHUNK] = np.sqrt(np.maximum(variance, 0.0))
    same = np.abs(x - reference).max(axis=1) < 1e-9
    return np.where(same, 0.0, mean), np.where(same, 0.0, deviation)


def fully_correlated(coefficients: Sequence[float]) -> Floats:
    """Return the correlations of errors that add up, whatever the coefficients' signs."""
    signs = np.where(np.array(coefficients) < 0, -1.0, 1.0)
    return np.outer(signs, signs)


def summed_deviation(deviations: Floats, coefficients: Floats, correlation: Floats) -> Floats:
    """Return the deviation of a weighted sum of targets from `deviations[target, ...]`."""
    weighted = np.moveaxis(deviations, 0, -1) * coefficients
    return np.sqrt(np.maximum(np.einsum("...i,ij,...j->...", weighted, correlation, weighted), 0.0))  # type: ignore[no-any-return]
