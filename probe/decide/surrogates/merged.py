"""A Gaussian process whose prior mean is what weighted sums of trained adapters score, which costs no training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probe.decide.surrogates.base import Floats, Surrogate, unit_of
from probe.decide.surrogates.families import Family
from probe.decide.surrogates.kernel_surrogates import ITERATIONS, GaussianProcess, KernelSurrogate
from probe.decide.surrogates.kernels import Guided, Problem, most_probable
from probe.decide.surrogates.robust import without_bad_tail

MERGED = "merged-adapters"
ALONE = 1 - 1e-9  # share of a source from which on a mixture is that source


@dataclass(frozen=True, slots=True, eq=False)
class MergedScores:
    """Scores of merged adapters in the objective's targets: `weights[sample, source]`, `values[sample, target]`, variances alike."""

    weights: Floats
    values: Floats
    noise: Floats

    def raised(self) -> MergedScores:
        """Return them with bad tails raised, as the runs' are."""
        return replace(self, values=without_bad_tail(self.values))

    def surfaces(self) -> Sequence[Surrogate]:
        """Return each target's surface of merged scores."""
        return GaussianProcess.fit_all(self.weights, self.values, self.noise)


def is_single(weights: ArrayLike) -> NDArray[np.bool_]:
    """Say which mixtures are one source alone: there the merged adapter is the trained one, and their scores are one measurement."""
    return np.asarray(np.asarray(weights, dtype=np.float64).max(axis=1) > ALONE)


class MergedProcess(KernelSurrogate):
    """score = a + b * merged score + a smooth remainder, all with Gaussian priors, so that runs correct what merging says.

    a, b and the remainder are marginalised together (Rasmussen & Williams 2006, sec. 2.7, explicit basis functions); the variance of b's
    prior is fitted by evidence like the other hyperparameters, so a merged score that tells nothing is not listened to. Merging as a
    proxy of training is Tao et al. 2024 (arXiv 2410.12937) and Ilharco et al. 2023 (arXiv 2212.04089). Hyperparameters are learnt from
    real mixtures alone where there are some: of a single source merged and trained score are one measurement, whose remainder is
    nothing by construction.
    """

    kernel = Guided()

    def __init__(self, surface: Surrogate, *, centre: Floats | None = None) -> None:
        super().__init__(centre=centre)
        self.surface = surface

    def _prepare(self, points: Floats) -> None:
        scores = self.surface.predict(points)[0]
        self._middle, self._unit = float(scores.mean()), unit_of(scores)

    def _features(self, weights: ArrayLike) -> Floats:
        points = np.asarray(weights, dtype=np.float64)
        return np.column_stack([np.sqrt(points), (self.surface.predict(points)[0] - self._middle) / self._unit])

    def _telling(self) -> NDArray[np.bool_]:
        mixed = ~is_single(self.runs)
        return mixed if len(np.unique(self.runs[mixed].round(9), axis=0)) > 2 else np.ones(len(self.runs), dtype=np.bool_)

    def slope(self) -> float:
        """Return the most probable b, in scores a merged score."""
        return float(np.exp(self._theta[-2]) * (self._points[:, -1] @ self._solved) * self._scale / self._unit)

    def predict(self, weights: ArrayLike) -> tuple[Floats, Floats]:
        """Return the posterior mean and deviation, which holds what the surface of merged scores does not know."""
        mean, deviation = super().predict(weights)
        return mean, np.sqrt(deviation**2 + (self.slope() * self.surface.predict(weights)[1]) ** 2)

    def covariance(self, weights: ArrayLike) -> Floats:
        """Return the posterior covariance between the points."""
        return super().covariance(weights) + self.slope() ** 2 * self.surface.covariance(weights)


def merged_family(surfaces: Sequence[Surrogate]) -> Family:
    """Return the family that corrects these surfaces of merged scores, one a target; all targets share the prior's centre."""

    def fit(weights: Floats, values: Floats, noise: Floats) -> Sequence[Surrogate]:
        centre = _pooled(surfaces, weights, values) if values.shape[1] > 1 else None
        columns = zip(surfaces, values.T, noise.T, strict=True)
        return [MergedProcess(surface, centre=centre).fit(weights, y, known) for surface, y, known in columns]

    return fit


def _pooled(surfaces: Sequence[Surrogate], weights: Floats, values: Floats) -> Floats:
    """Return the hyperparameters that serve all targets best, each with its own merged score."""
    problems = []
    for surface, y in zip(surfaces, values.T, strict=True):
        one = MergedProcess(surface)
        one.runs = weights
        one._prepare(weights)
        rows = one._telling()
        standard = (y - y.mean()) / unit_of(y)
        problems.append(Problem(one._features(weights)[rows], standard[rows, None], np.zeros(int(rows.sum()))))
    return most_probable(MergedProcess.kernel, MergedProcess.kernel.prior(weights.shape[1] + 1), problems, ITERATIONS)
