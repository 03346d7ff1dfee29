"""Means go up from item to benchmark to capability to overall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probe.decide.panel import Panel, combine, repeat_deviation

Floats = NDArray[np.float64]
STANDARDISED = "effect in repeat deviations"
OVERALL, CAPABILITY, BENCHMARK = "overall", "capability", "benchmark"


@dataclass(frozen=True, slots=True, eq=False)
class BenchmarkPanel:
    """One benchmark's panel in its own metric (higher is better), with `accuracy[arm]` and its weight inside its capability."""

    name: str
    capability: str
    metric: str
    panel: Panel
    accuracy: Floats
    weight: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class LevelPanel:
    """All arms at one level; `metric` is a metric's name or `STANDARDISED`."""

    level: str
    name: str
    metric: str
    panel: Panel
    accuracy: Floats


def level_panels(benchmarks: Sequence[BenchmarkPanel], trained: Sequence[int]) -> tuple[LevelPanel, ...]:
    """Combine benchmarks into the levels overall, each capability and each benchmark, in that order.

    Within a capability benchmarks count by their weights, overall each capability counts once. With one metric these are plain means;
    with several, each benchmark is first divided by its repeat deviation, pooled over the `trained` arms because three runs of the
    reference alone would make the unit itself noise (the error left in the unit is ignored).
    """
    capabilities = sorted({part.capability for part in benchmarks})
    members = {name: [part for part in benchmarks if part.capability == name] for name in capabilities}
    inside = {name: _normalised([part.weight for part in members[name]]) for name in capabilities}
    everything = [part for name in capabilities for part in members[name]]
    weights = [weight / len(capabilities) for name in capabilities for weight in inside[name]]
    return (
        _mean(OVERALL, OVERALL, everything, weights, trained),
        *(_mean(CAPABILITY, name, members[name], inside[name], trained) for name in capabilities),
        *(LevelPanel(BENCHMARK, part.name, part.metric, part.panel, part.accuracy) for part in benchmarks),
    )


def _normalised(weights: Sequence[float]) -> list[float]:
    return [weight / sum(weights) for weight in weights]


def _mean(level: str, name: str, parts: Sequence[BenchmarkPanel], weights: Sequence[float], trained: Sequence[int]) -> LevelPanel:
    metrics = {part.metric for part in parts}
    units = [1.0] * len(parts) if len(metrics) == 1 else [_unit(part.panel, trained) for part in parts]
    panel = combine([part.panel for part in parts], [weight / unit for weight, unit in zip(weights, units, strict=True)])
    accuracy = np.sum([weight * part.accuracy for weight, part in zip(weights, parts, strict=True)], axis=0)
    return LevelPanel(level, name, metrics.pop() if len(metrics) == 1 else STANDARDISED, panel, accuracy)


def _unit(panel: Panel, trained: Sequence[int]) -> float:
    """Return the repeat deviation; with single repeats or none at all, the deviation that the items give, so that units still cancel."""
    deviation = repeat_deviation(panel, trained)
    if np.isfinite(deviation) and deviation > 0:
        return deviation
    from_items = float(np.sqrt(np.nanmean((panel.influence**2).sum(axis=2))))
    return from_items if from_items > 0 else 1.0
