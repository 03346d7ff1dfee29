"""What the mixture search is fitted to: every trained mixture of a study, and its score per capability on selection items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from db.values import Arm, ArmRole, Split, StudyRecord
from probe.decide.levels import BenchmarkPanel, Combination
from probe.decide.panel import Panel
from probe.errors import ProbeError
from probe.study.ranking import study_scores

if TYPE_CHECKING:
    from db.store import Store

Floats = NDArray[np.float64]
OBSERVED = (ArmRole.SOURCE, ArmRole.BASE, ArmRole.MIXTURE)


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """Trained mixtures `weights[run, source]`, and their panel on every benchmark that was scored, in the order of `arms`.

    `unscored` names the arms that are left out because no repeat is scored on all of these, `left_out` the benchmarks without scores.
    """

    sources: tuple[str, ...]
    arms: tuple[str, ...]
    weights: Floats
    parts: tuple[BenchmarkPanel, ...]
    unscored: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Return what the benchmarks measure."""
        return tuple(dict.fromkeys(part.capability for part in self.parts))

    def subset(self, sources: Sequence[str]) -> Observations:
        """Return the runs that use these sources alone, with their columns."""
        columns = [self.sources.index(slug) for slug in sources]
        inside = np.flatnonzero(np.isclose(self.weights[:, columns].sum(axis=1), 1.0))
        return replace(
            self,
            sources=tuple(sources),
            arms=tuple(self.arms[k] for k in inside),
            weights=self.weights[inside][:, columns],
            parts=tuple(_rows(part, inside) for part in self.parts),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What is fitted: `values[run, capability]` in the objective's units, the variance of each, and the capabilities' weights."""

    capabilities: tuple[str, ...]
    weights: tuple[float, ...]
    values: Floats
    noise: Floats
    n_items: int


def observations(store: Store, study: StudyRecord) -> Observations:
    """Return a study's trained static mixtures of the study's budget, and their scores.

    Raises:
        ProbeError: nothing was trained.
    """
    inputs = study_scores(store, study, OBSERVED, Split.SELECTION)
    static = (arm for arm in store.arms(study.name) if len(arm.curriculum.phases) == 1)
    arms = {arm.name: arm for arm in static if not arm.curriculum.budget}  # rungs of a ladder spend other budgets
    places = [a for a, arm in enumerate(inputs.arms) if arm.name in arms]
    scored = [benchmark for benchmark in inputs.benchmarks if benchmark.scored()]
    if not places or not scored:
        raise ProbeError(f"study {study.name!r} has no trained mixture yet: probe run --study {study.name} --design swarm --source S ...")
    try:
        parts = [benchmark.panel(places, []) for benchmark in scored]
    except ValueError as error:
        raise ProbeError(f"the mixtures of study {study.name!r} cannot be compared: {error}; see `probe status`.") from None
    complete = np.logical_and.reduce([np.isfinite(part.panel.means) for part in parts]).any(axis=1)
    used = [arms[inputs.arms[a].name] for a, known in zip(places, complete, strict=True) if known]
    sources = tuple(sorted({slug for arm in used for slug in arm.curriculum.sources()}))
    return Observations(
        sources,
        tuple(arm.name for arm in used),
        _weights(used, sources),
        tuple(_rows(part, np.flatnonzero(complete)) for part in parts),
        tuple(inputs.arms[a].name for a, known in zip(places, complete, strict=True) if not known),
        tuple(benchmark.name for benchmark in inputs.benchmarks if not benchmark.scored()),
    )


def targets(seen: Observations, objective: Combination) -> Targets:
    """Return each mixture's score per capability, in the units of the objective.

    Repeats share their seed over arms, so a seed's common effect, estimated from arms that have every repeat, is taken out
    before means are formed; what is left between repeats of one arm is the noise.
    """
    weights = objective.capabilities()
    runs = np.stack([objective.within(name).panel(seen.parts).means for name in weights], axis=-1)
    runs[~np.isfinite(runs).all(axis=2)] = np.nan
    runs -= seed_effect(runs)
    n_items = objective.panel(seen.parts).n
    return Targets(tuple(weights), tuple(weights.values()), np.nanmean(runs, axis=1), repeat_noise(runs), n_items)


def run_variance(seen: Observations, objective: Combination) -> tuple[float, float]:
    """Return the variance of one run's objective, beside what its seed does to all arms, and its degrees of freedom; NaN and 0 without
    repeats.
    """
    runs = objective.panel(seen.parts).means[:, :, None]
    runs = runs - seed_effect(runs)
    df = int(np.maximum(np.isfinite(runs[:, :, 0]).sum(axis=1) - 1, 0).sum())
    own = repeat_noise(runs)[:, 0] * np.isfinite(runs[:, :, 0]).sum(axis=1)
    return (float(own[0]), float(df)) if df else (float("nan"), 0.0)


def _rows(part: BenchmarkPanel, kept: NDArray[np.intp]) -> BenchmarkPanel:
    panel = Panel(part.panel.means[kept], part.panel.influence[kept], part.panel.clusters, part.panel.n)
    return replace(part, panel=panel, accuracy=part.accuracy[kept])


def seed_effect(runs: Floats) -> Floats:
    """Return each repeat's common shift [1, repeat, capability] of `runs[arm, repeat, capability]`, zero where no arm has all repeats."""
    complete = runs[np.isfinite(runs).all(axis=(1, 2))]
    if len(complete) < 2:
        return np.zeros((1, *runs.shape[1:]))
    return (complete.mean(axis=0) - complete.mean(axis=(0, 1)))[None]  # type: ignore[no-any-return]


def repeat_noise(runs: Floats) -> Floats:
    """Return the variance of each arm's mean [arm, capability] from the variance between repeats, pooled over arms."""
    counts = np.isfinite(runs[:, :, 0]).sum(axis=1)
    repeated = counts > 1
    if not repeated.any():
        return np.zeros((len(runs), runs.shape[2]))
    squares = np.nansum((runs[repeated] - np.nanmean(runs[repeated], axis=1, keepdims=True)) ** 2, axis=(0, 1))
    pooled = squares / (counts[repeated] - 1).sum()
    return pooled[None] / counts[:, None]  # type: ignore[no-any-return]


def _weights(arms: Sequence[Arm], sources: Sequence[str]) -> Floats:
    rows = [arm.curriculum.phases[0].mixture.weights() for arm in arms]
    return np.array([[row.get(slug, 0.0) for slug in sources] for row in rows])
