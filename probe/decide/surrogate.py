"""Surrogates of the response surface: from the weights of trained mixtures to a mean and a deviation anywhere on the simplex."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
PRIOR_DEVIATION = 1.0  # of the logarithms of the hyperparameters
NOISE_MEDIAN = 0.3  # of the variance of the scores


class Surrogate(Protocol):
    """What a search asks of a surrogate; higher is better."""

    def fit(self, weights: ArrayLike, y: ArrayLike, noise_variance: ArrayLike | None = None) -> Self:
        """Fit to runs: `weights[run, source]`, `y[run]` and the known variance of each run's score (None: all of it is estimated)."""
        ...

    def predict(self, weights: ArrayLike) -> tuple[Floats, Floats]:
        """Return the mean and the deviation (of the surface, not of a new run) at `weights[point, source]`."""
        ...

    def covariance(self, weights: ArrayLike) -> Floats:
        """Return the posterior covariance of the surface between the points."""
        ...

    def redrawn(self, rng: np.random.Generator) -> Self:
        """Return a refit on runs drawn anew from this fit (parametric bootstrap), hyperparameters kept."""
        ...


class GaussianProcess:
    """A Gaussian process with a Matern-5/2 kernel and one length scale a source on square-root weights.

    The square root gives the first percents of a source the room that they need, and is the Hellinger metric on mixtures; on RegMix's
    public runs this was the best single surrogate up to 64 runs (research.md, section 8). Matern-5/2 and ARD as in Snoek et al. 2012
    (Practical Bayesian Optimization, sec. 3.1). Length scales are held within .1 and 10 of a unit cube: few runs cannot tell beyond.
    """

    def __init__(self, *, seed: int = 0, restarts: int = 2) -> None:
        self.seed, self.restarts = seed, restarts
        self._model: Any = None

    def fit(self, weights: ArrayLike, y: ArrayLike, noise_variance: ArrayLike | None = None) -> Self:
        """Fit to runs; scores are standardised inside.

        Raises:
            ValueError: fewer than two runs, or shapes that disagree.
        """
        points, values = np.asarray(weights, dtype=np.float64), np.asarray(y, dtype=np.float64)
        if points.ndim != 2 or values.shape != points.shape[:1] or len(values) < 2:
            raise ValueError(f"weights are [run, source] and y [run] of at least two runs, got {points.shape} and {values.shape}")
        self._mean, spread = float(values.mean()), float(values.std())
        self._scale = spread if spread > 0 else 1.0
        known = np.zeros(len(values)) if noise_variance is None else np.broadcast_to(np.asarray(noise_variance, np.float64), values.shape)
        self._alpha = known / self._scale**2 + 1e-8
        self._points, self._values = np.sqrt(points), (values - self._mean) / self._scale
        self._model = self._regressor(self._kernel(points.shape[1]), self.restarts)
        self._refit(self._values)
        return self

    @staticmethod
    def _kernel(sources: int) -> Any:
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

        surface = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(np.full(sources, 1.0), (0.1, 10.0), nu=2.5)
        return surface + WhiteKernel(0.05, (1e-6, 1.0))

    def _regressor(self, kernel: Any, restarts: int | None) -> Any:
        from sklearn.gaussian_process import GaussianProcessRegressor

        optimizer, again = (_most_probable, restarts) if restarts is not None else (None, 0)
        return GaussianProcessRegressor(
            kernel, alpha=self._alpha, optimizer=optimizer, n_restarts_optimizer=again, random_state=self.seed
        )  # fmt: skip

    def _refit(self, values: Floats) -> None:
        from sklearn.exceptions import ConvergenceWarning

        with warnings.catch_warnings():
            # A length scale at its bound means "this source does not matter", and is no reason to bother the user.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._model.fit(self._points, values)

    def predict(self, weights: ArrayLike) -> tuple[Floats, Floats]:
        """Return the posterior mean and deviation of the surface at `weights[point, source]`."""
        from scipy.linalg import solve_triangular

        cross, surface = self._cross(weights)
        mean = cross @ self._model.alpha_
        solved = solve_triangular(self._model.L_, cross.T, lower=True)
        variance = np.maximum(surface.diag(np.sqrt(np.asarray(weights))) - (solved**2).sum(axis=0), 0.0)
        return mean * self._scale + self._mean, np.sqrt(variance) * self._scale

    def covariance(self, weights: ArrayLike) -> Floats:
        """Return the posterior covariance of the surface between the points."""
        from scipy.linalg import solve_triangular

        cross, surface = self._cross(weights)
        solved = solve_triangular(self._model.L_, cross.T, lower=True)
        return np.asarray((surface(np.sqrt(np.asarray(weights))) - solved.T @ solved) * self._scale**2, dtype=np.float64)

    def _cross(self, weights: ArrayLike) -> tuple[Floats, Any]:
        surface = self._model.kernel_.k1  # without the white noise: the surface itself
        return surface(np.sqrt(np.asarray(weights, dtype=np.float64)), self._points), surface

    def redrawn(self, rng: np.random.Generator) -> Self:
        """Refit on scores drawn from the posterior at the runs plus their noise (parametric bootstrap; Efron & Tibshirani 1993, 6.5)."""
        runs = self._points**2
        mean, covariance = self.predict(runs)[0], self.covariance(runs)
        values, vectors = np.linalg.eigh(covariance)
        drawn = mean + vectors @ (np.sqrt(np.maximum(values, 0.0)) * rng.standard_normal(len(mean)))
        noise = self._model.kernel_.k2.noise_level + self._alpha
        other = type(self)(seed=self.seed, restarts=self.restarts)
        other._points, other._alpha, other._mean, other._scale = self._points, self._alpha, self._mean, self._scale
        other._model = self._regressor(self._model.kernel_, None)
        other._refit((drawn - self._mean) / self._scale + np.sqrt(noise) * rng.standard_normal(len(mean)))
        other._values = other._model.y_train_
        return other


def _most_probable(negative_log_likelihood: Any, start: Floats, bounds: Floats) -> tuple[Floats, float]:
    """Maximise likelihood times log-normal priors of the hyperparameters (order: signal, length scales, noise; all as logarithms).

    By likelihood alone, a length scale a source fits the noise of a few dozen runs: on RegMix's runs its 90 % intervals held 78 % of
    held-out runs at N = 32, with these priors 94 %. They are weak: medians 1 for signal and length scales and `NOISE_MEDIAN`,
    log-deviation 1 (maximum a posteriori, Rasmussen & Williams 2006, sec. 5.2; Hvarfner et al. 2024 for priors of length scales).
    """
    from scipy.optimize import minimize

    centre = np.zeros(len(start))
    centre[-1] = np.log(NOISE_MEDIAN)

    def penalised(theta: Floats) -> tuple[float, Floats]:
        value, gradient = negative_log_likelihood(theta, eval_gradient=True)
        away = (theta - centre) / PRIOR_DEVIATION
        return value + float((away**2).sum()) / 2, gradient + away / PRIOR_DEVIATION

    found: Any = minimize(penalised, start, jac=True, method="L-BFGS-B", bounds=[(float(low), float(high)) for low, high in bounds])
    return np.asarray(found.x, dtype=np.float64), float(found.fun)


class Objective:
    """A weighted sum of targets, each with its own surrogate, as one surface.

    One surrogate a target, because targets depend on different sources (research.md, section 8: fitted per loss it beats one fit of the
    mean). Targets share their runs, so their errors are taken as fully correlated: an upper bound of the sum's deviation.
    """

    def __init__(self, surrogates: Sequence[Surrogate], coefficients: Sequence[float] | None = None) -> None:
        self.surrogates = tuple(surrogates)
        self.coefficients = tuple(coefficients) if coefficients is not None else (1.0 / len(self.surrogates),) * len(self.surrogates)

    def predict(self, weights: ArrayLike) -> tuple[Floats, Floats]:
        """Return the mean and the (upper bound of the) deviation at `weights[point, source]`."""
        parts = [surrogate.predict(weights) for surrogate in self.surrogates]
        mean = sum((c * part[0] for c, part in zip(self.coefficients, parts, strict=True)), np.zeros(len(np.asarray(weights))))
        deviation = sum((abs(c) * part[1] for c, part in zip(self.coefficients, parts, strict=True)), np.zeros(len(np.asarray(weights))))
        return mean, deviation

    def difference(self, first: ArrayLike, second: ArrayLike) -> tuple[float, float]:
        """Return the mean and the deviation of the surface at `first[source]` minus at `second[source]`, from the posterior covariance."""
        points = np.stack([np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)])
        mean = self.predict(points)[0]
        deviation = 0.0
        for c, surrogate in zip(self.coefficients, self.surrogates, strict=True):
            k = surrogate.covariance(points)
            deviation += abs(c) * float(np.sqrt(max(k[0, 0] + k[1, 1] - 2 * k[0, 1], 0.0)))
        return float(mean[0] - mean[1]), deviation

    def redrawn(self, rng: np.random.Generator) -> Objective:
        """Return the objective refitted to runs drawn anew."""
        return Objective([surrogate.redrawn(rng) for surrogate in self.surrogates], self.coefficients)
