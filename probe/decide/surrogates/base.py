"""What a search asks of a surrogate of the response surface, and what all surrogates do alike."""

from __future__ import annotations

from typing import Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class Surrogate(Protocol):
    """From the weights of trained mixtures to a mean and a deviation anywhere on the simplex; higher is better."""

    def fit(self, weights: ArrayLike, y: ArrayLike, noise_variance: ArrayLike | None = None) -> Self:
        """Fit to runs: `weights[run, source]`, `y[run]` and the known variance of each run's score (None: all of it is estimated).

        Raises:
            ValueError: fewer than two runs, or shapes that disagree.
        """
        ...

    def predict(self, weights: ArrayLike) -> tuple[Floats, Floats]:
        """Return the mean and the deviation (of the surface, not of a new run) at `weights[point, source]`."""
        ...

    def predict_run(self, weights: ArrayLike) -> tuple[Floats, Floats]:
        """Return the mean and the deviation of a new run's score at `weights[point, source]`: the surface's and a run's noise."""
        ...

    def covariance(self, weights: ArrayLike) -> Floats:
        """Return the posterior covariance of the surface between the points."""
        ...

    def noise(self) -> Floats:
        """Return the variance of each run's score around the surface."""
        ...


class Fitted:
    """What follows from a surrogate's mean, covariance and noise at its runs `[run, source]`."""

    runs: Floats

    def predict(self, weights: ArrayLike) -> tuple[Floats, Floats]:
        """Return the mean and the deviation of the surface."""
        raise NotImplementedError

    def covariance(self, weights: ArrayLike) -> Floats:
        """Return the covariance of the surface between the points."""
        raise NotImplementedError

    def noise(self) -> Floats:
        """Return the variance of each run's score around the surface."""
        raise NotImplementedError

    def predict_run(self, weights: ArrayLike) -> tuple[Floats, Floats]:
        """Return the mean and the deviation of a new run, as noisy as the runs are on average."""
        mean, deviation = self.predict(weights)
        return mean, np.sqrt(deviation**2 + self.noise().mean())


def checked(weights: ArrayLike, y: ArrayLike, noise_variance: ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    """Return runs as arrays `[run, source]`, `[run]` and `[run]`.

    Raises:
        ValueError: fewer than two runs, or shapes that disagree.
    """
    points, values = np.asarray(weights, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if points.ndim != 2 or values.shape != points.shape[:1] or len(values) < 2:
        raise ValueError(f"weights are [run, source] and y [run] of at least two runs, got {points.shape} and {values.shape}")
    known = np.zeros(len(values)) if noise_variance is None else np.asarray(noise_variance, dtype=np.float64)
    return points, values, np.broadcast_to(known, values.shape)


def unit_of(values: Floats) -> float:
    """Return the deviation of scores, 1 where they are all the same."""
    spread = float(values.std())
    return spread if spread > 1e-12 * max(1.0, float(np.abs(values).max())) else 1.0
