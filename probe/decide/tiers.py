"""Tiers and ranks that never count 1..N inside the noise."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

Decided = Collection[tuple[str, str]]


def tiers(effects: Mapping[str, float], below: Decided) -> dict[str, int]:
    """Sort arms into tiers, 1 the best; a new tier opens where every arm above is decidedly better than every arm below.

    `below` holds (better, worse) pairs that are decided after correction over all pairs (Holm; it holds under any dependence, needs no
    joint covariance, which three seeds cannot give, and is about as sharp as Tukey-Kramer for the pairs that matter here). So arms of
    different tiers are decided pairs, and any two truly equal arms come to stand in different tiers with probability of at most the
    correction's level, whatever the others are. The price: arms of one tier may be told apart; `ranks` says how far. Two other rules were
    measured, a tier opened below its own best arm, and 1 + the longest chain of decided pairs: they split equal arms among 12 or 40 that
    differ in a third to nearly all studies. Ties in the effect go to the smaller name.
    """
    order = sorted(effects, key=lambda arm: (-effects[arm], arm))
    decided = set(below)
    apart = np.array([[(better, worse) in decided for worse in order] for better in order], dtype=bool)
    opens = [k > 0 and bool(apart[:k, k:].all()) for k in range(len(order))]
    return dict(zip(order, (1 + np.cumsum(opens)).tolist(), strict=True))


def ranks(arms: Collection[str], below: Decided) -> dict[str, tuple[int, int]]:
    """Return for each arm the best and the worst place that is not ruled out: 1 + those decidedly better, all but those decidedly worse.

    All places together are right with the probability that no decided pair is false (Mogstad, Romano, Shaikh and Wilhelm 2024, Review of
    Economic Studies 91, 476-518; Al Mohamad, Goeman and van Zwet 2022, Biometrics 78, 238-247).
    """
    best, worst = dict.fromkeys(arms, 1), dict.fromkeys(arms, len(arms))
    for better, worse in below:
        best[worse] += 1
        worst[better] -= 1
    return {arm: (best[arm], worst[arm]) for arm in arms}
