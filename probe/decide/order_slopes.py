"""How the gain of an order of phases changes with size: does a curriculum pay more, the more there is to train on?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probe.decide.effects import contrasts, effects, family_prior
from probe.decide.multiplicity import holm
from probe.decide.panel import Panel
from sources.estimate import Estimate

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Laddered:
    """An order of phases and its reference at the same `sizes`, as places in a panel."""

    order: str
    reference: str
    sizes: tuple[int, ...]
    arms: tuple[int, ...]
    references: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OrderSlope:
    """By how much an order's gain over its reference grows with each doubling of the size; `decided` says whether it is not nil."""

    order: str
    reference: str
    sizes: tuple[int, ...]
    slope: Estimate
    decided: bool


def order_slopes(panel: Panel, asked: Sequence[Laddered], *, level: float = 0.90, alpha: float = 0.05) -> tuple[OrderSlope, ...]:
    """Return the slope of paired differences over log2(size), one for each order that is scored at two sizes or more.

    Each repeat's slope is the least-squares one of its own differences, and the slopes of the repeats are the data ("summary measures",
    Matthews, Altman, Campbell & Royston 1990, BMJ 300, 230-235): nothing is assumed of how the sizes of one repeat hang together, which
    they do, for a larger draw holds the smaller. A slope is a weighted sum of arms, so clusters of items and moderated seed variances
    enter as in any other difference. `decided` is corrected over the orders (Holm).
    """
    done = np.isfinite(panel.means)
    known = [rungs for one in asked if (rungs := _scored(one, done)) is not None]
    if not known:
        return ()
    slopes = _slope_panel(panel, known)
    nil, places = len(known), range(len(known))
    found = effects(contrasts(slopes, [(k, nil) for k in places]), family_prior(slopes, list(places), nil))
    decided = (holm(found.p_two_sided()) <= alpha).tolist()
    rows = zip(known, found.estimates(level), decided, strict=True)
    return tuple(OrderSlope(one.order, one.reference, one.sizes, slope, apart) for one, slope, apart in rows)


def slope_weights(sizes: Sequence[int]) -> Floats:
    """Return the weights of the least-squares slope over log2(size); they sum to zero."""
    x = np.log2(np.asarray(sizes, dtype=np.float64))
    return np.asarray((x - x.mean()) / ((x - x.mean()) ** 2).sum(), dtype=np.float64)


def _scored(one: Laddered, done: NDArray[np.bool_]) -> Laddered | None:
    """Return the sizes at which both were scored; None where these are fewer than two, or no repeat has them all."""
    kept = [k for k, (a, b) in enumerate(zip(one.arms, one.references, strict=True)) if (done[a] & done[b]).any()]
    parts = ([values[k] for k in kept] for values in (one.sizes, one.arms, one.references))
    sizes, arms, references = (tuple(part) for part in parts)
    if len(set(sizes)) < 2 or not done[[*arms, *references]].all(axis=0).any():
        return None
    return Laddered(one.order, one.reference, sizes, arms, references)


def _slope_panel(panel: Panel, known: Sequence[Laddered]) -> Panel:
    """Return a panel whose arms are the slopes of each repeat, and last an arm that is nil."""
    weights = np.zeros((len(known) + 1, len(panel.means)))
    for row, one in enumerate(known):
        slope = slope_weights(one.sizes)
        np.add.at(weights[row], list(one.arms), slope)
        np.add.at(weights[row], list(one.references), -slope)
    means, influence = (np.zeros((len(weights), *part.shape[1:])) for part in (panel.means, panel.influence))
    for row, weight in enumerate(weights):
        used = np.flatnonzero(weight)
        means[row] = np.tensordot(weight[used], panel.means[used], axes=1)
        influence[row] = np.tensordot(weight[used], panel.influence[used], axes=1)
    return Panel(means, influence, panel.clusters, panel.n)
