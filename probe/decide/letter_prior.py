"""How much an answer follows a choice's place instead of what it says, from one model's probabilities under rotation of the choices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from probe.decide.means import LEVEL, mean_with_interval, share_with_interval
from sources.estimate import Estimate


@dataclass(frozen=True, slots=True)
class Place:
    """One place in the list of choices: the mean probability that goes to it, and what it would be if places did not count."""

    place: int
    probability: Estimate
    even: float


@dataclass(frozen=True, slots=True)
class LetterPrior:
    """What rotation of the choices shows: where probability goes, and what becomes of the score.

    `follows` is the share of items whose choice keeps its place in every rotation, whatever stands there. `plain` is the accuracy in
    the order of the file, `rotated` the mean over all rotations, `difference` plain - rotated on the same items.
    """

    places: tuple[Place, ...]
    follows: Estimate
    plain: Estimate
    rotated: Estimate
    difference: Estimate


def letter_prior(probabilities: ArrayLike, right: ArrayLike, groups: ArrayLike, level: float = LEVEL) -> LetterPrior | None:
    """Measure the letter prior of one model; None where fewer than two images have items with two choices and all rotations.

    In rotation r the choice that the file has at place c stands at place (c - r) mod the number of choices, so over all rotations each
    choice stands at each place once, and what a place gets above its even share is due to the place alone. Method: Zheng et al. 2024,
    Large Language Models Are Not Robust Multiple Choice Selectors (arXiv:2309.03882); MMBench's circular evaluation (arXiv:2307.06281).

    Args:
        probabilities: `[item, rotation, place]`; NaN behind an item's own number of rotations and places, and where nothing was scored.
        right: the place of the right choice in the file's order `[item]`.
        groups: image clusters `[item]`.
        level: of the intervals.
    """
    values, clusters = np.asarray(probabilities, dtype=np.float64), np.asarray(groups)
    counts = np.isfinite(values[:, 0]).sum(axis=1)
    whole = (counts >= 2) & (np.isfinite(values).sum(axis=(1, 2)) == counts**2)
    if len(np.unique(clusters[whole])) < 2:
        return None
    values, clusters, counts = values[whole], clusters[whole], counts[whole]
    chosen = np.where(np.isfinite(values), values, -1.0).argmax(axis=2)  # [item, rotation]
    rotation = np.arange(values.shape[1])
    asked = rotation < counts[:, None]
    hits = chosen == (np.asarray(right, dtype=np.int64)[whole][:, None] - rotation) % counts[:, None]
    follows = ((chosen == chosen[:, :1]) | ~asked).all(axis=1).astype(np.float64)
    plain, rotated = hits[:, 0].astype(np.float64), (hits & asked).sum(axis=1) / counts
    shares = [share_with_interval(part, clusters, level) for part in (follows, plain, rotated)]
    shares.append(mean_with_interval(plain - rotated, clusters, level))
    known = [share for share in shares if share is not None]
    by_item = np.where(asked[:, :, None], values, 0.0).sum(axis=1) / counts[:, None]
    places = []
    for place in range(values.shape[2]):
        has = counts > place
        mean = share_with_interval(by_item[has, place], clusters[has], level)
        if mean is not None:
            places.append(Place(place, mean, float((1 / counts[has]).mean())))
    return LetterPrior(tuple(places), *known)
