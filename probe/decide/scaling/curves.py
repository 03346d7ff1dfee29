"""From a panel of one unit's sizes to a curve: mean scores and how their errors hang together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from probe.decide.moderation import fit_prior
from probe.decide.panel import Panel
from probe.decide.scaling.laws import Curve, Floats

LEAST_REPEATS = 2


def curve_of(panel: Panel, arms: Sequence[int], sizes: Sequence[float]) -> Curve:
    """Return the curve of arms trained at sizes, over the repeats that all of them have.

    What a seed does to all sizes alike moves the level and no law; what is left between seeds is taken as independent between sizes, its
    variances moderated over them (Smyth 2004). Items are the same for all sizes, clustered by image, less what is seed-by-item
    interaction (Searle, Casella & McCulloch 1992, ch. 4).

    Raises:
        ValueError: fewer than two repeats are common to all sizes.
    """
    order = np.argsort(sizes)
    rows = np.asarray(arms)[order]
    common = np.isfinite(panel.means[rows]).all(axis=0)
    if common.sum() < LEAST_REPEATS:
        raise ValueError(f"needs at least {LEAST_REPEATS} seeds that every size has, got {int(common.sum())}")
    runs, influence = panel.means[np.ix_(rows, common)], panel.influence[np.ix_(rows, common)]
    seeds, df = seed_covariance(runs)
    return Curve(np.asarray(sizes, dtype=np.float64)[order], runs.mean(axis=1), seeds / runs.shape[1] + _items(influence), df)


def seed_covariance(runs: Floats) -> tuple[Floats, float]:
    """Return the covariance over seeds of one run a size [size, size], from `runs[size, seed]`, and its degrees of freedom."""
    sizes, count = runs.shape
    left = runs - runs.mean(axis=1, keepdims=True)
    shared = left.mean(axis=0)
    own = ((left - shared) ** 2).sum(axis=1) / (count - 1) * sizes / (sizes - 1)
    free = np.full(sizes, count - 1.0)
    prior = fit_prior(own, free, float((count - 1) * (sizes - 1)))
    moderated, df = prior.moderate(own, free)
    floor = 1e-12 * max(1e-12, float((runs**2).max()))
    common = max(float((shared**2).sum()) / (count - 1) - float(own.mean()) / sizes, 0.0)
    return np.diag(np.maximum(moderated, floor)) + common, float(np.min(df))


def _items(influence: Floats) -> Floats:
    """Return the covariance of the sizes' means over another draw of items [size, size], no component below zero."""
    sizes, count, _ = influence.shape
    mean, flat = influence.mean(axis=1), influence.reshape(sizes, -1)
    between = mean @ mean.T
    items = between - (flat @ flat.T / count - between) / (count - 1)
    values, vectors = np.linalg.eigh(items)
    return np.asarray((vectors * np.maximum(values, 0.0)) @ vectors.T, dtype=np.float64)
