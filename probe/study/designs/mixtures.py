"""Arithmetic on mixtures: a unit's share put in, taken out or changed."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from sources.mixture import Mixture


def with_share(base: Mixture, slug: str, share: float) -> Mixture:
    """Return `(1 - share) * base + share * slug`."""
    return with_part(base, Mixture.single(slug), share)


def with_part(base: Mixture, part: Mixture, share: float) -> Mixture:
    """Return `(1 - share) * base + share * part`."""
    weights = {name: weight * (1 - share) for name, weight in base.shares}
    for slug, weight in part.shares:
        weights[slug] = weights.get(slug, 0.0) + share * weight
    return Mixture.of(weights)


def share_of(base: Mixture, slugs: Collection[str]) -> float:
    """Return the share that sources have together."""
    return math.fsum(weight for slug, weight in base.shares if slug in slugs)


def rescaled(base: Mixture, slugs: Collection[str], factor: float) -> Mixture:
    """Return the base with the joint share of sources times `factor`, the rest renormalised; inside both parts ratios stay.

    Raises:
        ValueError: there is no rest, or the new share is 1 or more.
    """
    share = share_of(base, slugs)
    if not 0 < share < 1 or share * factor >= 1:
        raise ValueError(f"a share of {share:g} cannot be taken times {factor:g}")
    rest = (1 - share * factor) / (1 - share)
    return Mixture.of({slug: weight * (factor if slug in slugs else rest) for slug, weight in base.shares})


def proportional(usable: Mapping[str, int]) -> Mixture:
    """Return the mixture proportional to usable rows."""
    return Mixture.of({slug: float(rows) for slug, rows in usable.items()})


def uniform(sources: Sequence[str]) -> Mixture:
    """Return equal shares."""
    return Mixture.of(dict.fromkeys(sources, 1.0))
