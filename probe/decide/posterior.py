"""Draws of a fitted surface from its joint posterior, and the covariance between mixtures that they have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from probe.decide.surrogates import Objective

Floats = NDArray[np.float64]


def posterior_draws(objective: Objective, points: Floats, samples: int, seed: int) -> Floats:
    """Return draws of the surface `[sample, point]` from its joint posterior."""
    mean = objective.predict(points)[0]
    values, vectors = np.linalg.eigh(joint_covariance(objective, points))
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    half = np.random.default_rng(seed).standard_normal(((samples + 1) // 2, len(points)))
    return np.asarray(mean + np.vstack([half, -half])[:samples] @ root.T, dtype=np.float64)


def joint_covariance(objective: Objective, points: Floats) -> Floats:
    """Return the covariance of a weighted sum of targets between points.

    The deviations are the sum's own. The correlation is the mean of the targets' correlations, each weighted by the variance that it
    adds, which is exact for one target and for targets alike.
    """
    covariances = np.array([surrogate.covariance(points) for surrogate in objective.surrogates])
    deviations = np.sqrt(np.maximum(np.einsum("tii->ti", covariances), 1e-300))
    weights = np.array(objective.coefficients) ** 2 * (deviations**2).mean(axis=1)
    correlations = covariances / (deviations[:, :, None] * deviations[:, None, :])
    correlation = np.tensordot(weights / max(weights.sum(), 1e-300), correlations, 1)
    own = objective.predict(points)[1]
    return np.asarray(own[:, None] * correlation * own, dtype=np.float64)
