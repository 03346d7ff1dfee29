"""Tiers: ranks that never count 1..N inside the noise."""

from __future__ import annotations

from collections.abc import Collection, Mapping


def tiers(effects: Mapping[str, float], below: Collection[tuple[str, str]]) -> dict[str, int]:
    """Sort arms into tiers, 1 the best; an arm opens a new tier when it is decidedly below the best arm of the current one.

    `below` holds (better, worse) pairs that are decided after correction over all pairs (Holm; it holds under any dependence, needs no
    joint covariance, which three seeds cannot give, and is about as sharp as Tukey-Kramer for the pairs that matter here). All arms
    truly equal, two tiers appear with probability of at most the correction's level; an arm may still be undecided against others of the
    tier above than its best. Ties in the effect go to the smaller name.
    """
    decided = set(below)
    result: dict[str, int] = {}
    leader, tier = "", 0
    for name in sorted(effects, key=lambda arm: (-effects[arm], arm)):
        if tier == 0 or (leader, name) in decided:
            leader, tier = name, tier + 1
        result[name] = tier
    return result
