"""Writing what a job came to: everything of it in the caller's one transaction, or nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import sqlalchemy as sa

from db.blobs import pack_scores
from db.clock import iso_time
from db.engine import insert_new
from db.errors import StoreError
from db.leases import change_held, fail, fail_scoring, let_go
from db.registry import benchmark_of
from db.schema import EvaluationRow, ItemScoreRow, ProbeRow, ScoreMeanRow, StudyRow, TrainingRow
from db.studies import raise_revision
from db.values import SPLIT_CODES, BenchmarkRecord, Claim, ProbeState
from proxy_training.jobs import METRICS, Cost, ItemScores, JobResult, evaluation_id


def keep_training(connection: sa.Connection, held: Claim, result: JobResult, commit: str) -> bool:
    """Write what a training came to, its adapter being on disk, and keep the lease for scoring; False where it was lost."""
    _check_own(held, result)
    if not change_held(connection, held, adapter_done=True, deaths=0):
        return False
    _write_cost(connection, result, commit)
    return True


def _check_own(held: Claim, result: JobResult) -> None:
    if result.training_id != held.training_id:
        both = f"the result is of training {result.training_id}, the claim of {held.training_id}"
        raise StoreError(f"{both}: finish the claim that the job came from")


def finish(connection: sa.Connection, held: Claim, result: JobResult, now: float, commit: str) -> bool:
    """Write a result if the claim still holds its training; False, and nothing written, where it does not."""
    _check_own(held, result)
    if result.failure:
        return fail(connection, held, result.failure, now)
    when = iso_time(now)
    if not change_held(connection, held, **let_go(ProbeState.DONE), adapter_done=True, error="", finished_at=when):
        return False
    _write_cost(connection, result, commit)
    for scores in result.scores:
        _write_scores(connection, held.training_id, scores, when)
    fail_scoring(connection, held, dict(result.unscored), now)
    _raise_revisions(connection, held.training_id)
    return True


def _write_cost(connection: sa.Connection, result: JobResult, commit: str) -> None:
    ours = TrainingRow.training_id == result.training_id
    cost = add_cost(connection.execute(sa.select(TrainingRow.cost).where(ours)).scalar_one(), result.cost)
    values: dict[str, object] = {
        "cost": cost,
        "cpu_s": cost.train_cpu_s + cost.eval_cpu_s,
        "wall_s": cost.train_wall_s + cost.eval_wall_s,
    }
    if result.losses.size:  # a job that only scores has none, and must not erase the training's
        values |= {"losses": result.losses}
    if commit:
        values |= {"commit_hash": commit}
    connection.execute(sa.update(TrainingRow).where(ours).values(values))


def add_cost(spent: Cost, more: Cost) -> Cost:
    """Return what a training cost after another job on it: times and FLOPs add up, its rows and images stay the same ones."""
    added = ("train_cpu_s", "train_wall_s", "eval_cpu_s", "eval_wall_s", "flops", "images_scored", "images_encoded")
    pairs = {f.name: (getattr(spent, f.name), getattr(more, f.name)) for f in dataclasses.fields(Cost)}
    return Cost(**{name: sum(pair) if name in added else max(pair) for name, pair in pairs.items()})


def _write_scores(connection: sa.Connection, training_id: str, scores: ItemScores, when: str) -> None:
    benchmark = _scored_benchmark(connection, scores)
    key = {"training_id": training_id, "evaluation_id": evaluation_id(scores.fingerprint)}
    row = key | {"benchmark": scores.benchmark, "fingerprint": scores.fingerprint, "state": ProbeState.WAITING}
    connection.execute(insert_new(connection, EvaluationRow), [row])
    same = sa.and_(*(getattr(EvaluationRow, name) == value for name, value in key.items()))
    done = {"state": ProbeState.DONE, "n_items": scores.n_items, "unscored": np.array(scores.unscored, np.int32), "finished_at": when}
    update = sa.update(EvaluationRow).where(same, EvaluationRow.state != ProbeState.DONE)
    if connection.execute(update.values(done | {"error": ""})).rowcount == 0:
        return  # scored before for another study: the first scores stay
    connection.execute(sa.insert(ItemScoreRow).values(scores=pack_scores(scores.values, scores.fingerprint), **key))
    means = [key | mean for mean in split_means(scores, benchmark)]
    if means:
        connection.execute(sa.insert(ScoreMeanRow), means)


def _scored_benchmark(connection: sa.Connection, scores: ItemScores) -> BenchmarkRecord:
    benchmark = benchmark_of(connection, scores.fingerprint)
    if benchmark is None:
        raise StoreError(f"benchmark {scores.benchmark!r} was changed or removed while it was scored: run the study again")
    if benchmark.n_items != scores.n_items or scores.values.shape[1:] != (scores.n_items,):
        sizes = f"{benchmark.n_items} items, its scores are {list(scores.values.shape)}"
        raise StoreError(f"benchmark {scores.benchmark!r} has {sizes}: score it again")
    return benchmark


def split_means(scores: ItemScores, benchmark: BenchmarkRecord) -> list[dict[str, object]]:
    """Return the mean over the valid items of each split, for every metric that has any."""
    means: list[dict[str, object]] = []
    for split, code in SPLIT_CODES.items():
        for metric, values in zip(METRICS, scores.values[:, benchmark.splits == code], strict=True):
            valid = values[~np.isnan(values)]
            if valid.size:
                means.append({"metric": metric, "split": split, "mean": float(valid.mean(dtype=np.float64)), "n": valid.size})
    return means


def _raise_revisions(connection: sa.Connection, training_id: str) -> None:
    ours = sa.select(ProbeRow.study).where(ProbeRow.training_id == training_id)
    # Locked in the order of their names, so that two results for the same two studies cannot wait for each other.
    query = sa.select(StudyRow.name).where(StudyRow.name.in_(ours)).order_by(StudyRow.name).with_for_update()
    for study in connection.scalars(query).all():
        raise_revision(connection, study)
