"""Gaussian priors over surfaces: the kernels, their gradients, and the most probable hyperparameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ROOT5 = float(np.sqrt(5.0))
JITTER = 1e-8


@dataclass(frozen=True, slots=True, eq=False)
class Prior:
    """Normal priors of the hyperparameters' logarithms (the last one is the noise), held within `low` and `high`."""

    centre: Floats
    deviation: Floats
    low: Floats
    high: Floats

    def around(self, centre: Floats) -> Prior:
        """Return the prior moved to another centre: the estimate pooled over targets."""
        return Prior(np.clip(centre, self.low, self.high), self.deviation, self.low, self.high)


class Kernel(Protocol):
    """A covariance between points `[point, feature]`, with hyperparameters as logarithms."""

    def prior(self, features: int) -> Prior:
        """Return the prior of the hyperparameters, the noise last."""
        ...

    def between(self, theta: Floats, first: Floats, second: Floats) -> Floats:
        """Return the covariance of the surface between two sets of points."""
        ...

    def diagonal(self, theta: Floats, points: Floats) -> Floats:
        """Return the variance of the surface at the points."""
        ...

    def gradient(self, theta: Floats, points: Floats, sensitivity: Floats) -> Floats:
        """Return sum_ij `sensitivity[i, j]` dK[i, j] / d theta for the surface's hyperparameters (all but the noise)."""
        ...


class Matern:
    """Matern-5/2 with one length scale a feature (Snoek et al. 2012, sec. 3.1); hyperparameters: signal, length scales, noise.

    Length scales are held within .1 and 10 of a unit cube: few runs cannot tell beyond. By likelihood alone, a length scale a source
    fits the noise of a few dozen runs; the log-normal priors are weak, log-deviation 1, with medians 1 for the signal, .3 for the
    noise and sqrt(features) / 2 for length scales, which grow with the distances in many dimensions (maximum a posteriori, Rasmussen &
    Williams 2006, sec. 5.2; scaled as by Hvarfner et al. 2024, arXiv 2402.02229).
    """

    def prior(self, features: int) -> Prior:
        """Return the prior of the hyperparameters."""
        centre = np.log(np.concatenate([[1.0], np.full(features, np.sqrt(features) / 2), [0.3]]))
        low = np.log(np.concatenate([[1e-2], np.full(features, 0.1), [1e-6]]))
        high = np.log(np.concatenate([[1e2], np.full(features, 10.0), [1.0]]))
        return Prior(centre, np.ones(features + 2), low, high)

    def between(self, theta: Floats, first: Floats, second: Floats) -> Floats:
        """Return the covariance between two sets of points."""
        r = ROOT5 * _distances(first / np.exp(theta[1:-1]), second / np.exp(theta[1:-1]))
        return np.asarray(np.exp(theta[0] - r) * (1 + r + r**2 / 3))

    def diagonal(self, theta: Floats, points: Floats) -> Floats:
        """Return the variance at the points."""
        return np.full(len(points), np.exp(theta[0]))

    def gradient(self, theta: Floats, points: Floats, sensitivity: Floats) -> Floats:
        """Return the gradient, all length scales from one matrix product: sum_ij M_ij (x_i - x_j)^2 by expanding the square."""
        scaled = points / np.exp(theta[1:-1])
        r = ROOT5 * _distances(scaled, scaled)
        decay = np.exp(theta[0] - r)
        m = sensitivity * decay * (1 + r) * (5 / 3)
        squares = 2 * ((scaled**2).T @ m.sum(axis=1) - np.einsum("ik,ik->k", scaled, m @ scaled))
        return np.concatenate([[float((sensitivity * decay * (1 + r + r**2 / 3)).sum())], squares])


class Guided:
    """Matern-5/2 on all features but the last, and a line along the last: a prior mean that is followed as far as the scores follow it.

    Hyperparameters: signal, length scales, variance of the line's slope, noise. What a line leaves is expected to be less than all of it:
    the median of the remainder's signal is .3.
    """

    _remainder = Matern()

    def prior(self, features: int) -> Prior:
        """Return the prior of the hyperparameters."""
        own = self._remainder.prior(features - 1)
        centre, deviation = np.insert(own.centre, -1, 0.0), np.insert(own.deviation, -1, 1.5)
        centre[0] = np.log(0.3)
        return Prior(centre, deviation, np.insert(own.low, -1, np.log(1e-4)), np.insert(own.high, -1, np.log(1e2)))

    def between(self, theta: Floats, first: Floats, second: Floats) -> Floats:
        """Return the covariance between two sets of points."""
        line = np.exp(theta[-2]) * np.outer(first[:, -1], second[:, -1])
        # The same object twice: distances of a set to itself are exact then.
        rest = first[:, :-1]
        return np.asarray(line + self._remainder.between(np.delete(theta, -2), rest, rest if first is second else second[:, :-1]))

    def diagonal(self, theta: Floats, points: Floats) -> Floats:
        """Return the variance at the points."""
        return np.asarray(np.exp(theta[0]) + np.exp(theta[-2]) * points[:, -1] ** 2)

    def gradient(self, theta: Floats, points: Floats, sensitivity: Floats) -> Floats:
        """Return the gradient."""
        line = np.exp(theta[-2]) * float(points[:, -1] @ sensitivity @ points[:, -1])
        return np.append(self._remainder.gradient(np.delete(theta, -2), points[:, :-1], sensitivity), line)


class Linear:
    """The kernel of a linear surface with equal normal priors of its slopes (Bayesian ridge); hyperparameters: signal, noise."""

    def prior(self, features: int) -> Prior:
        """Return the prior of the hyperparameters."""
        return Prior(np.log([1.0, 0.3]), np.array([2.0, 1.0]), np.log([1e-4, 1e-6]), np.log([1e2, 1.0]))

    def between(self, theta: Floats, first: Floats, second: Floats) -> Floats:
        """Return the covariance between two sets of points."""
        return np.asarray(np.exp(theta[0]) / first.shape[1] * (first @ second.T))

    def diagonal(self, theta: Floats, points: Floats) -> Floats:
        """Return the variance at the points."""
        return np.asarray(np.exp(theta[0]) / points.shape[1] * (points**2).sum(axis=1))

    def gradient(self, theta: Floats, points: Floats, sensitivity: Floats) -> Floats:
        """Return the gradient."""
        return np.array([float((sensitivity * self.between(theta, points, points)).sum())])


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Standardised scores `values[run, target]` at `points[run, feature]`, with the `known[run]` part of their noise."""

    points: Floats
    values: Floats
    known: Floats


def most_probable(kernel: Kernel, prior: Prior, problems: Sequence[Problem], iterations: int) -> Floats:
    """Return the hyperparameters that maximise likelihood times prior, looked for from the prior's centre; all problems share them."""
    from scipy.optimize import minimize

    def penalised(theta: Floats) -> tuple[float, Floats]:
        away = (theta - prior.centre) / prior.deviation
        value, slope = 0.5 * float(away @ away), away / prior.deviation
        for problem in problems:
            more, steeper = _misfit(kernel, theta, problem)
            value, slope = value + more, slope + steeper
        return value, slope

    bounds = list(zip(prior.low.tolist(), prior.high.tolist(), strict=True))
    found: Any = minimize(penalised, prior.centre, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": iterations})
    return np.asarray(found.x, dtype=np.float64)


def _misfit(kernel: Kernel, theta: Floats, problem: Problem) -> tuple[float, Floats]:
    """Return the negative logarithm of a problem's evidence, up to a constant, and its gradient."""
    values, targets = problem.values, problem.values.shape[1]
    lower, solved = _solved(kernel, theta, problem.points, values, problem.known)
    value = 0.5 * float((values * solved).sum()) + targets * float(np.log(np.diag(lower)).sum())
    sensitivity = 0.5 * (targets * _inverse(lower) - solved @ solved.T)
    noise = float(np.trace(sensitivity) * np.exp(theta[-1]))
    return value, np.append(kernel.gradient(theta, problem.points, sensitivity), noise)


def factor(kernel: Kernel, theta: Floats, points: Floats, known: Floats) -> Floats:
    """Return the lower Cholesky factor of the scores' covariance; the level of the surface is unknown, with variance 1."""
    from scipy.linalg import cholesky

    covariance = kernel.between(theta, points, points) + 1.0
    covariance[np.diag_indices_from(covariance)] += np.exp(theta[-1]) + known + JITTER
    return np.asarray(cholesky(covariance, lower=True, check_finite=False))


def _solved(kernel: Kernel, theta: Floats, points: Floats, values: Floats, known: Floats) -> tuple[Floats, Floats]:
    from scipy.linalg import cho_solve

    lower = factor(kernel, theta, points, known)
    return lower, np.asarray(cho_solve((lower, True), values, check_finite=False))


def _inverse(lower: Floats) -> Floats:
    from scipy.linalg.lapack import dpotri

    half = np.tril(dpotri(lower, lower=1)[0])
    return half + np.tril(half, -1).T  # type: ignore[no-any-return]


def _distances(first: Floats, second: Floats) -> Floats:
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2 * first @ second.T
    if first is second:
        np.fill_diagonal(squares, 0.0)
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)))
