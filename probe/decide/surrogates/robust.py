"""Scores whose worst runs count as bad, and not as how bad: a run without a source says little about good mixtures."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
LIMIT = 1.5  # robust deviations; fixed, never fitted


def robust_location(values: ArrayLike) -> tuple[Floats, Floats]:
    """Return median and robust deviation (1.4826 MAD, Huber 1981, sec. 5.1) of each target `values[run, target]`.

    A target of which more than half of the runs agree has deviation 0.
    """
    scores = np.asarray(values, dtype=np.float64)
    middle = np.median(scores, axis=0)
    return middle, np.asarray(1.4826 * np.median(np.abs(scores - middle), axis=0))


def without_bad_tail(values: ArrayLike, limit: float = LIMIT) -> Floats:
    """Raise scores more than `limit` robust deviations below the median to that bound; units and good scores stay (winsorised below).

    Higher is better. A target whose robust deviation is 0 stays as it is.
    """
    scores = np.asarray(values, dtype=np.float64)
    middle, deviation = robust_location(scores)
    return np.where(deviation > 0, np.maximum(scores, middle - limit * deviation), scores)


def robust_scores(values: ArrayLike, limit: float = LIMIT) -> Floats:
    """Return robust z-scores of each target, held within +-`limit`: deviations from the median in robust deviations.

    Their mean over targets is another quantity than the mean of ordinary z-scores: targets weigh by how they differ among ordinary
    runs, where ordinary z-scores weigh a target by its few worst runs. A target without a robust deviation takes its ordinary one.
    """
    scores = np.asarray(values, dtype=np.float64)
    middle, deviation = robust_location(scores)
    plain = scores.std(axis=0)
    unit = np.where(deviation > 0, deviation, np.where(plain > 0, plain, 1.0))
    return np.clip((scores - middle) / unit, -limit, limit)
