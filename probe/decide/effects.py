"""Paired differences between arms, for inference to new seeds and draws *and* new items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probe.decide.moderation import VariancePrior, fit_prior, pooled_degrees_of_freedom
from probe.decide.panel import Panel
from sources.estimate import Estimate

Floats = NDArray[np.float64]
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Contrasts:
    """Differences arm - other over their common repeats, one entry a pair.

    `seed_variance` is the variance of one repeat's difference with `seed_df` = `repeats` - 1 degrees of freedom (NaN and 0 for one
    repeat); `between` is the sum of squares of cluster influences, and `within` the part of it that is seed-by-item interaction.
    """

    value: Floats
    repeats: NDArray[np.int64]
    seed_variance: Floats
    seed_df: Floats
    between: Floats
    within: Floats
    clusters: int
    n: int


@dataclass(frozen=True, slots=True, eq=False)
class Effects:
    """Differences with their two variance components, one entry a pair.

    `stderr`^2 = `seed_variance` / `repeats` + `item_variance`; more seeds shrink the first part only. `seed_df` and `item_df` are the
    components' degrees of freedom. `seeds_known` is False where there was one repeat and nothing to borrow a seed variance from: such
    an interval covers new items alone and decides nothing.
    """

    value: Floats
    stderr: Floats
    seed_variance: Floats
    seed_df: Floats
    item_variance: Floats
    item_df: Floats
    repeats: NDArray[np.int64]
    seeds_known: NDArray[np.bool_]
    n: NDArray[np.int64]

    def half_width(self, level: float) -> Floats:
        """Return half the width of the marginal two-sided intervals."""
        return half_width(0.5 + level / 2, self.seed_variance / self.repeats, self.seed_df, self.item_variance, self.item_df)

    @property
    def share_left(self) -> float:
        """Return the part of a level that a decision with more seeds would be made at."""
        return 1.0

    def joined_with(self, others: Sequence[Effects]) -> Effects:
        """Return these entries and those of others of the same kind."""
        return Effects(*(np.concatenate([getattr(part, column) for part in (self, *others)]) for column in COLUMNS))

    def estimates(self, level: float) -> tuple[Estimate, ...]:
        """Return the differences as estimates with marginal intervals at `level`."""
        rows = zip(self.value.tolist(), self.stderr.tolist(), self.half_width(level).tolist(), self.n.tolist(), strict=True)
        return tuple(Estimate(value, stderr, value - half, value + half, n) for value, stderr, half, n in rows)

    def p_above(self, threshold: float | Floats) -> Floats:
        """Return one-sided p-values of "the difference is at most `threshold`"; 1 where seeds are unknown."""
        distance = self.value - threshold
        tail = self._tail(np.abs(distance))
        return np.where(self.seeds_known, np.where(distance > 0, tail, 1 - tail), 1.0)

    def p_two_sided(self) -> Floats:
        """Return two-sided p-values of "no difference"; 1 where seeds are unknown."""
        return np.where(self.seeds_known, 2 * self._tail(np.abs(self.value)), 1.0)

    def p_inside(self, margin: float | Floats) -> Floats:
        """Return the p-values of "the difference is at least `margin` in size": the larger of two one-sided tests (Schuirmann 1987).

        1 where seeds are unknown or the margin is none.
        """
        width = np.nan_to_num(np.asarray(margin, dtype=np.float64))
        nearer = replace(self, value=-np.abs(self.value))  # the test at the nearer end of the margin is the larger
        return np.where(self.seeds_known & (width > 0), nearer.p_above(-width), 1.0)

    def _tail(self, distance: Floats) -> Floats:
        """Find the one-sided level whose interval just reaches `distance`."""
        return tail_of(distance, self.seed_variance / self.repeats, self.seed_df, self.item_variance, self.item_df)


COLUMNS = ("value", "stderr", "seed_variance", "seed_df", "item_variance", "item_df", "repeats", "seeds_known", "n")  # of Effects, by entry


def joined(parts: Sequence[Effects]) -> Effects:
    """Return the entries of several effects in one, so that they are corrected as one family."""
    return parts[0].joined_with(parts[1:])


def contrasts(panel: Panel, pairs: Sequence[Pair]) -> Contrasts:
    """Compute the difference of each pair over its common repeats.

    Two-way random effects, repeats crossed with image clusters (Searle, Casella & McCulloch 1992, Variance Components, ch. 4). All sums
    are quadratic forms in the arms, so they come from one Gram matrix for each pattern of common repeats.

    Raises:
        ValueError: a pair has no common repeat.
    """
    done = np.isfinite(panel.means)
    first, second = (np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1))
    common = done[first] & done[second]
    repeats = common.sum(axis=1)
    if not repeats.all():
        raise ValueError(f"arms {pairs[int(np.argmin(repeats))]} have no repeat in common")
    value, seed, between, within = (np.full(len(pairs), np.nan) for _ in range(4))
    for pattern in common[:1] if (common == common[0]).all() else np.unique(common, axis=0):
        rows = np.flatnonzero((common == pattern).all(axis=1))
        arms = np.unique(np.concatenate([first[rows], second[rows]]))
        parts = _spreads(panel, arms, pattern)
        a, b = np.searchsorted(arms, first[rows]), np.searchsorted(arms, second[rows])
        value[rows] = parts[0][a] - parts[0][b]
        for out, gram in zip((seed, between, within), parts[1:], strict=True):
            diagonal = np.diag(gram)
            out[rows] = np.maximum(diagonal[a] + diagonal[b] - 2 * gram[a, b], 0.0)
    return Contrasts(value, repeats, seed, repeats - 1.0, between, within, len(panel.clusters), panel.n)


def _spreads(panel: Panel, arms: NDArray[np.int64], pattern: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the arms' means and the Gram matrices of repeat deviations, of mean influences and of the interaction left in those."""
    means, influence = panel.means[np.ix_(arms, pattern)], panel.influence[np.ix_(arms, pattern)]
    r = means.shape[1]
    level, mean_influence = means.mean(axis=1), influence.mean(axis=1)
    between = mean_influence @ mean_influence.T
    if r == 1:
        return level, np.full_like(between, np.nan), between, np.zeros_like(between)
    deviation, flat = means - level[:, None], influence.reshape(len(arms), -1)
    interaction = (flat @ flat.T / r - between) / (r - 1)
    return level, deviation @ deviation.T / (r - 1), between, interaction


def half_width(probability: ArrayLike, seeds: ArrayLike, seed_df: ArrayLike, items: ArrayLike, item_df: ArrayLike) -> Floats:
    """Return how far the one-sided interval of `probability` reaches; a negative one is a tail's, so that small tails keep their digits.

    sqrt(t_1^2 v_1 + t_2^2 v_2) over the variance parts v with their own t quantiles, which covers at least as often as it says for any
    ratio of the parts (Banerjee 1960, Sankhya 22, 357-358). Satterthwaite's single t was measured too: with two degrees of freedom for
    seeds it covers .86 instead of .90, because an accidentally small seed variance also raises its degrees of freedom.
    """
    from scipy.special import stdtrit

    p = np.asarray(probability, dtype=np.float64)
    tail = np.where(p < 0, -p, 1 - p)
    squared = [stdtrit(np.maximum(df, 1.0), tail) ** 2 * variance for df, variance in ((seed_df, seeds), (item_df, items))]
    return np.asarray(np.sqrt(squared[0] + squared[1]), dtype=np.float64)


def tail_of(distance: Floats, seeds: Floats, seed_df: Floats, items: Floats, item_df: Floats) -> Floats:
    """Invert `half_width`: return the one-sided tail, at least 1e-16, whose interval reaches as far as `distance`; .5 where that is 0.

    Newton's method on the logarithm of the tail, kept between the tails that one t with the larger or the smaller degrees of freedom
    gives to both variance parts.
    """
    from scipy.special import gammaln, stdtr, stdtrit

    parts = [np.broadcast_to(part, np.shape(distance)) for part in (seeds, np.maximum(seed_df, 1.0), items, np.maximum(item_df, 1.0))]
    t = -distance / np.sqrt(np.maximum(parts[0] + parts[2], 1e-300))
    ends = [np.log(np.clip(stdtr(pick(parts[1], parts[3]), t), 1e-16, 0.5)) for pick in (np.maximum, np.minimum)]
    low, high, tail = ends[0] - 1e-6, ends[1] + 1e-6, (ends[0] + ends[1]) / 2
    scales = [gammaln((df + 1) / 2) - gammaln(df / 2) - np.log(df * np.pi) / 2 for df in parts[1::2]]
    open_ = np.arange(len(tail))  # a few tails at an end of their range take ten times the steps of the others
    for _ in range(40):
        at, squared, slope = tail[open_], np.zeros(len(open_)), np.zeros(len(open_))
        for variance, df, scale in ((parts[0], parts[1], scales[0]), (parts[2], parts[3], scales[1])):
            variance, df, scale = variance[open_], df[open_], scale[open_]
            t = stdtrit(df, np.exp(at))
            squared += t**2 * variance
            slope += 2 * variance * t * np.exp(at - scale + (df + 1) / 2 * np.log1p(t**2 / df))
        wanted = distance[open_] ** 2
        low[open_] = np.where(squared > wanted, at, low[open_])
        high[open_] = np.where(squared > wanted, high[open_], at)
        step = np.divide(wanted - squared, slope, out=np.zeros_like(at), where=slope < 0)
        inside = (at + step >= low[open_]) & (at + step <= high[open_])
        tail[open_] = np.where(inside, at + step, (low[open_] + high[open_]) / 2)
        open_ = open_[np.abs(tail[open_] - at) >= 1e-9]
        if not open_.size:
            break
    return np.where(distance > 0, np.clip(np.exp(tail), 1e-16, 0.5), 0.5)


def effects(found: Contrasts, prior: VariancePrior) -> Effects:
    """Add up the variance components: Var = S_seed/R + S_cluster/C - S_inter/(RC), no component below zero.

    Seed variances are moderated by `prior`; the item part's degrees of freedom by Satterthwaite 1946 (Biometrics Bulletin 2, 110-114).
    """
    moderated, seed_df = prior.moderate(found.seed_variance, found.seed_df)
    known = seed_df > 0
    seed_variance = np.where(known, moderated, 0.0)
    items = np.maximum(found.between - found.within, 0.0)
    free = found.clusters - 1.0
    spread = found.between**2 / free + found.within**2 / (free * np.maximum(found.repeats - 1, 1))
    item_df = np.divide(items**2, spread, out=np.full_like(items, free), where=items > 0)
    stderr = np.sqrt(seed_variance / found.repeats + items)
    seeds_known, n = known & (stderr > 0), np.full(len(found.value), found.n)
    return Effects(found.value, stderr, seed_variance, seed_df, items, np.clip(item_df, 1.0, free), found.repeats, seeds_known, n)


def family_prior(panel: Panel, arms: Sequence[int], reference: int | None = None) -> VariancePrior:
    """Fit the prior of the seed variances of one family of contrasts.

    Without `reference`: all pairs among trained `arms`, which also serves each arm against a trained base. With it: the arms against a
    reference that has no seed (the untrained proxy).
    """
    pairs = [(a, reference) for a in arms] if reference is not None else [(a, b) for k, a in enumerate(arms) for b in arms[k + 1 :]]
    done = np.isfinite(panel.means)
    together = done.astype(np.int64) @ done.T  # repeats that two arms have in common
    pairs = [(a, b) for a, b in pairs if together[a, b] > 1]
    if not pairs:
        return VariancePrior(0.0, 0.0, 0.0)
    found = contrasts(panel, pairs)
    several = [a for a in arms if done[a].sum() > 1]
    shared = done[several].all(axis=0)
    cap = pooled_degrees_of_freedom(panel.means[several][:, shared], centred=reference is None)
    members = pairs if reference is None else None
    return fit_prior(found.seed_variance, found.seed_df, max(cap, float(found.seed_df.max())), members)
