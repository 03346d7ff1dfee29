"""A benchmark's quality as a study's probes show it, from the scores of selection items that the store holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from db.values import Arm, ArmRole, Split
from probe.decide.benchmark_quality import Informative, informative_items, signal_to_noise
from probe.decide.rank_agreement import kendall
from probe.decide.ranking import RANKED
from probe.decide.study_scores import ACCURACY, FREE_TEXT_METRIC, GENERATED_METRIC, BenchmarkArrays, StudyScores
from proxy_training.jobs import METRICS
from sources.estimate import Estimate

if TYPE_CHECKING:
    from db.store import Store
    from probe.study.proxy_quality import ProxyQuality

COMPARED = ("right_probability", "right_probability_per_token", ACCURACY, FREE_TEXT_METRIC)


@dataclass(frozen=True, slots=True)
class StudyQuality:
    """What a study's arms show of a benchmark. `metric` is the one that ranks; its sign is turned where less is better.

    `informative` is None where nothing counts right answers or fewer than two arms are scored; `signal_to_noise` compares trained arms.
    `agreement` gives each other metric's rank agreement with written answers, None where too few arms have both; it is empty where no
    answers were written.
    """

    benchmark: str
    metric: str
    arms: int
    probes: int
    informative: Informative | None
    signal_to_noise: Estimate | None
    agreement: tuple[tuple[str, Estimate | None], ...]


def study_quality(store: Store, study: str) -> tuple[StudyQuality, ...]:
    """Return what a study's probes show of each of its benchmarks that is scored; a study without single sources by its mixtures.

    Raises:
        ProbeError: there is no such study.
    """
    from probe.study.ranking import known_study, study_scores

    record = known_study(store, study)
    return quality_of(study_scores(store, record, _roles(store.arms(study)), Split.SELECTION))


def known_quality(store: Store, study: str, kept: Path, ranked: int | None = None) -> tuple[tuple[StudyQuality, ProxyQuality | None], ...]:
    """Return what `study_quality` does, each with what is kept in a folder of the benchmark on the study's proxy.

    With the revision of a ranking, what was kept with that ranking is taken where it is there: no item score is then read.

    Raises:
        ProbeError: there is no such study.
    """
    from probe.study.quality_files import kept_of_study, kept_study_quality
    from probe.study.ranking import known_study

    of_proxy = kept_of_study(kept, known_study(store, study).proxy.weights_hash, store.study_benchmarks(study))
    found = None if ranked is None else kept_study_quality(kept, study, ranked)
    found = study_quality(store, study) if found is None else found
    return tuple((quality, of_proxy.get(quality.benchmark)) for quality in found)


def quality_of(inputs: StudyScores) -> tuple[StudyQuality, ...]:
    """Return the quality of each scored benchmark from a study's arrays."""
    trained = [k for k, arm in enumerate(inputs.arms) if arm.role is not ArmRole.UNTRAINED]
    return tuple(_of_benchmark(benchmark, trained) for benchmark in inputs.benchmarks if benchmark.scored())


def _roles(arms: Sequence[Arm]) -> tuple[ArmRole, ...]:
    return RANKED if any(arm.role is ArmRole.SOURCE for arm in arms) else (ArmRole.UNTRAINED, ArmRole.BASE, ArmRole.MIXTURE)


def _of_benchmark(benchmark: BenchmarkArrays, trained: list[int]) -> StudyQuality:
    ranking = METRICS[benchmark.ranking_metric()]
    scored = np.isfinite(benchmark.values[benchmark.ranking_metric()]).any(axis=2)
    right = benchmark.values[METRICS.index(GENERATED_METRIC if ranking == GENERATED_METRIC else ACCURACY)]
    return StudyQuality(
        benchmark.name,
        f"negative {ranking}" if ranking == FREE_TEXT_METRIC else ranking,
        int(scored.any(axis=1).sum()),
        int(scored.sum()),
        informative_items(right, benchmark.groups),
        signal_to_noise(_means(benchmark, ranking)[trained]),
        _agreement(benchmark),
    )


def _means(benchmark: BenchmarkArrays, metric: str) -> NDArray[np.float64]:
    """Return means [arm, repeat] over the items that every probe with scores of this metric has, higher being better."""
    values = np.asarray(benchmark.values[METRICS.index(metric)], dtype=np.float64)
    done = np.isfinite(values).any(axis=2)
    if not done.any():
        return np.full(done.shape, np.nan)
    common = np.isfinite(values[done]).all(axis=0)
    if not common.any():
        return np.full(done.shape, np.nan)
    return (-1.0 if metric == FREE_TEXT_METRIC else 1.0) * np.asarray(values[:, :, common].mean(axis=2))


def _agreement(benchmark: BenchmarkArrays) -> tuple[tuple[str, Estimate | None], ...]:
    written = _over_repeats(_means(benchmark, GENERATED_METRIC))
    if not np.isfinite(written).any():
        return ()
    others = {metric: _over_repeats(_means(benchmark, metric)) for metric in COMPARED}
    return tuple((metric, kendall(means, written)) for metric, means in others.items() if np.isfinite(means).any())


def _over_repeats(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each arm's mean over its finished repeats [arm]; NaN where it has none."""
    done = np.isfinite(means)
    sums = np.where(done, means, 0.0).sum(axis=1)
    return np.where(done.any(axis=1), sums / np.maximum(done.sum(axis=1), 1), np.nan)
