"""Several targets, each with its own surrogate, as one surface."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from probe.decide.surrogates.base import Floats, Surrogate


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

    def difference(self, first: ArrayLike, second: ArrayLike) -> tuple[float, float]:
        """Return the mean and the deviation of the surface at `first[source]` minus at `second[source]`, from the posterior covariance."""
        points = np.stack([np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)])
        mean = self.predict(points)[0]
        covariances = [surrogate.covariance(points) for surrogate in self.surrogates]
        deviations = np.array([[np.sqrt(max(k[0, 0] + k[1, 1] - 2 * k[0, 1], 0.0))] for k in covariances])
        return float(mean[0] - mean[1]), float(summed_deviation(deviations, np.array(self.coefficients), self.correlation)[0])

    def redrawn(self, rng: np.random.Generator) -> Objective:
        """Return the objective refitted to runs drawn anew."""
        return Objective([surrogate.redrawn(rng) for surrogate in self.surrogates], self.coefficients, self.correlation, self.run_scale)


def fully_correlated(coefficients: Sequence[float]) -> Floats:
    """Return the correlations of errors that add up, whatever the coefficients' signs."""
    signs = np.where(np.array(coefficients) < 0, -1.0, 1.0)
    return np.outer(signs, signs)


def summed_deviation(deviations: Floats, coefficients: Floats, correlation: Floats) -> Floats:
    """Return the deviation of a weighted sum of targets from `deviations[target, ...]`."""
    weighted = np.moveaxis(deviations, 0, -1) * coefficients
    return np.sqrt(np.maximum(np.einsum("...i,ij,...j->...", weighted, correlation, weighted), 0.0))  # type: ignore[no-any-return]
