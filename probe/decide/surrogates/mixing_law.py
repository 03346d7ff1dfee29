"""The log-linear mixing law: loss = c + exp(t . w), with c the loss that no mixture gets below."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from probe.decide.surrogates.base import Fitted, Floats, checked, unit_of

PRIOR_DEVIATION = 3.0  # of the exponents and of the floor, in standardised scores: wide
LARGEST_EXPONENT = 30.0
ROUNDS = 3


class MixingLaw(Fitted):
    """Ye et al. 2024 (arXiv 2403.16952, eq. 1): the loss (here the negative score) is c + k exp(t . w).

    The factor k is part of t, because weights sum to 1. Fitted by penalised least squares (Levenberg-Marquardt) from two starts, with
    wide normal priors; the noise is estimated from what is left, in turns. Deviations are those of the linearised law (Gauss-Newton).
    """

    def fit(self, weights: ArrayLike, y: ArrayLike, noise_variance: ArrayLike | None = None) -> Self:
        """Fit to runs.

        Raises:
            ValueError: fewer than two runs, or shapes that disagree.
        """
        self.runs, values, known = checked(weights, y, noise_variance)
        self._mean, self._scale = float(values.mean()), unit_of(values)
        standard, self._known = (values - self._mean) / self._scale, known / self._scale**2
        self._noise = 0.3
        flat = np.append(np.zeros(self.runs.shape[1]), 1.0)
        starts = [flat, np.append(-_slopes(self.runs, standard), 1.0)]
        for _ in range(ROUNDS):
            found = [self._most_probable(standard, start) for start in starts]
            self._law = min(found, key=lambda law: self._cost(standard, law))
            self._noise = self._left(standard)
            starts = [self._law]
        self._spread = self._posterior()
        return self

    def _rows(self, law: Floats, points: Floats) -> tuple[Floats, Floats]:
        """Return the law's standardised scores at the points, and their derivatives `[point, parameter]`."""
        rising = np.exp(np.minimum(points @ law[:-1], LARGEST_EXPONENT))
        return law[-1] - rising, np.hstack([-rising[:, None] * points, np.ones((len(points), 1))])

    def _residuals(self, law: Floats, standard: Floats) -> Floats:
        unit = np.sqrt(self._noise + self._known)
        return np.concatenate([(self._rows(law, self.runs)[0] - standard) / unit, law / PRIOR_DEVIATION])

    def _jacobian(self, law: Floats) -> Floats:
        unit = np.sqrt(self._noise + self._known)
        return np.vstack([self._rows(law, self.runs)[1] / unit[:, None], np.eye(len(law)) / PRIOR_DEVIATION])

    def _cost(self, standard: Floats, law: Floats) -> float:
        return float((self._residuals(law, standard) ** 2).sum())

    def _most_probable(self, standard: Floats, start: Floats) -> Floats:
        from scipy.optimize import least_squares

        def residuals(law: Floats) -> Floats:
            return self._residuals(law, standard)

        found = least_squares(residuals, start, self._jacobian, method="lm", max_nfev=200)
        return np.asarray(found.x, dtype=np.float64)

    def _posterior(self) -> Floats:
        jacobian = self._jacobian(self._law)
        return np.asarray(np.linalg.inv(jacobian.T @ jacobian))

    def _left(self, standard: Floats) -> float:
        """Return the noise beyond the known one: squared residuals over the runs less the parameters that the data determine."""
        fitted, derivatives = self._rows(self._law, self.runs)
        used = np.einsum("ij,jk,ik->", derivatives / (self._noise + self._known)[:, None], self._posterior(), derivatives)
        squares = float(((standard - fitted) ** 2 - self._known).sum())
        return max(squares / max(1.0, len(standard) - float(used)), 1e-6)

    def predict(self, weights: ArrayLike) -> tuple[Floats, Floats]:
        """Return the law's score and its deviation."""
        mean, derivatives = self._rows(self._law, np.asarray(weights, dtype=np.float64))
        variance = np.einsum("ij,jk,ik->i", derivatives, self._spread, derivatives)
        return mean * self._scale + self._mean, np.sqrt(np.maximum(variance, 0.0)) * self._scale

    def covariance(self, weights: ArrayLike) -> Floats:
        """Return the covariance of the linearised law between the points."""
        derivatives = self._rows(self._law, np.asarray(weights, dtype=np.float64))[1]
        return np.asarray(derivatives @ self._spread @ derivatives.T * self._scale**2)

    def noise(self) -> Floats:
        """Return the variance of each run's score."""
        return np.asarray((self._noise + self._known) * self._scale**2)


def _slopes(points: Floats, standard: Floats) -> Floats:
    """Return damped linear slopes, a start for the exponents."""
    centred = points - points.mean(axis=0)
    slopes = np.linalg.solve(centred.T @ centred + 0.1 * np.eye(points.shape[1]), centred.T @ standard)
    return np.asarray(np.clip(slopes, -3, 3), dtype=np.float64)
