"""What the mixture search is fitted to: every trained mixture of a study, and its score per capability on selection items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from db.values import Arm, ArmRole, Split, StudyRecord
from probe.errors import ProbeError
from probe.study.ranking import study_scores

if TYPE_CHECKING:
    from db.store import Store

Floats = NDArray[np.float64]
OBSERVED = (ArmRole.SOURCE, ArmRole.BASE, ArmRole.MIXTURE)


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """Trained mixtures: `weights[run, source]`, `targets[run, capability]` and the variance of each target's mean over repeats."""

    sources: tuple[str, ...]
    capabilities: tuple[str, ...]
    arms: tuple[str, ...]
    weights: Floats
    targets: Floats
    noise: Floats
    n_items: int

    def subset(self, sources: Sequence[str]) -> Observations:
        """Return the runs that use these sources alone, with their columns."""
        columns = [self.sources.index(slug) for slug in sources]
        inside = np.isclose(self.weights[:, columns].sum(axis=1), 1.0)
        names = tuple(name for name, keep in zip(self.arms, inside, strict=True) if keep)
        return Observations(
            tuple(sources),
            self.capabilities,
            names,
            self.weights[inside][:, columns],
            self.targets[inside],
            self.noise[inside],
            self.n_items,
        )


def observations(store: Store, study: StudyRecord) -> Observations:
    """Return a study's trained static mixtures and their scores.

    Repeats share their seed over arms, so a seed's common effect, estimated from arms that have every repeat, is taken out
    before means are formed; what is left between repeats of one arm is the noise.

    Raises:
        ProbeError: nothing was trained.
    """
    inputs = study_scores(store, study, OBSERVED, Split.SELECTION)
    arms = {arm.name: arm for arm in store.arms(study.name) if len(arm.curriculum.phases) == 1}
    places = [a for a, arm in enumerate(inputs.arms) if arm.name in arms]
    if not places:
        raise ProbeError(f"study {study.name!r} has no trained mixture yet: probe run --study {study.name} --design swarm --source S ...")
    capabilities = tuple(dict.fromkeys(b.capability for b in inputs.benchmarks))
    runs = np.stack([_capability_means(inputs.benchmarks, name, places) for name in capabilities], axis=-1)
    runs -= _seed_effect(runs)
    used = [arms[inputs.arms[a].name] for a in places]
    sources = tuple(sorted({slug for arm in used for slug in arm.curriculum.sources()}))
    return Observations(
        sources,
        capabilities,
        tuple(arm.name for arm in used),
        _weights(used, sources),
        np.nanmean(runs, axis=1),
        _noise(runs),
        sum(len(b.groups) for b in inputs.benchmarks),
    )


def _capability_means(benchmarks: Sequence[object], capability: str, places: list[int]) -> Floats:
    """Return mean scores [arm, repeat] of one capability, higher is better; NaN where a probe is not done."""
    from probe.decide.study_scores import BenchmarkArrays

    means = []
    for b in benchmarks:
        assert isinstance(b, BenchmarkArrays)
        if b.capability == capability:
            metric = b.ranking_metric()
            sign = -1.0 if metric == 3 else 1.0
            values = np.asarray(b.values[metric][places], np.float64)
            known = np.isfinite(values).sum(axis=-1)
            means.append(np.where(known > 0, sign * np.nansum(values, axis=-1) / np.maximum(known, 1), np.nan))
    return np.mean(means, axis=0)  # type: ignore[no-any-return]


def _seed_effect(runs: Floats) -> Floats:
    """Return each repeat's common shift [1, repeat, capability], zero where no arm has all repeats."""
    complete = runs[np.isfinite(runs).all(axis=(1, 2))]
    if len(complete) < 2:
        return np.zeros((1, *runs.shape[1:]))
    return (complete.mean(axis=0) - complete.mean(axis=(0, 1)))[None]  # type: ignore[no-any-return]


def _noise(runs: Floats) -> Floats:
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
