"""Whether the proxy and full-scale training put mixtures in the same order, and how many more results would tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sources.estimate import Estimate

Floats = NDArray[np.float64]
FEWEST = 5  # mixtures: below, no interval says anything
CHANCE, ENOUGH = 0.5, 0.8
MOST_MORE = 500
LEVEL = 0.90


@dataclass(frozen=True, slots=True, eq=False)
class Differences:
    """One side's differences between mixtures: `value[a, b]` is a - b (NaN: not comparable), `apart[a, b]` where it is told from zero."""

    value: Floats
    apart: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often two sides order pairs of `outcomes` mixtures alike.

    `pairs` are those that at least one side tells apart, `both` those that both do; `agreement` is the share of the first that both
    sides order alike, `rank` Kendall's tau over all pairs. Both are None below `FEWEST` mixtures or without a pair. `more` says how many
    more outcomes would put the interval of `agreement`, if that stays what it is, above chance (.5) and above .8: 0 where it is
    there already, None where no number would.
    """

    name: str
    outcomes: int
    pairs: int
    both: int
    agreement: Estimate | None = None
    rank: Estimate | None = None
    more_for_chance: int | None = None
    more_for_enough: int | None = None


def agreement(name: str, proxy: Differences, full: Differences, level: float = LEVEL) -> Agreement:
    """Compare the two sides' differences over the same mixtures.

    Pairs that neither side tells apart count neither as agreement nor as disagreement: their order is noise on both sides.
    """
    known = np.isfinite(proxy.value) & np.isfinite(full.value)
    np.fill_diagonal(known, False)
    kept = known.any(axis=1)
    known, apart = known[np.ix_(kept, kept)], (proxy.apart | full.apart)[np.ix_(kept, kept)]
    alike = (1 + np.sign(proxy.value * full.value)[np.ix_(kept, kept)]) / 2
    counted, count = known & apart, int(kept.sum())
    both = int((proxy.apart & full.apart)[np.ix_(kept, kept)][known].sum()) // 2
    pairs = int(counted.sum()) // 2
    if count < FEWEST or not pairs:
        return Agreement(name, count, pairs, both)
    found = share_alike(np.where(counted, alike, np.nan), level)
    every = share_alike(np.where(known, alike, np.nan), level)
    rank = Estimate(2 * every.value - 1, 2 * every.stderr, 2 * every.low - 1, 2 * every.high - 1, count)
    more = [more_outcomes(np.where(counted, alike, np.nan), threshold, level) for threshold in (CHANCE, ENOUGH)]
    return Agreement(name, count, pairs, both, found, rank, *more)


def differences(values: ArrayLike, stderrs: ArrayLike, level: float = LEVEL) -> Differences:
    """Return all differences of independent scores; two with an unknown error (NaN) are not told apart."""
    from scipy.special import ndtri

    values, stderrs = np.asarray(values, dtype=np.float64), np.asarray(stderrs, dtype=np.float64)
    value = np.subtract.outer(values, values)
    deviation = np.sqrt(np.add.outer(stderrs**2, stderrs**2))
    with np.errstate(invalid="ignore"):
        return Differences(value, np.abs(value) > float(ndtri(0.5 + level / 2)) * deviation)


def share_alike(alike: ArrayLike, level: float = LEVEL) -> Estimate:
    """Return the share of pairs ordered alike from symmetric `alike[a, b]` in 0..1 (NaN: not counted), with an interval over new mixtures.

    Pairs share mixtures, so they are not independent. Their share is a U-statistic (Hoeffding 1948, Ann. Math. Stat. 19, 293-325; over
    all pairs it is Kendall's tau, brought to 0..1); its variance is the delete-one-mixture jackknife's (Arvesen 1969, Ann. Math. Stat.
    40, 2076-2100), turned into an effective number of independent pairs (as Korn & Graubard 1998, Survey Methodology 24, 193-201) for
    Jeffreys' interval of a binomial share (Brown, Cai & DasGupta 2001, Statistical Science 16, 101-133). That number is never below
    the one of disjoint pairs, which are independent. Simulated with 5 to 20 mixtures, it covers at least as often as it says; with Clopper
    and Pearson's interval in its place, or a t quantile for the variance, it is wider than that needs. `n` counts mixtures.
    """
    alike = np.asarray(alike, dtype=np.float64)
    share, effective = _effective(alike)
    low, high = _jeffreys(share, effective, level)
    return Estimate(share, float(np.sqrt(share * (1 - share) / effective)), low, high, len(alike))


def more_outcomes(alike: ArrayLike, threshold: float, level: float = LEVEL) -> int | None:
    """Return how many more mixtures would put the interval of `share_alike` above `threshold`, if the share stays what it is.

    The effective number of pairs grows as the number of mixtures does, as a U-statistic's does. None where the share is not above.
    """
    alike = np.asarray(alike, dtype=np.float64)
    share, effective = _effective(alike)
    if share <= threshold:
        return None
    counts = np.arange(len(alike), len(alike) + MOST_MORE + 1)
    lows = np.array([_jeffreys(share, effective * count / len(alike), level)[0] for count in counts])
    above = np.flatnonzero(lows > threshold)
    return int(above[0]) if len(above) else None


def _effective(alike: Floats) -> tuple[float, float]:
    """Return the share and the number of independent pairs that would know it as well."""
    counted = np.isfinite(alike)
    np.fill_diagonal(counted, False)
    values, count = np.where(counted, alike, 0.0), len(alike)
    sums, pairs = values.sum(axis=1), counted.sum(axis=1)
    total, number = sums.sum() / 2, pairs.sum() / 2
    share = float(total / number)
    least = max(1.0, float(number) / (count - 1))
    others = number - pairs
    without = np.where(others > 0, (total - sums) / np.maximum(others, 1), share)
    variance = float((count - 1) / count * ((without - without.mean()) ** 2).sum())
    if variance <= 0 or share in (0.0, 1.0):
        return share, least
    return share, min(max(least, share * (1 - share) / variance), float(number))


def _jeffreys(share: float, number: float, level: float) -> tuple[float, float]:
    from scipy.special import betaincinv

    tail, right, wrong = (1 - level) / 2, share * number + 0.5, (1 - share) * number + 0.5
    low = float(betaincinv(right, wrong, tail)) if share > 0 else 0.0
    high = float(betaincinv(right, wrong, 1 - tail)) if share < 1 else 1.0
    return min(low, share), max(high, share)
