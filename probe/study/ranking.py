"""`probe rank`: the store's item scores into statistics, and the ranking kept for the pages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from db.values import SPLIT_CODES, Arm, ArmRole, BenchmarkScores, Ranking, Split, StudyRecord
from probe.decide.ranking import RANKED
from probe.errors import ProbeError
from probe.study.designs import MOST_OVERLAP
from probe.study.novelty import not_new, novelty_notes, study_specs
from probe.study.registry import builtin_sources
from proxy_training.jobs import METRICS
from sources.difficulty import OPTION

if TYPE_CHECKING:
    from db.store import Store
    from probe.decide.study_scores import BenchmarkArrays, StudyScores
    from probe.study.study_quality import StudyQuality

IMAGES = "images"  # cluster numbers are made of image bytes, so all benchmarks number alike
LEVEL = 0.90
PARSED = "parsed"


def rank(store: Store, study: str, quality: Path | None = None) -> Ranking:
    """Rank a study's sources on selection items, keep the result for pages and manifests, and return it.

    `quality` is the folder of what proxies showed of benchmarks, which its warnings tell.

    Raises:
        ProbeError: there is no such study, or nothing to compare yet.
    """
    from probe.study.quality_files import keep_study_quality

    ranking, benchmarks = _ranked(store, study, LEVEL, None, quality)
    store.put_ranking(ranking)
    if quality:
        keep_study_quality(quality, study, ranking.revision, benchmarks)
    return ranking


def computed_ranking(
    store: Store, study: str, *, level: float = LEVEL, margin: float | None = None, quality: Path | None = None
) -> Ranking:
    """Rank a study's sources on selection items and keep nothing: what is kept is the default ranking alone.

    Raises:
        ProbeError: there is no such study, or nothing to compare yet.
    """
    return _ranked(store, study, level, margin, quality)[0]


def _ranked(store: Store, study: str, level: float, margin: float | None, quality: Path | None) -> tuple[Ranking, tuple[StudyQuality, ...]]:
    """Return the ranking, and what the same scores show of the benchmarks."""
    from probe.decide.ranking import rank_study
    from probe.study.quality_files import kept_of_study
    from probe.study.quality_notes import quality_notes
    from probe.study.study_quality import quality_of

    record, arms = known_study(store, study), store.arms(study)
    if any(arm.role is ArmRole.MIXTURE for arm in arms) and not any(arm.role is ArmRole.SOURCE for arm in arms):
        raise ProbeError(f"study {study!r} trained mixtures alone, no source to rank: search them with probe optimize --study {study}.")
    inputs = study_scores(store, record, RANKED, Split.SELECTION)
    try:
        ranking = rank_study(inputs, level=level, margin=margin, looks=record.looks)
    except ValueError as error:
        raise ProbeError(f"{error}; see `probe status`.") from None
    kept = kept_of_study(quality, record.proxy.weights_hash, store.study_benchmarks(study)) if quality else {}
    benchmarks = quality_of(inputs)
    notes = (*quality_notes(benchmarks, kept), *novelty_notes(record.proxy, study_specs(store, _sources(arms))))
    return replace(ranking, warnings=(*ranking.warnings, *notes)), benchmarks


def not_new_sources(store: Store, study: str) -> dict[str, str]:
    """Return the sources of a study that are not new to its proxy, each with a sentence that says why.

    Raises:
        ProbeError: there is no such study.
    """
    return not_new(known_study(store, study).proxy, study_specs(store, _sources(store.arms(study))))


def _sources(arms: Sequence[Arm]) -> list[str]:
    return [slug for arm in arms for slug in arm.curriculum.sources()]


def known_study(store: Store, name: str) -> StudyRecord:
    """Return a study.

    Raises:
        ProbeError: there is none of that name; the message names those that are there.
    """
    study = store.study(name)
    if study is None:
        names = ", ".join(record.name for record in store.studies()) or "none yet"
        raise ProbeError(f"there is no study {name!r} (studies: {names}); `probe run --study {name} --source S` makes it.")
    return study


def study_scores(
    store: Store, study: StudyRecord, roles: Sequence[ArmRole], split: Split, names: Collection[str] | None = None
) -> StudyScores:
    """Return a study's item scores of one split, for arms of some roles or only those named, scored or not."""
    from probe.decide.study_scores import StudyArm, StudyScores

    benchmarks = store.study_benchmarks(study.name)
    scores = [store.scores(study.name, record.spec.name, roles, names) for record in benchmarks]
    arms: tuple[Arm, ...] = scores[0].arms if scores else ()
    probes = store.probes(study.name) if names is None else ()  # warnings alone ask for overlaps, and they are about all arms
    overlaps = {probe.arm: probe.overlap for probe in probes if probe.overlap > MOST_OVERLAP}
    return StudyScores(
        study=study.name,
        revision=study.revision,
        proxy=study.proxy.name,
        illustration_only=illustration_only(store, study),
        arms=tuple(StudyArm.of(arm) for arm in arms),
        benchmarks=tuple(benchmark_arrays(s, range(len(arms)), split) for s in scores),
        too_small=tuple((arm.name, overlaps[arm.name]) for arm in arms if arm.name in overlaps),
    )


def benchmark_arrays(scores: BenchmarkScores, arms: Sequence[int], split: Split) -> BenchmarkArrays:
    """Return one benchmark's arrays, restricted to some arms and to the items of one split."""
    from probe.decide.study_scores import GENERATED_METRIC, BenchmarkArrays

    record = scores.benchmark
    items = np.flatnonzero(record.splits == SPLIT_CODES[split])
    values = scores.values[:, list(arms)][:, :, :, items]
    spec, groups = record.spec, record.groups[items]
    metric = METRICS.index(GENERATED_METRIC) if spec.generates else None
    return BenchmarkArrays(spec.name, spec.capability, values, groups, metric=metric, chance=record.chance, pool=IMAGES)


def parse_rates(store: Store, study: str) -> dict[tuple[str, str], float]:
    """Return the share of generated answers that could be read, by arm and benchmark, on selection items over all repeats."""
    found: defaultdict[tuple[str, str], list[tuple[float, int]]] = defaultdict(list)
    for score in store.mean_scores(study, metric=PARSED, split=Split.SELECTION):
        found[score.arm, score.benchmark].append((score.mean, score.n))
    return {key: sum(mean * n for mean, n in rates) / sum(n for _, n in rates) for key, rates in found.items()}


def illustration_only(store: Store, study: StudyRecord) -> bool:
    """Say whether a study's results are an illustration, not evidence: the bundled proxy on data that it was not made for.

    It was made for the tool's own data: the built-in sources, the generated world's and easy-VQA's, and their pools by difficulty.
    """
    if not study.proxy.illustration_only:
        return False
    used = {slug for arm in store.arms(study.name) for slug in arm.curriculum.sources()}
    return not {_judged(store, slug) for slug in used} <= set(builtin_sources())


def _judged(store: Store, slug: str) -> str:
    """Return the source that a pool by difficulty is a part of, else the slug itself."""
    known, whole = store.source(slug), slug.rpartition("/")[0]
    same = builtin_sources().get(whole)
    is_part = known and same and known.spec.option(OPTION) and known.spec.unviewed() == replace(same, slug=slug)
    return whole if is_part else slug
