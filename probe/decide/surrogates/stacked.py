"""Several surrogates as one: a mixture of them with fixed shares and deviations that were calibrated on held-out runs."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from probe.decide.surrogates.base import Fitted, Floats, Surrogate


class Stacked(Fitted):
    """Fitted members mixed by `shares` that sum to 1 (Breiman 1996, stacked regressions; Yao et al. 2018 for the deviations).

    The surface is taken as one of the members' with the probability of its share, so covariances are the members' mean and the
    covariance of their disagreement (law of total covariance). `surface_scale` and `run_scale` multiply the deviations of the surface
    and of new runs, as cross-validation found them too small or too large; runs have their own because a run in the bad tail is further
    away than a surface that is fitted without that tail says.
    """

    def __init__(
        self, members: Sequence[Surrogate], shares: Sequence[float], runs: Floats, *, surface_scale: float = 1.0, run_scale: float = 1.0
    ) -> None:
        used = [(member, share) for member, share in zip(members, shares, strict=True) if share > 0]
        self.members, self.runs = tuple(member for member, _ in used), runs
        self.shares = np.array([share for _, share in used]) / sum(share for _, share in used)
        self.surface_scale, self.run_scale = surface_scale, run_scale

    def fit(self, weights: ArrayLike, y: ArrayLike, noise_variance: ArrayLike | None = None) -> Self:
        """Fit the members anew, shares and scales kept."""
        other = copy.copy(self)
        other.members = tuple(copy.copy(member).fit(weights, y, noise_variance) for member in self.members)
        other.runs = np.asarray(weights, dtype=np.float64)
        return other

    def predict(self, weights: ArrayLike) -> tuple[Floats, Floats]:
        """Return the mean over members and the deviation of the surface."""
        mean, variance = self._mixed(weights)
        return mean, np.sqrt(variance) * self.surface_scale

    def predict_run(self, weights: ArrayLike) -> tuple[Floats, Floats]:
        """Return the mean and the deviation of a new run."""
        mean, variance = self._mixed(weights)
        return mean, np.sqrt(variance + self.noise().mean()) * self.run_scale

    def _mixed(self, weights: ArrayLike) -> tuple[Floats, Floats]:
        parts = [member.predict(weights) for member in self.members]
        means = np.array([part[0] for part in parts])
        mean = self.shares @ means
        return mean, self.shares @ (np.array([part[1] ** 2 for part in parts]) + (means - mean) ** 2)

    def covariance(self, weights: ArrayLike) -> Floats:
        """Return the covariance of the surface between the points."""
        means = np.array([member.predict(weights)[0] for member in self.members])
        away = means - self.shares @ means
        within = sum((share * member.covariance(weights) for share, member in zip(self.shares, self.members, strict=True)), np.zeros(()))
        return np.asarray((within + (away.T * self.shares) @ away) * self.surface_scale**2, dtype=np.float64)

    def noise(self) -> Floats:
        """Return the variance of each run's score, before calibration."""
        return self.shares @ np.array([member.noise() for member in self.members])  # type: ignore[no-any-return]
