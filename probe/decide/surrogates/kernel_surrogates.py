"""Surrogates with a Gaussian prior over surfaces: the Gaussian process, and Bayesian ridge on weights and their square roots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probe.decide.surrogates.base import Fitted, Floats, checked, unit_of
from probe.decide.surrogates.kernels import Kernel, Linear, Matern, Problem, factor, most_probable

ITERATIONS = 60


class KernelSurrogate(Fitted):
    """A posterior under `kernel`; scores are standardised inside, hyperparameters are the most probable ones.

    `centre` moves the prior of the hyperparameters (logarithms, the noise last) to the estimate pooled over several targets.
    """

    kernel: Kernel

    def __init__(self, *, centre: Floats | None = None) -> None:
        self.centre = centre

    def _prepare(self, points: Floats) -> None:
        """Learn what features are scaled by; nothing by default."""

    def _features(self, weights: ArrayLike) -> Floats:
        raise NotImplementedError

    def _telling(self) -> NDArray[np.bool_]:
        """Say which runs the hyperparameters are learnt from; all by default."""
        return np.ones(len(self.runs), dtype=np.bool_)

    def fit(self, weights: ArrayLike, y: ArrayLike, noise_variance: ArrayLike | None = None) -> Self:
        """Fit to runs.

        Raises:
            ValueError: fewer than two runs, or shapes that disagree.
        """
        self.runs, values, known = checked(weights, y, noise_variance)
        self._mean, self._scale = float(values.mean()), unit_of(values)
        self._prepare(self.runs)
        self._points, self._known = self._features(self.runs), known / self._scale**2
        prior = self.kernel.prior(self._points.shape[1])
        prior = prior if self.centre is None else prior.around(self.centre)
        standard = (values - self._mean) / self._scale
        rows = self._telling()
        problem = Problem(self._points[rows], standard[rows, None], self._known[rows])
        self._theta = most_probable(self.kernel, prior, [problem], ITERATIONS)
        self._lower = factor(self.kernel, self._theta, self._points, self._known)
        return self._condition(standard)

    def _condition(self, standard: Floats) -> Self:
        from scipy.linalg import cho_solve

        self._solved = np.asarray(cho_solve((self._lower, True), standard))
        return self

    def predict(self, weights: ArrayLike) -> tuple[Floats, Floats]:
        """Return the posterior mean and deviation of the surface at `weights[point, source]`."""
        points = self._features(weights)
        cross = self.kernel.between(self._theta, points, self._points) + 1.0
        variance = self.kernel.diagonal(self._theta, points) + 1.0 - (self._whitened(cross) ** 2).sum(axis=0)
        return cross @ self._solved * self._scale + self._mean, np.sqrt(np.maximum(variance, 0.0)) * self._scale

    def covariance(self, weights: ArrayLike) -> Floats:
        """Return the posterior covariance of the surface between the points."""
        points = self._features(weights)
        whitened = self._whitened(self.kernel.between(self._theta, points, self._points) + 1.0)
        return np.asarray((self.kernel.between(self._theta, points, points) + 1.0 - whitened.T @ whitened) * self._scale**2)

    def _whitened(self, cross: Floats) -> Floats:
        from scipy.linalg import solve_triangular

        return np.asarray(solve_triangular(self._lower, cross.T, lower=True))

    def noise(self) -> Floats:
        """Return the variance of each run's score: the known one and what was found beyond it."""
        return np.asarray((np.exp(self._theta[-1]) + self._known) * self._scale**2)

    @classmethod
    def pooled(cls, weights: ArrayLike, values: Floats) -> Floats:
        """Return the hyperparameters that serve all targets `values[run, target]` best, each standardised."""
        points, one = np.asarray(weights, dtype=np.float64), cls()
        one._prepare(points)
        features = one._features(points)
        standard = np.column_stack([(column - column.mean()) / unit_of(column) for column in values.T])
        problem = Problem(features, standard, np.zeros(len(values)))
        return most_probable(cls.kernel, cls.kernel.prior(features.shape[1]), [problem], ITERATIONS)

    @classmethod
    def fit_all(cls, weights: ArrayLike, values: Floats, noise: Floats) -> Sequence[Self]:
        """Fit each target `values[run, target]` with the prior centred on the estimate pooled over them."""
        centre = cls.pooled(weights, values) if values.shape[1] > 1 else None
        return [cls(centre=centre).fit(weights, y, known) for y, known in zip(values.T, noise.T, strict=True)]


class GaussianProcess(KernelSurrogate):
    """A Gaussian process with a Matern-5/2 kernel and one length scale a source on square-root weights.

    The square root gives the first percents of a source the room that they need, and is the Hellinger metric on mixtures.
    """

    kernel = Matern()

    def _features(self, weights: ArrayLike) -> Floats:
        return np.sqrt(np.asarray(weights, dtype=np.float64))


class Ridge(KernelSurrogate):
    """Bayesian ridge on [w, sqrt w], standardised; its strength from the evidence (MacKay 1992, Bayesian interpolation)."""

    kernel = Linear()

    def _prepare(self, points: Floats) -> None:
        raw = np.hstack([points, np.sqrt(points)])
        spread = raw.std(axis=0)
        self._centre, self._spread = raw.mean(axis=0), np.where(spread > 1e-9, spread, 1.0)

    def _features(self, weights: ArrayLike) -> Floats:
        points = np.asarray(weights, dtype=np.float64)
        return np.asarray((np.hstack([points, np.sqrt(points)]) - self._centre) / self._spread)
