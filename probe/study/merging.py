"""Weighted sums of a study's single-source adapters, scored without training: what a mixture search may start from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from db.values import SPLIT_CODES, Arm, BenchmarkRecord, ProbeState, Split, StudyRecord
from probe.decide.study_scores import FREE_TEXT_METRIC
from probe.errors import ProbeError
from probe.study.decontamination import study_draws
from probe.study.items import read_eval_set
from probe.study.merged_files import MergedMeans
from probe.study.observations import OBSERVED, Observations
from probe.study.registry import find_benchmark
from probe.workspace import Workspace
from proxy_training.jobs import METRICS, EngineSettings, EvalSet, ItemScores, Job, evaluation_id, why_not_merged
from sources.canonical import content_hash

if TYPE_CHECKING:
    from db.store import Store
    from probe.decide.levels import Combination
    from proxy_training.engine import Engine

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]
ITEMS, FEWEST_ITEMS = 192, 48  # of all benchmarks together, and of each
FILLING = 96  # mixtures beside the trained ones
MOST_REPEATS = 3
KEPT_EVERY = 8  # mixtures
NEGATIVE = "negative "  # before a metric whose sign is turned


@dataclass(frozen=True, slots=True)
class SoloAdapters:
    """The trainings of each source alone: `training_ids[repeat][source]`, and the arms that they belong to."""

    sources: tuple[str, ...]
    arms: tuple[Arm, ...]
    repeats: tuple[int, ...]
    training_ids: tuple[tuple[str, ...], ...]

    def folders(self, workspace: Workspace, repeat: int) -> list[Path]:
        """Return the adapters' folders of one repeat, by its place."""
        return [workspace.adapters / name for name in self.training_ids[repeat]]

    def missing(self, workspace: Workspace) -> list[tuple[int, int]]:
        """Return the places (repeat, source) whose adapter is gone from the workspace."""
        places = [(r, s) for r in range(len(self.repeats)) for s in range(len(self.sources))]
        return [(r, s) for r, s in places if not (workspace.adapters / self.training_ids[r][s]).is_dir()]


@dataclass(frozen=True, slots=True, eq=False)
class MergedRuns:
    """Scores of merged adapters: `values[mixture, repeat, target]` of `weights[mixture, source]`, NaN where one was not asked for.

    The first `trained` mixtures are those that were trained too, in their order. `items` were scored of each mixture.
    """

    weights: Floats
    values: Floats
    trained: int
    items: int


def solo_adapters(store: Store, study: StudyRecord, sources: Sequence[str]) -> SoloAdapters:
    """Find the trainings of every source alone, in the repeats that all of them have.

    Raises:
        ProbeError: a source was not trained alone, or what the study trains cannot be merged; the message holds the cure.
    """
    if reason := why_not_merged(study.recipe):
        raise ProbeError(f"merged adapters cannot be scored: {reason}; leave them out with --no-merged.")
    known = [arm for arm in store.arms(study.name) if arm.role in OBSERVED and _only_source(arm) in sources]
    arms = {_only_source(arm): arm for arm in known}  # a swarm may hold a single source too, as another arm of the same trainings
    source_of = {arm.name: _only_source(arm) for arm in known}
    ids: dict[str, dict[int, str]] = {slug: {} for slug in sources}
    for record in store.probes(study.name):
        if record.state is ProbeState.DONE and record.arm in source_of:
            ids[source_of[record.arm]][record.repeat] = record.training_id
    lacking = [slug for slug in sources if not ids[slug]]
    cure = f"probe run --study {study.name} --design solo {' '.join(f'--source {slug}' for slug in lacking or sources)}"
    if lacking:
        raise ProbeError(f"merging needs each source trained alone, and {', '.join(lacking)} is not: {cure}.")
    repeats = sorted(set.intersection(*(set(ids[slug]) for slug in sources)))[:MOST_REPEATS]
    if not repeats:
        raise ProbeError(f"merging needs single-source adapters of one repeat, and no repeat has all sources: {cure}.")
    names = tuple(tuple(ids[slug][repeat] for slug in sources) for repeat in repeats)
    return SoloAdapters(tuple(sources), tuple(arms[slug] for slug in sources), tuple(repeats), names)


def _only_source(arm: Arm) -> str:
    """Return the source of an arm that is trained on one alone, at the study's own budget."""
    sources, curriculum = arm.curriculum.sources(), arm.curriculum
    return sources[0] if len(sources) == 1 and len(curriculum.phases) == 1 and not curriculum.budget else ""


def score_merged(
    workspace: Workspace,
    store: Store,
    study: StudyRecord,
    seen: Observations,
    objective: Combination,
    settings: EngineSettings,
    progress: Progress | None = None,
    *,
    filling: int = FILLING,
    items: int = ITEMS,
) -> MergedRuns:
    """Score the trained mixtures in every repeat, and mixtures that fill the simplex in one repeat each, in turn.

    Selection items alone are scored, the same ones of every mixture, drawn with a fixed seed. What was scored before is kept in the
    workspace and not scored again; an interrupted call goes on there. An adapter that is gone is trained again first.

    Raises:
        ProbeError: see `solo_adapters`; or a benchmark is not what it was, or generates answers.
    """
    solo = solo_adapters(store, study, seen.sources)
    benchmarks = _benchmarks(store, study, seen, objective, items)
    weights = _mixtures(seen, filling)
    trained = len(seen.weights)
    asked = [[r for r in range(len(solo.repeats)) if k < trained or r == k % len(solo.repeats)] for k in range(len(weights))]
    means = np.full((len(weights), len(solo.repeats), len(benchmarks)), np.nan)
    total, before = sum(map(len, asked)), 0
    for r in range(len(solo.repeats)):
        rows = [k for k in range(len(weights)) if r in asked[k]]
        kept = [MergedMeans.read(workspace.merged, solo.training_ids[r], eval_set.fingerprint) for eval_set, _ in benchmarks]
        lacking = [k for k in rows if any(weights[k] not in one for one in kept)]
        if lacking:
            scorer = _Scorer(workspace, store, study, solo, settings)
            for done in scorer.score(r, weights[lacking], benchmarks, kept):
                if progress:
                    progress(before + len(rows) - len(lacking) + done, total)
        before += len(rows)
        for b, one in enumerate(kept):
            means[rows, r, b] = [one[weights[k]] for k in rows]
    return MergedRuns(weights, _targets(means, objective, benchmarks), trained, sum(len(eval_set.items) for eval_set, _ in benchmarks))


def _benchmarks(store: Store, study: StudyRecord, seen: Observations, objective: Combination, items: int) -> list[tuple[EvalSet, str]]:
    """Return the objective's benchmarks in its order, with some of their selection items, and the metric of each."""
    records = {record.spec.name: record for record in store.study_benchmarks(study.name)}
    names = [term.benchmark for term in objective.terms]
    if generating := [name for name in names if records[name].spec.generates]:
        raise ProbeError(f"answers of merged adapters are not generated ({', '.join(generating)}); leave merging out with --no-merged.")
    most = max(FEWEST_ITEMS, items // len(names))
    metrics = {part.name: part.metric.removeprefix(NEGATIVE) for part in seen.parts}
    return [(_some_items(store, records[name], most), metrics[name]) for name in names]


def _some_items(store: Store, record: BenchmarkRecord, most: int) -> EvalSet:
    name = record.spec.name
    whole = read_eval_set(find_benchmark(store, name))
    if whole.fingerprint != record.fingerprint:
        raise ProbeError(f"benchmark {name} changed since the study was scored on it; put it back, or merge nothing: --no-merged.")
    selection = np.flatnonzero(record.splits == SPLIT_CODES[Split.SELECTION])
    chosen = np.sort(np.random.default_rng(0).choice(selection, min(most, len(selection)), replace=False)).tolist()
    part = content_hash([evaluation_id(record.fingerprint), chosen])
    return replace(whole, items=tuple(whole.items[k] for k in chosen), fingerprint=part)


def _mixtures(seen: Observations, filling: int) -> Floats:
    """Return the trained mixtures and `filling` ones far from these and from each other."""
    from probe.decide.swarm import swarm_mixtures

    count = len(seen.sources)
    distinct = np.unique(seen.weights, axis=0)
    points = swarm_mixtures(seen.sources, len(distinct) + filling, 0, np.full(count, 1 / count), existing=distinct)
    shares = np.array([point.shares for point in points])
    new = [row for row in shares if np.abs(distinct - row).max(axis=1).min() > 1e-6]
    return np.vstack([seen.weights, *new]) if new else seen.weights


def _targets(means: Floats, objective: Combination, benchmarks: Sequence[tuple[EvalSet, str]]) -> Floats:
    """Return [mixture, repeat, capability] in the objective's units from benchmarks' means; higher is better."""
    names = [eval_set.spec.name for eval_set, _ in benchmarks]
    signed = means * np.array([-1.0 if metric == FREE_TEXT_METRIC else 1.0 for _, metric in benchmarks])
    columns = []
    for capability in objective.capabilities():
        terms = objective.within(capability).terms
        columns.append(sum(term.weight / term.unit * signed[:, :, names.index(term.benchmark)] for term in terms))
    return np.stack(columns, axis=-1)


class _Scorer:
    """The engine, loaded once there is something to score."""

    def __init__(self, workspace: Workspace, store: Store, study: StudyRecord, solo: SoloAdapters, settings: EngineSettings) -> None:
        from probe.study.model_scores import quiet
        from proxy_training.engine import Engine

        self.workspace, self.store, self.study, self.solo = workspace, store, study, solo
        with quiet():
            self.engine: Engine = Engine(study.proxy, study.recipe, workspace.features, settings)
        if missing := solo.missing(workspace):
            self._train(missing)

    def _train(self, missing: Sequence[tuple[int, int]]) -> None:
        """Train adapters that are gone as they were trained before."""
        draws = study_draws(self.store, self.study, self.workspace.indexes)
        jobs = []
        for r, s in missing:
            training, known = draws.draw(self.solo.arms[s].curriculum, self.solo.repeats[r]).training, self.solo.training_ids[r][s]
            if training.training_id() != known:
                raise ProbeError(f"the adapter of {self.solo.sources[s]} is gone and its data changed; merge nothing: --no-merged.")
            jobs.append(Job(training, (), save_to=self.workspace.adapters / known))
        for result in self.engine.run(jobs):
            if result.failure:
                raise ProbeError(f"an adapter to merge could not be trained again: {result.failure.rstrip('.')}.")

    def score(self, repeat: int, weights: Floats, benchmarks: Sequence[tuple[EvalSet, str]], kept: Sequence[MergedMeans]) -> Iterator[int]:
        """Score mixtures of one repeat's adapters into `kept`, written now and then; yield how many are done."""
        from proxy_training.merging import MergedAdapters

        with _told():
            merged = MergedAdapters(self.solo.folders(self.workspace, repeat), self.study.recipe)
            try:
                for done, row in enumerate(weights, 1):
                    wanted = [b for b, one in enumerate(kept) if row not in one]
                    scores = self.engine.score_merged(merged, (row / row.sum()).tolist(), [benchmarks[b][0] for b in wanted])
                    for b, found in zip(wanted, scores, strict=True):
                        kept[b][row] = _mean(found, benchmarks[b][1])
                    if done % KEPT_EVERY == 0:
                        _write(kept)
                    yield done
            finally:
                _write(kept)


def _write(kept: Sequence[MergedMeans]) -> None:
    for one in kept:
        one.write()


def _mean(found: ItemScores, metric: str) -> float:
    mean = float(np.nanmean(found.values[METRICS.index(metric)], dtype=np.float64)) if len(found.unscored) < found.n_items else np.nan
    if not np.isfinite(mean):
        raise ProbeError(f"no item of benchmark {found.benchmark} could be scored; merge nothing: --no-merged.")
    return mean


@contextmanager
def _told() -> Iterator[None]:
    """Turn what the engine refuses into a sentence for the user."""
    from sources.problems import RowError, SourceError

    try:
        yield
    except (ValueError, OSError, RowError, SourceError) as error:
        if isinstance(error, ProbeError):
            raise
        raise ProbeError(f"merged adapters could not be scored: {str(error).rstrip('.')}; leave them out with --no-merged.") from None
