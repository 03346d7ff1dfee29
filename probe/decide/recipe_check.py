"""Whether a proxy's learning rate and budget decide the answer: the order of sources over a small grid, and other rates' gains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from probe.decide.effects import contrasts, effects, family_prior
from probe.decide.fidelity import Agreement, Differences, agreement
from probe.decide.multiplicity import holm
from probe.decide.panel import Panel
from sources.estimate import Estimate

LEVEL, ALPHA = 0.90, 0.05


@dataclass(frozen=True, slots=True)
class Cell:
    """One recipe of the grid: the factors on the study's learning rate and budget; both 1 is the study's own."""

    rate: float
    budget: float

    def name(self) -> str:
        """Return what it is called, such as `rate x0.5, budget x1`."""
        return f"rate x{self.rate:g}, budget x{self.budget:g}"


@dataclass(frozen=True, slots=True)
class CellJudged:
    """A cell beside the study's own: how it orders sources, which pairs beyond doubt the other way round, and its gain over all sources.

    `better` says whether the gain is above zero after correction over all other rates at the study's budget; False for other budgets,
    which cost something else.
    """

    cell: Cell
    order: Agreement
    reversed: tuple[tuple[str, str], ...]
    gain: Estimate
    better: bool


def judge_recipe(panel: Panel, cells: Sequence[Cell], sources: Sequence[str]) -> tuple[CellJudged, ...]:
    """Compare every cell with the study's own, from a panel whose arms are the sources of the first cell, then of the second, ...

    A pair is told apart by its marginal 90 % interval, reversed where both cells tell it apart in opposite orders; the rank agreement is
    that of `agreement`. Gains are paired over repeats and items, the mean over sources; those of other rates at the study's budget are
    tested against zero together (Holm, one-sided .05).

    Raises:
        ValueError: the study's own cell is missing, or arms have no repeat in common.
    """
    own = cells.index(Cell(1.0, 1.0))
    within = [_within(panel, c * len(sources), len(sources)) for c in range(len(cells))]
    whole = _cell_means(panel, len(cells), len(sources))
    others = [c for c in range(len(cells)) if c != own]
    found = effects(contrasts(whole, [(c, own) for c in others]), family_prior(whole, list(range(len(cells)))))
    same_cost = np.array([cells[c].budget == 1.0 for c in others])
    better = np.zeros(len(others), dtype=bool)
    better[same_cost] = holm(found.p_above(0.0)[same_cost]) <= ALPHA
    return tuple(
        CellJudged(
            cells[c], agreement(cells[c].name(), within[own], within[c], LEVEL), _reversed(within[own], within[c], sources), gain, won
        )
        for c, gain, won in zip(others, found.estimates(LEVEL), better.tolist(), strict=True)
    )


def _within(panel: Panel, start: int, count: int) -> Differences:
    """Return the differences between one cell's sources."""
    value, apart = np.full((count, count), np.nan), np.zeros((count, count), dtype=bool)
    pairs = list(combinations(range(count), 2))
    if pairs:
        arms = list(range(start, start + count))
        found = effects(contrasts(panel, [(start + a, start + b) for a, b in pairs]), family_prior(panel, arms))
        for (a, b), gain, p in zip(pairs, found.value.tolist(), found.p_two_sided().tolist(), strict=True):
            value[a, b], value[b, a] = gain, -gain
            apart[a, b] = apart[b, a] = p <= 1 - LEVEL
    return Differences(value, apart)


def _cell_means(panel: Panel, cells: int, sources: int) -> Panel:
    """Return the panel whose arms are the cells: means over their sources."""
    means = panel.means.reshape(cells, sources, -1).mean(axis=1)
    influence = panel.influence.reshape(cells, sources, *panel.influence.shape[1:]).mean(axis=1)
    return Panel(means, influence, panel.clusters, panel.n)


def _reversed(own: Differences, other: Differences, sources: Sequence[str]) -> tuple[tuple[str, str], ...]:
    pairs = combinations(range(len(sources)), 2)
    turned = own.apart & other.apart & (own.value * other.value < 0)
    return tuple((sources[a], sources[b]) for a, b in pairs if turned[a, b])
