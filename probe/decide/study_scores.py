"""`StudyScores`: what a ranking is computed from, as plain arrays of selection items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from db.values import Arm, ArmRole, Design
from probe.decide.levels import BenchmarkPanel
from probe.decide.panel import benchmark_panel
from proxy_training.jobs import METRICS

CHOICE_METRIC, FREE_TEXT_METRIC, ACCURACY, GENERATED_METRIC = "right_probability", "bits_per_byte", "accuracy", "generated"


@dataclass(frozen=True, slots=True)
class StudyArm:
    """An arm by name, with what it is for."""

    name: str
    role: ArmRole
    design: Design | None = None
    source: str = ""

    @classmethod
    def of(cls, arm: Arm) -> StudyArm:
        """Take what the statistics need from a stored arm."""
        return cls(arm.name, arm.role, arm.design, arm.source)


@dataclass(frozen=True, slots=True, eq=False)
class BenchmarkArrays:
    """Scores on one benchmark: `values[metric, arm, repeat, item]` (NaN = missing; metrics as `METRICS`), `groups[item]` image clusters.

    `metric` is the index of the one that ranks (default: `right_probability` where it was scored, else `bits_per_byte`, whose sign is
    turned; a benchmark whose answers are generated names `generated`). `pool` names a set of images: benchmarks of one non-empty pool
    number their groups alike, so that shared images are not counted as independent. `weight` counts inside the capability; `chance` is
    the accuracy of guessing.
    """

    name: str
    capability: str
    values: NDArray[np.floating]
    groups: NDArray[np.integer]
    metric: int | None = None
    weight: float = 1.0
    chance: float = 0.0
    pool: str = ""

    def ranking_metric(self) -> int:
        """Return the index of the metric that ranks."""
        if self.metric is not None:
            return self.metric
        choice = METRICS.index(CHOICE_METRIC)
        return choice if np.isfinite(self.values[choice]).any() else METRICS.index(FREE_TEXT_METRIC)

    def scored(self) -> bool:
        """Say whether any probe has been scored on it."""
        return bool(np.isfinite(self.values[self.ranking_metric()]).any())

    def panel(self, arms: list[int], one_run: list[int]) -> BenchmarkPanel:
        """Reduce it to a panel of `arms`; `one_run` are places in that list.

        Raises:
            ValueError: fewer than two image clusters are scored by all probes.
        """
        metric = self.ranking_metric()
        sign, name = (-1.0, f"negative {METRICS[metric]}") if METRICS[metric] == FREE_TEXT_METRIC else (1.0, METRICS[metric])
        panel = benchmark_panel(sign * self.values[metric][arms], self.groups, one_run=one_run, pool=self.pool or f"\0{self.name}")
        return BenchmarkPanel(self.name, self.capability, name, panel, self.accuracy(arms), self.weight)

    def accuracy(self, arms: list[int]) -> NDArray[np.float64]:
        """Return each arm's mean accuracy over repeats and items, that of generated answers where these rank; NaN where it has none."""
        generated = METRICS.index(GENERATED_METRIC)
        metric = generated if self.ranking_metric() == generated else METRICS.index(ACCURACY)
        values = np.asarray(self.values[metric][arms], dtype=np.float64).reshape(len(arms), -1)
        known = np.isfinite(values)
        counts = known.sum(axis=1)
        return np.where(counts > 0, np.where(known, values, 0.0).sum(axis=1) / np.maximum(counts, 1), np.nan)


@dataclass(frozen=True, slots=True, eq=False)
class StudyScores:
    """A study's arms and their scores on selection items; `too_small` are arms with the share of rows that their repeats have in common."""

    study: str
    revision: int
    proxy: str
    illustration_only: bool
    arms: tuple[StudyArm, ...]
    benchmarks: tuple[BenchmarkArrays, ...]
    too_small: tuple[tuple[str, float], ...] = ()
