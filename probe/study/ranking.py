"""`probe rank`: the store's item scores into statistics, and the ranking kept for the pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from db.values import SPLIT_CODES, Arm, ArmRole, BenchmarkScores, Ranking, Split, StudyRecord
from probe.errors import ProbeError
from probe.study.designs import MOST_OVERLAP

if TYPE_CHECKING:
    from db.store import Store
    from probe.decide.study_scores import BenchmarkArrays, StudyScores

IMAGES = "images"  # cluster numbers are made of image bytes, so all benchmarks number alike
RANKED = (ArmRole.UNTRAINED, ArmRole.BASE, ArmRole.SOURCE)


def rank(store: Store, study: str, *, level: float = 0.90, alpha: float = 0.05, margin: float | None = None) -> Ranking:
    """Rank a study's sources on selection items, keep the result in the store, and return it.

    Raises:
        ProbeError: there is no such study, or nothing to compare yet.
    """
    from probe.decide.ranking import rank_study

    inputs = study_scores(store, known_study(store, study), RANKED, Split.SELECTION)
    try:
        ranking = rank_study(inputs, level=level, alpha=alpha, margin=margin)
    except ValueError as error:
        raise ProbeError(f"{error}; see `probe status`.") from None
    store.put_ranking(ranking)
    return ranking


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


def study_scores(store: Store, study: StudyRecord, roles: Sequence[ArmRole], split: Split) -> StudyScores:
    """Return a study's item scores of one split, for arms of some roles that have at least one scored repeat."""
    from probe.decide.study_scores import StudyArm, StudyScores

    benchmarks = store.study_benchmarks(study.name)
    scores = [store.scores(study.name, record.spec.name, roles) for record in benchmarks]
    arms: tuple[Arm, ...] = scores[0].arms if scores else ()
    has_all = [a for a in range(len(arms)) if all(np.isfinite(s.values[:, a]).any() for s in scores)]
    overlaps = {probe.arm: probe.overlap for probe in store.probes(study.name) if probe.overlap > MOST_OVERLAP}
    return StudyScores(
        study=study.name,
        revision=study.revision,
        proxy=study.proxy.name,
        illustration_only=study.proxy.illustration_only and not _is_illustrative(arms),
        arms=tuple(StudyArm.of(arms[a]) for a in has_all),
        benchmarks=tuple(benchmark_arrays(s, has_all, split) for s in scores),
        too_small=tuple((arm.name, overlaps[arm.name]) for arm in arms if arm.name in overlaps),
    )


def benchmark_arrays(scores: BenchmarkScores, arms: Sequence[int], split: Split) -> BenchmarkArrays:
    """Return one benchmark's arrays, restricted to some arms and to the items of one split."""
    from probe.decide.study_scores import BenchmarkArrays

    record = scores.benchmark
    items = np.flatnonzero(record.splits == SPLIT_CODES[split])
    values = scores.values[:, list(arms)][:, :, :, items]
    return BenchmarkArrays(record.spec.name, record.spec.capability, values, record.groups[items], chance=record.chance, pool=IMAGES)


def _is_illustrative(arms: Sequence[Arm]) -> bool:
    """Say whether all data is the tool's own (generated world, easy-VQA), for which `tiny` was made."""
    used = {slug.split("/")[0] for arm in arms for slug in arm.curriculum.sources()}
    return used <= {"easy-vqa", "world"}
