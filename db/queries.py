"""What is read of a study: probes, progress, scores and their means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, TypeVarTuple

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from db.blobs import unpack_scores
from db.errors import unknown
from db.registry import study_benchmarks, study_evaluations
from db.schema import ArmRow, EvaluationRow, ItemScoreRow, ProbeRow, ScoreMeanRow, TrainingRow
from db.studies import check_study, study_arms
from db.values import ArmCost, ArmRole, BenchmarkRecord, BenchmarkScores, Design, MeanScore, ProbeRecord, ProbeState, Split, StudyProgress
from proxy_training.jobs import METRICS, Cost, evaluation_id

Ts = TypeVarTuple("Ts")
_ARM_OF_PROBE = sa.and_(ArmRow.study == ProbeRow.study, ArmRow.name == ProbeRow.arm)


def _unfinished(evaluations: Collection[str]) -> sa.Subquery:
    """Return the trainings that one of these evaluations is not done of: whether one waits, and the last error of those that failed."""
    failed = EvaluationRow.state == ProbeState.FAILED
    return (
        sa.select(
            EvaluationRow.training_id,
            sa.func.max(sa.case((EvaluationRow.state == ProbeState.WAITING, 1), else_=0)).label("waiting"),
            sa.func.max(sa.case((failed, EvaluationRow.error), else_="")).label("error"),
        )
        .where(EvaluationRow.state.in_((ProbeState.WAITING, ProbeState.FAILED)), EvaluationRow.evaluation_id.in_(evaluations))
        .group_by(EvaluationRow.training_id)
        .subquery()
    )


def _state(unfinished: sa.Subquery) -> sa.Case[ProbeState]:
    """Return a probe's state: its training's, and once that is done, that of the study's own evaluations of it."""
    kind = TrainingRow.state.type
    return sa.case(
        (TrainingRow.state != ProbeState.DONE, TrainingRow.state),
        (unfinished.c.waiting == 1, sa.literal(ProbeState.WAITING, kind)),
        (unfinished.c.training_id.is_not(None), sa.literal(ProbeState.FAILED, kind)),
        else_=TrainingRow.state,
    )


def probes(connection: sa.Connection, study: str, state: ProbeState | None = None, most: int | None = None) -> tuple[ProbeRecord, ...]:
    """Return the probes of a study in plan order, of one state and no more than `most` where given."""
    check_study(connection, study)
    unfinished = _unfinished(study_evaluations(connection, study))
    now = _state(unfinished)
    error = sa.func.coalesce(sa.func.nullif(TrainingRow.error, ""), unfinished.c.error, "")
    query = (
        sa.select(
            ProbeRow.study,
            ProbeRow.arm,
            ArmRow.role,
            ProbeRow.repeat,
            ProbeRow.seed,
            ProbeRow.training_id,
            now,
            TrainingRow.attempts,
            *_seconds("train_cpu_s", "eval_cpu_s"),
            sa.func.coalesce(TrainingRow.wall_s, 0.0),
            ProbeRow.rows,
            ProbeRow.tokens,
            ProbeRow.overlap,
            error,
            TrainingRow.owner,
            TrainingRow.started_at,
            TrainingRow.finished_at,
            TrainingRow.commit_hash,
        )
        .select_from(ProbeRow)
        .join(TrainingRow, TrainingRow.training_id == ProbeRow.training_id)
        .join(ArmRow, _ARM_OF_PROBE)
        .outerjoin(unfinished, unfinished.c.training_id == TrainingRow.training_id)
        .where(ProbeRow.study == study)
        .order_by(ProbeRow.position)
        .limit(most)
    )
    if state is not None:
        query = query.where(now == state)
    return tuple(ProbeRecord(*tuple(row)) for row in connection.execute(query))


def seeds(connection: sa.Connection, study: str) -> dict[Design, int]:
    """Return the seeds that an arm of each design of a study has at most."""
    check_study(connection, study)
    query = sa.select(ArmRow.design, sa.func.max(ProbeRow.repeat)).join(ArmRow, _ARM_OF_PROBE)
    rows = connection.execute(query.where(ProbeRow.study == study).group_by(ArmRow.design))
    return {design: last + 1 for design, last in rows if design is not None}


def _seconds(*names: str) -> list[sa.ColumnElement[float]]:
    """Return parts of a training's cost as the database reads them: thousands of whole costs take longer than their probes."""
    cost = sa.type_coerce(TrainingRow.cost, sa.JSON)
    return [sa.func.coalesce(cost[name].as_float(), 0.0) for name in names]


def training_costs(connection: sa.Connection, study: str) -> dict[str, Cost]:
    """Return what each of a study's trainings spent."""
    check_study(connection, study)
    ours = sa.select(ProbeRow.training_id).where(ProbeRow.study == study)
    query = sa.select(TrainingRow.training_id, TrainingRow.cost).where(TrainingRow.training_id.in_(ours))
    return dict(connection.execute(query).all())


def progress(connection: sa.Connection, study: str) -> StudyProgress:
    """Return how many probes stand where, and the cost of the study's trainings, each counted once."""
    check_study(connection, study)
    wanted = study_evaluations(connection, study)
    counts: Counter[ProbeState] = Counter()
    unscored, cpu_s, wall_s, whole_cpu_s, whole = 0, 0.0, 0.0, 0.0, 0
    for row in connection.execute(_tally(study, wanted)):
        counts[row.probe_state] += int(row.probes)
        unscored += int(row.probes) * (row.probe_state == ProbeState.FAILED and row.training_state == ProbeState.DONE)
        cpu_s, wall_s = cpu_s + _number(row.cpu_s), wall_s + _number(row.wall_s)
        whole_cpu_s, whole = whole_cpu_s + _number(row.whole_cpu_s), whole + row.whole
    return StudyProgress(
        study=study,
        waiting=counts[ProbeState.WAITING],
        running=counts[ProbeState.RUNNING],
        done=counts[ProbeState.DONE],
        failed=counts[ProbeState.FAILED],
        unscored=unscored,
        cpu_s=cpu_s,
        wall_s=wall_s,
        mean_probe_cpu_s=whole_cpu_s / whole if whole else 0.0,
        last_error=_last_error(connection, study, wanted, counts[ProbeState.FAILED] > 0),
    )


def arm_costs(connection: sa.Connection, study: str) -> tuple[ArmCost, ...]:
    """Return what the trained probes of each arm cost together, in plan order."""
    check_study(connection, study)
    train, scored = _seconds("train_cpu_s", "eval_cpu_s")
    query = (
        sa.select(
            ProbeRow.arm,
            sa.func.count(),
            sa.func.sum(train),
            sa.func.sum(scored),
            sa.func.avg(ProbeRow.rows),
            sa.func.avg(ProbeRow.tokens),
        )
        .join(TrainingRow, TrainingRow.training_id == ProbeRow.training_id)
        .where(ProbeRow.study == study, TrainingRow.state == ProbeState.DONE)
        .group_by(ProbeRow.arm)
        .order_by(sa.func.min(ProbeRow.position))
    )
    rows = connection.execute(query)
    return tuple(ArmCost(arm, n, train_s, eval_s, float(seen), float(tokens)) for arm, n, train_s, eval_s, seen, tokens in rows)


def _tally(study: str, evaluations: Collection[str]) -> sa.Select[ProbeState, ProbeState, Any, float, float, Any, int]:
    """Return how many probes stand where and what their trainings took, each counted once; `whole` ones trained to their end."""
    trains = sa.func.max(sa.case((ArmRow.role != ArmRole.UNTRAINED, 1), else_=0)).label("trains")
    ours = (
        sa.select(ProbeRow.training_id, sa.func.count().label("probes"), trains)
        .join(ArmRow, _ARM_OF_PROBE)
        .where(ProbeRow.study == study)
        .group_by(ProbeRow.training_id)
        .subquery()
    )
    unfinished = _unfinished(evaluations)
    state = _state(unfinished).label("probe_state")
    whole_cpu_s = sa.case((sa.and_(ours.c.trains == 1, TrainingRow.adapter_done), TrainingRow.cpu_s))
    return (
        sa.select(
            state,
            TrainingRow.state.label("training_state"),
            sa.func.sum(ours.c.probes).label("probes"),
            sa.func.sum(TrainingRow.cpu_s).label("cpu_s"),
            sa.func.sum(TrainingRow.wall_s).label("wall_s"),
            sa.func.sum(whole_cpu_s).label("whole_cpu_s"),
            sa.func.count(whole_cpu_s).label("whole"),
        )
        .select_from(ours)
        .join(TrainingRow, TrainingRow.training_id == ours.c.training_id)
        .outerjoin(unfinished, unfinished.c.training_id == TrainingRow.training_id)
        .group_by(state, TrainingRow.state)
    )


def _number(total: float | None) -> float:
    return 0.0 if total is None or np.isnan(total) else float(total)


def _last_error(connection: sa.Connection, study: str, evaluations: Collection[str], trainings: bool) -> str:
    """Return the newest error of a study's evaluations, and of its trainings where one may have failed."""
    ours = sa.select(ProbeRow.training_id).where(ProbeRow.study == study)
    unscored = sa.select(EvaluationRow.finished_at, EvaluationRow.error).where(
        EvaluationRow.training_id.in_(ours), EvaluationRow.evaluation_id.in_(evaluations), EvaluationRow.state == ProbeState.FAILED
    )
    untrained = sa.select(TrainingRow.finished_at, TrainingRow.error).where(
        TrainingRow.training_id.in_(ours), TrainingRow.state == ProbeState.FAILED
    )
    found = [
        connection.execute(query.order_by(sa.desc("finished_at"), sa.desc("error")).limit(1)).one_or_none()
        for query in (unscored, *([untrained] if trainings else []))
    ]
    return max((tuple(row) for row in found if row is not None), default=("", ""))[1]


def scores(
    connection: sa.Connection,
    study: str,
    benchmark: str,
    roles: Sequence[ArmRole] | None = None,
    names: Collection[str] | None = None,
) -> BenchmarkScores:
    """Return the item scores of a study's arms on one of its benchmarks, `values[metric, arm, repeat, item]`."""
    check_study(connection, study)
    record = _own_benchmark(connection, study, benchmark)
    arms = study_arms(connection, study, roles, names)
    places = {arm.name: place for place, arm in enumerate(arms)}
    query = _of_arms(sa.select(ProbeRow.arm, ProbeRow.repeat, ProbeRow.training_id), study, roles, names)
    planned = [(arm, repeat, training) for arm, repeat, training in connection.execute(query)]
    repeats = tuple(sorted({repeat for _, repeat, _ in planned}))
    values = np.full((len(METRICS), len(arms), len(repeats), record.n_items), np.nan, np.float32)
    stored = _item_scores(connection, study, record, roles, names)
    for arm, repeat, training in planned:
        if training in stored:
            values[:, places[arm], repeats.index(repeat)] = stored[training]
    return BenchmarkScores(record, arms, repeats, values)


def _of_arms(query: sa.Select[*Ts], study: str, roles: Sequence[ArmRole] | None, names: Collection[str] | None) -> sa.Select[*Ts]:
    """Return a query of a study's probes for arms of these roles and names alone, where given."""
    query = query.where(ProbeRow.study == study)
    if roles is not None:
        query = query.join(ArmRow, _ARM_OF_PROBE).where(ArmRow.role.in_(roles))
    return query if names is None else query.where(ProbeRow.arm.in_(names))


def _own_benchmark(connection: sa.Connection, study: str, name: str) -> BenchmarkRecord:
    own = {record.spec.name: record for record in study_benchmarks(connection, study)}
    if name not in own:
        raise unknown("benchmark", name, own)
    return own[name]


def _item_scores(
    connection: sa.Connection,
    study: str,
    benchmark: BenchmarkRecord,
    roles: Sequence[ArmRole] | None,
    names: Collection[str] | None,
) -> dict[str, NDArray[np.float32]]:
    ours = _of_arms(sa.select(ProbeRow.training_id), study, roles, names)
    query = sa.select(ItemScoreRow.training_id, ItemScoreRow.scores).where(
        ItemScoreRow.training_id.in_(ours), ItemScoreRow.evaluation_id == evaluation_id(benchmark.fingerprint)
    )
    return {training: unpack_scores(blob, benchmark.fingerprint) for training, blob in connection.execute(query)}


def mean_scores(
    connection: sa.Connection, study: str, benchmark: str | None, metric: str | None, split: Split | None
) -> tuple[MeanScore, ...]:
    """Return the materialised means of a study's probes in plan order; no blob is opened."""
    check_study(connection, study)
    found: list[MeanScore] = []
    for record in study_benchmarks(connection, study):
        if benchmark in (None, record.spec.name):
            rows = connection.execute(_means(study, record, metric, split))
            found += [MeanScore(row.arm, row.repeat, record.spec.name, row.split, row.metric, row.mean, row.n) for row in rows]
    return tuple(found)


def _means(study: str, benchmark: BenchmarkRecord, metric: str | None, split: Split | None) -> sa.Select[str, int, Split, str, float, int]:
    query = (
        sa.select(ProbeRow.arm, ProbeRow.repeat, ScoreMeanRow.split, ScoreMeanRow.metric, ScoreMeanRow.mean, ScoreMeanRow.n)
        .select_from(ProbeRow)
        .join(ScoreMeanRow, ScoreMeanRow.training_id == ProbeRow.training_id)
        .where(ProbeRow.study == study, ScoreMeanRow.evaluation_id == evaluation_id(benchmark.fingerprint))
        .order_by(ProbeRow.position, ScoreMeanRow.split, ScoreMeanRow.metric)
    )
    if metric is not None:
        query = query.where(ScoreMeanRow.metric == metric)
    return query if split is None else query.where(ScoreMeanRow.split == split)


def training_losses(connection: sa.Connection, training_id: str) -> NDArray[np.float32]:
    """Return a training's loss at every step, empty where it has none."""
    losses = connection.scalars(sa.select(TrainingRow.losses).where(TrainingRow.training_id == training_id)).first()
    return np.zeros(0, np.float32) if losses is None else losses


def adapters_needed(connection: sa.Connection) -> set[str]:
    """Return the trainings that any study refers to."""
    return set(connection.scalars(sa.select(ProbeRow.training_id).distinct()))
