"""Decisions that may be looked at several times: the level of significance is spent over looks that are fixed beforehand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from probe.decide.effects import COLUMNS, Effects, Pair, contrasts, effects
from probe.decide.moderation import VariancePrior
from probe.decide.panel import Panel

Floats = NDArray[np.float64]
GROWTH = 1.5  # from one look's number of seeds to the next
POWER = 2.0  # of the spending function


def looks(first: int, most: int) -> tuple[int, ...]:
    """Return the numbers of seeds at which is looked: from `first` on, each about half as many again as the last, up to `most`."""
    found = [first]
    while found[-1] < most:
        found.append(min(most, max(found[-1] + 1, round(GROWTH * found[-1]))))
    return tuple(found)


def spending(at: Sequence[int]) -> Floats:
    """Return the share of the level that each look has; they sum to 1.

    Alpha spending (Lan and DeMets 1983, Biometrika 70, 659-663) by the power family (seeds / most seeds)^2 (Kim and DeMets 1987,
    Biometrika 74, 149-154): little early, where three seeds know their own noise badly, most of it at the end.
    """
    spent = (np.asarray(at, dtype=np.float64) / at[-1]) ** POWER
    return np.asarray(np.diff(spent, prepend=0.0), dtype=np.float64)


def seen(panel: Panel, repeats: int) -> Panel:
    """Return what a look at so many repeats sees."""
    return replace(panel, means=panel.means[:, :repeats], influence=panel.influence[:, :repeats])


@dataclass(frozen=True, slots=True, eq=False)
class SequentialEffects(Effects):
    """Effects at each entry's latest look; p-values and intervals hold however often was looked and why the seeds ended.

    `earlier[look]` are the effects at each look, `reached[look, entry]` says which entries have it, `shares[look]` is its part of the
    level.
    A p-value is the least over looks of p / share (a sequential p-value: Liu and Anderson 2008, J. Amer. Statist. Assoc. 103, 1621-1630;
    the union bound over looks in place of their joint distribution, which is a little wide and right under any dependence), so corrections
    over several questions take it as any other (Maurer and Bretz 2013, Stat. Biopharm. Res. 5, 311-320). An interval is the repeated
    confidence interval of the latest look (Jennison and Turnbull 1989, J. R. Statist. Soc. B 51, 305-361).
    """

    earlier: tuple[Effects, ...] = ()
    reached: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0), dtype=bool))
    shares: Floats = field(default_factory=lambda: np.zeros(0))

    def joined_with(self, others: Sequence[Effects]) -> SequentialEffects:
        """Return these entries and those of others with the same looks."""
        parts = [self, *(part for part in others if isinstance(part, SequentialEffects))]
        plain = Effects.joined_with(self, others)
        earlier = tuple(found.joined_with([part.earlier[k] for part in parts[1:]]) for k, found in enumerate(self.earlier))
        reached = np.concatenate([part.reached for part in parts], axis=1)
        return _sequential(plain, earlier, reached, self.shares)

    def half_width(self, level: float) -> Floats:
        """Return half the width of the intervals, which hold at all looks together."""
        share = np.max(np.where(self.reached, np.arange(len(self.shares))[:, None], 0), axis=0)
        parts = np.array([Effects.half_width(self, 1 - (1 - level) * part) for part in self.shares.tolist()], dtype=np.float64)
        return np.asarray(parts[share, np.arange(len(share))], dtype=np.float64)

    def p_above(self, threshold: float | Floats) -> Floats:
        """Return one-sided sequential p-values of "the difference is at most `threshold`"."""
        return self._least(lambda found: found.p_above(threshold))

    def p_two_sided(self) -> Floats:
        """Return two-sided sequential p-values of "no difference"."""
        return self._least(lambda found: found.p_two_sided())

    def p_inside(self, margin: float | Floats) -> Floats:
        """Return sequential p-values of "the difference is at least `margin` in size"."""
        return self._least(lambda found: found.p_inside(margin))

    @property
    def share_left(self) -> float:
        """Return the last look's part of the level."""
        return float(self.shares[-1])

    def _least(self, p_of: Callable[[Effects], Floats]) -> Floats:
        spent = [
            np.where(here, p_of(found) / share, 1.0) for found, here, share in zip(self.earlier, self.reached, self.shares, strict=True)
        ]
        return np.asarray(np.minimum(np.min(spent, axis=0), 1.0), dtype=np.float64)


def sequential_effects(
    panel: Panel, pairs: Sequence[Pair], prior_of: Callable[[Panel], VariancePrior], at: Sequence[int]
) -> SequentialEffects:
    """Compute the pairs' effects at each look that both arms have reached; `prior_of` fits the prior of the seed variances to a panel.

    Repeats beyond a pair's latest look are not used before its next one. A pair that has not reached the first look is taken as it is
    and decides nothing.

    Raises:
        ValueError: a pair has no repeat in common.
    """
    done = np.isfinite(panel.means)
    first, second = (np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1))
    common = done[first] & done[second]
    reached = np.array([common[:, :look].sum(axis=1) >= look for look in at])
    every = [effects(contrasts(part := seen(panel, look), pairs), prior_of(part)) for look in at]
    latest = np.max(np.where(reached, np.arange(len(at))[:, None], 0), axis=0)
    entries = np.arange(len(pairs))
    last = Effects(*(np.array([getattr(found, column) for found in every])[latest, entries] for column in COLUMNS))
    return _sequential(last, tuple(every), reached, spending(at))


def _sequential(latest: Effects, earlier: tuple[Effects, ...], reached: NDArray[np.bool_], shares: Floats) -> SequentialEffects:
    return SequentialEffects(**{column: getattr(latest, column) for column in COLUMNS}, earlier=earlier, reached=reached, shares=shares)
