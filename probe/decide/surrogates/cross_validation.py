"""Predictions of runs that a fit did not see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probe.decide.surrogates.base import Floats
from probe.decide.surrogates.families import Family

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """What each member said of runs it did not see: `mean` and run `variance` as [member, repeat, run, target].

    `fold[repeat, run]` is the fold that held the run out; runs that no fold holds out are not here.
    """

    members: tuple[str, ...]
    mean: Floats
    variance: Floats
    fold: Rows

    def of(self, members: Sequence[str]) -> HeldOut:
        """Return what some of the members said."""
        places = [self.members.index(name) for name in members]
        return HeldOut(tuple(members), self.mean[places], self.variance[places], self.fold)


def folds(weights: Floats, count: int, repeats: int, seed: int) -> Rows:
    """Return the fold of each run, `[repeat, run]`; runs of one mixture stay together, or the fit would have seen the mixture."""
    _, mixture = np.unique(weights.round(9), axis=0, return_inverse=True)
    mixture = mixture.reshape(-1)
    distinct = int(mixture.max()) + 1
    rng = np.random.default_rng(seed)
    return np.array([(rng.permutation(distinct) % min(count, distinct))[mixture] for _ in range(repeats)])


def held_out(families: Mapping[str, Family], weights: Floats, values: Floats, noise: Floats, fold: Rows) -> HeldOut:
    """Fit every family without each fold and predict the fold: `values[run, target]`, `noise[run, target]`; fold -1 is never held out."""
    shape = (len(families), *fold.shape, values.shape[1])
    mean, variance = np.empty(shape), np.empty(shape)
    for r, assigned in enumerate(fold):
        for k in range(int(assigned.max()) + 1):
            out, rest = np.flatnonzero(assigned == k), np.flatnonzero(assigned != k)
            for m, fit in enumerate(families.values()):
                for t, surrogate in enumerate(fit(weights[rest], values[rest], noise[rest])):
                    mean[m, r, out, t], deviation = surrogate.predict_run(weights[out])
                    variance[m, r, out, t] = deviation**2
    rows = fold[0] >= 0
    return HeldOut(tuple(families), mean[:, :, rows], variance[:, :, rows], fold[:, rows])


def simplex_shares(predictions: Floats, truth: Floats) -> Floats:
    """Return shares, 0 or more and summing to 1, of `predictions[member, case]` with the least squared error (Breiman 1996)."""
    from scipy.optimize import nnls

    unit = max(float(np.abs(truth).max()), float(np.abs(predictions).max()), 1e-12)
    heavy = 1e3 * np.sqrt(len(truth))
    system = np.vstack([predictions.T / unit, heavy * np.ones((1, len(predictions)))])
    shares = nnls(system, np.append(truth / unit, heavy))[0]
    return np.asarray(shares / shares.sum(), dtype=np.float64)


def quantile_scale(standard: Floats, level: float = 0.90) -> float:
    """Return what deviations are multiplied by so that `level` of the standardised errors lie within the normal interval.

    The conformal quantile, with its correction for few (Vovk et al. 2005; cross-validated as in Barber et al. 2021).
    """
    from scipy.special import ndtri

    size = np.sort(np.abs(standard).ravel())
    place = min(len(size), int(np.ceil((len(size) + 1) * level)))
    return float(size[place - 1] / ndtri(0.5 + level / 2))


def ranked(x: Floats, y: Floats) -> float:
    """Return Spearman's rank correlation, NaN where one of them is constant."""
    from scipy.stats import rankdata

    first, second = rankdata(x), rankdata(y)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])
