"""Planning probes: what is new waits, what exists already is used again."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from db.engine import insert_new
from db.errors import StoreError, unknown
from db.leases import try_again
from db.registry import benchmark, put_benchmark, put_source
from db.schema import ArmRow, ProbeRow, TrainingRow
from db.studies import add_arms, add_benchmark, create_study, lock_study, new_arms, raise_revision, want_evaluations
from db.values import PlannedProbe, ProbeState, StudyPlan
from sources.benchmark import same_items

_Key = tuple[str, int]


def put_plan(connection: sa.Connection, plan: StudyPlan, now: str) -> int:
    """Write a plan and return how many of its probes are new."""
    for source in plan.sources:
        put_source(connection, source, now)
    for record in plan.benchmarks:
        known = benchmark(connection, record.spec.name)
        if known is None or (known.fingerprint != record.fingerprint and same_items(known.fingerprint, record.fingerprint)):
            put_benchmark(connection, record, now)
    name = plan.study.name
    create_study(connection, plan.study, (), now)
    for record in plan.benchmarks:
        add_benchmark(connection, name, record.spec.name)
    add_arms(connection, name, plan.arms)
    return plan_probes(connection, name, plan.probes)


def check_plan(connection: sa.Connection, plan: StudyPlan) -> int:
    """Return how many of a plan's probes are new, and refuse what `put_plan` would refuse; nothing is written."""
    new_arms(connection, plan.study.name, plan.arms)
    return len(new_probes(connection, plan.study.name, plan.probes))


def plan_probes(connection: sa.Connection, study: str, probes: Sequence[PlannedProbe]) -> int:
    """Insert the probes that the study lacks, their trainings and all missing evaluations; return how many probes are new.

    What another study failed at is tried again: it may have failed for its machine or its device.
    """
    lock_study(connection, study)
    _check_arms(connection, study, probes)
    fresh = new_probes(connection, study, probes)
    if fresh:
        _insert_trainings(connection, study, fresh)
        _insert_probes(connection, study, fresh)
        try_again(connection, study, sorted({probe.training_id for probe in fresh}))
        raise_revision(connection, study)
    want_evaluations(connection, study)
    return len(fresh)


def _check_arms(connection: sa.Connection, study: str, probes: Sequence[PlannedProbe]) -> None:
    arms = set(connection.scalars(sa.select(ArmRow.name).where(ArmRow.study == study)))
    for probe in probes:
        if probe.arm not in arms:
            raise unknown("arm", probe.arm, arms)


def new_probes(connection: sa.Connection, study: str, probes: Sequence[PlannedProbe]) -> list[PlannedProbe]:
    """Return the probes that the study lacks; one of the same arm and repeat must be of the same training."""
    query = sa.select(ProbeRow.arm, ProbeRow.repeat, ProbeRow.training_id).where(ProbeRow.study == study)
    trainings: dict[_Key, str] = {(arm, repeat): training for arm, repeat, training in connection.execute(query)}
    fresh = []
    for probe in probes:
        if (probe.arm, probe.repeat) not in trainings:
            trainings[probe.arm, probe.repeat] = probe.training_id
            fresh.append(probe)
        elif trainings[probe.arm, probe.repeat] != probe.training_id:
            raise _changed(study, probe)
    return fresh


def _changed(study: str, probe: PlannedProbe) -> StoreError:
    return StoreError(
        f"study {study!r} is frozen: arm {probe.arm!r}, repeat {probe.repeat} was planned with other rows or another recipe, "
        "so its data or this program changed; ask under another --study name"
    )


def _insert_trainings(connection: sa.Connection, study: str, probes: Sequence[PlannedProbe]) -> None:
    first = {probe.training_id: probe.arm for probe in reversed(probes)}
    rows = [{"training_id": training, "study": study, "arm": arm, "state": ProbeState.WAITING} for training, arm in sorted(first.items())]
    connection.execute(insert_new(connection, TrainingRow), rows)


def _insert_probes(connection: sa.Connection, study: str, probes: Sequence[PlannedProbe]) -> None:
    last = connection.scalar(sa.select(sa.func.max(ProbeRow.position)).where(ProbeRow.study == study))
    start = 0 if last is None else last + 1
    rows = [
        {
            "study": study,
            "position": start + place,
            "arm": probe.arm,
            "repeat": probe.repeat,
            "seed": probe.seed,
            "training_id": probe.training_id,
            "rows": probe.rows,
            "tokens": probe.tokens,
            "overlap": probe.overlap,
        }
        for place, probe in enumerate(probes)
    ]
    connection.execute(sa.insert(ProbeRow), rows)
