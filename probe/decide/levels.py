"""Means go up from item to benchmark to capability to overall; `Combination` says how, for ranking, search and confirmation alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probe.decide.panel import Panel, combine, item_deviation, repeat_deviation

Floats = NDArray[np.float64]
STANDARDISED = "standardised score"
OVERALL, CAPABILITY, BENCHMARK = "overall", "capability", "benchmark"
CEILING = 0.98


@dataclass(frozen=True, slots=True, eq=False)
class BenchmarkPanel:
    """One benchmark's panel in its own metric (higher is better), with `accuracy[arm]` and its weight inside its capability."""

    name: str
    capability: str
    metric: str
    panel: Panel
    accuracy: Floats
    weight: float = 1.0

    def at_ceiling(self) -> bool:
        """Say whether every arm answers nearly everything: such a benchmark separates nothing, and its unit is next to nothing."""
        return at_ceiling(self.accuracy)


@dataclass(frozen=True, slots=True, eq=False)
class LevelPanel:
    """All arms at one level; `metric` is a metric's name or `STANDARDISED`, `benchmarks` are those that the score is made of."""

    level: str
    name: str
    metric: str
    panel: Panel
    accuracy: Floats
    benchmarks: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Term:
    """One benchmark of a combined score: its weight (all of them sum to 1), and what its scores are divided by before."""

    benchmark: str
    capability: str
    weight: float
    unit: float


@dataclass(frozen=True, slots=True)
class Combination:
    """A weighted sum of benchmarks; the units are settled when it is made, so the same one serves other arms and items."""

    metric: str
    terms: tuple[Term, ...]

    def capabilities(self) -> dict[str, float]:
        """Return the weight of each capability."""
        weights: dict[str, float] = {}
        for term in self.terms:
            weights[term.capability] = weights.get(term.capability, 0.0) + term.weight
        return weights

    def within(self, capability: str) -> Combination:
        """Return the capability's part by itself, in the same units."""
        total = self.capabilities()[capability]
        terms = tuple(Term(t.benchmark, t.capability, t.weight / total, t.unit) for t in self.terms if t.capability == capability)
        return Combination(self.metric, terms)

    def panel(self, parts: Sequence[BenchmarkPanel]) -> Panel:
        """Return the combined score of every arm.

        Raises:
            ValueError: a benchmark of the combination is not among the parts.
        """
        panels = {part.name: part.panel for part in parts}
        missing = [term.benchmark for term in self.terms if term.benchmark not in panels]
        if missing:
            raise ValueError(f"nothing is scored on {', '.join(missing)}")
        return combine([panels[term.benchmark] for term in self.terms], [term.weight / term.unit for term in self.terms])


def combination(parts: Sequence[BenchmarkPanel], trained: Sequence[int], weights: Mapping[str, float] | None = None) -> Combination:
    """Say how benchmarks are combined: capabilities by `weights` (default: equal), in each the benchmarks by their own.

    Benchmarks at their ceiling are left out beside others. With one metric the sum is a plain mean; with several, each benchmark is
    first divided by its noise: the repeat deviation pooled over the `trained` arms, because three runs of the reference alone would make
    the unit itself noise, and no less than the items' deviation, so that repeats which happen to agree make no unit of nearly zero (the
    error left in the unit is ignored).
    """
    asked = [part for part in parts if weights is None or weights.get(part.capability, 0.0) > 0]
    used = [part for part in asked if not part.at_ceiling()] or asked
    capabilities = {part.capability: 1.0 if weights is None else weights[part.capability] for part in used}
    inside = {name: sum(part.weight for part in used if part.capability == name) for name in capabilities}
    metrics = {part.metric for part in used}
    terms = tuple(
        Term(
            part.name,
            part.capability,
            capabilities[part.capability] / sum(capabilities.values()) * part.weight / inside[part.capability],
            1.0 if len(metrics) == 1 else _unit(part.panel, trained),
        )
        for part in used
    )
    return Combination(metrics.pop() if len(metrics) == 1 else STANDARDISED, terms)


def level_panels(benchmarks: Sequence[BenchmarkPanel], trained: Sequence[int]) -> tuple[LevelPanel, ...]:
    """Combine benchmarks into the levels overall, each capability and each benchmark, in that order."""
    capabilities = sorted({part.capability for part in benchmarks})
    members = {name: [part for part in benchmarks if part.capability == name] for name in capabilities}
    return (
        _combined(OVERALL, OVERALL, [part for name in capabilities for part in members[name]], trained),
        *(_combined(CAPABILITY, name, members[name], trained) for name in capabilities),
        *(LevelPanel(BENCHMARK, part.name, part.metric, part.panel, part.accuracy, frozenset((part.name,))) for part in benchmarks),
    )


def at_ceiling(accuracy: Floats) -> bool:
    """Say whether every scored arm's accuracy is at the ceiling."""
    known = accuracy[np.isfinite(accuracy)]
    return bool(len(known) and known.min() >= CEILING)


def _combined(level: str, name: str, parts: Sequence[BenchmarkPanel], trained: Sequence[int]) -> LevelPanel:
    made = combination(parts, trained)
    accuracies = {part.name: part.accuracy for part in parts}
    accuracy = np.sum([term.weight * accuracies[term.benchmark] for term in made.terms], axis=0)
    return LevelPanel(level, name, made.metric, made.panel(parts), accuracy, frozenset(part.name for part in parts))


def _unit(panel: Panel, trained: Sequence[int]) -> float:
    unit = float(np.nanmax([repeat_deviation(panel, trained), item_deviation(panel, trained)]))
    return unit if unit > 0 else 1.0
