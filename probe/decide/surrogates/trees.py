"""Boosted regression trees by LightGBM, with deviations from the bootstrap."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probe.decide.surrogates.base import Fitted, Floats, checked, unit_of

ROUNDS, RATE, LEAVES = 100, 0.1, 8
REPLICATES, QUICK_REPLICATES = 12, 2


class Trees(Fitted):
    """LightGBM on the weights, as RegMix does (Liu et al. 2025, arXiv 2407.01492), small because runs are few; one thread, deterministic.

    Deviations and covariances are those of fits to runs drawn with replacement; the noise is what the fits leave of the runs that they
    did not see (out of bag; Breiman 1996).
    """

    def __init__(self, *, seed: int = 0, replicates: int = REPLICATES) -> None:
        self.seed, self.replicates = seed, replicates

    def fit(self, weights: ArrayLike, y: ArrayLike, noise_variance: ArrayLike | None = None) -> Self:
        """Fit to runs.

        Raises:
            ValueError: fewer than two runs, or shapes that disagree.
        """
        self.runs, values, self._known = checked(weights, y, noise_variance)
        self._mean, self._scale = float(values.mean()), unit_of(values)
        standard = (values - self._mean) / self._scale
        rng = np.random.default_rng(self.seed)
        drawn = [rng.integers(0, len(values), len(values)) for _ in range(self.replicates)]
        self._main = self._trees(self.runs, standard)
        self._others = [self._trees(self.runs[rows], standard[rows]) for rows in drawn]
        self._noise = self._left(standard, drawn) * self._scale**2
        return self

    def _trees(self, points: Floats, values: Floats) -> Any:
        import lightgbm

        settings = {
            "objective": "regression",
            "learning_rate": RATE,
            "num_leaves": LEAVES,
            "min_data_in_leaf": max(2, len(values) // 16),
            "min_data_in_bin": 1,
            "num_threads": 1,
            "deterministic": True,
            "force_row_wise": True,
            "seed": self.seed,
            "verbosity": -1,
        }
        return lightgbm.train(settings, lightgbm.Dataset(points, values, params={"verbosity": -1}), ROUNDS, keep_training_booster=True)

    def _left(self, standard: Floats, drawn: list[NDArray[np.int64]]) -> float:
        """Return the noise, standardised: squared out-of-bag errors less the variance between the fits."""
        predictions = self._replicated(self.runs)
        outside = np.array([~np.isin(np.arange(len(standard)), rows) for rows in drawn])
        errors = ((predictions - standard) ** 2)[outside].mean() if outside.any() else 1.0
        return max(float(errors - predictions.var(axis=0).mean()), 1e-6)

    def _replicated(self, points: Floats) -> Floats:
        return np.array([trees.predict(points, num_threads=1) for trees in self._others])

    def predict(self, weights: ArrayLike) -> tuple[Floats, Floats]:
        """Return the fit's score and its deviation over the bootstrap."""
        points = np.asarray(weights, dtype=np.float64)
        mean = np.asarray(self._main.predict(points, num_threads=1))
        return mean * self._scale + self._mean, self._replicated(points).std(axis=0, ddof=1) * self._scale

    def covariance(self, weights: ArrayLike) -> Floats:
        """Return the covariance between the points over the bootstrap."""
        replicated = self._replicated(np.asarray(weights, dtype=np.float64))
        return np.atleast_2d(np.cov(replicated.T)) * self._scale**2

    def noise(self) -> Floats:
        """Return the variance of each run's score."""
        return np.asarray(np.maximum(self._known, self._noise))
