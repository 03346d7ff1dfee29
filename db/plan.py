"""Planning probes: what is new waits, what exists already is used again."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from db.engine import insert_new
from db.errors import StoreError, unknown
from db.schema import ArmRow, ProbeRow, TrainingRow
from db.studies import lock_study, raise_revision, want_evaluations
from db.values import PlannedProbe, ProbeState

_Key = tuple[str, int]


def plan_probes(connection: sa.Connection, study: str, probes: Sequence[PlannedProbe]) -> int:
    """Insert the probes that the study lacks, their trainings and all missing evaluations; return how many probes are new."""
    lock_study(connection, study)
    fresh = _new_probes(connection, study, probes)
    if fresh:
        _insert_trainings(connection, study, fresh)
        _insert_probes(connection, study, fresh)
        raise_revision(connection, study)
    want_evaluations(connection, study)
    return len(fresh)


def _new_probes(connection: sa.Connection, study: str, probes: Sequence[PlannedProbe]) -> list[PlannedProbe]:
    query = sa.select(ProbeRow.arm, ProbeRow.repeat, ProbeRow.training_id).where(ProbeRow.study == study)
    trainings: dict[_Key, str] = {(arm, repeat): training for arm, repeat, training in connection.execute(query)}
    arms = set(connection.scalars(sa.select(ArmRow.name).where(ArmRow.study == study)))
    fresh = []
    for probe in probes:
        if probe.arm not in arms:
            raise unknown("arm", probe.arm, arms)
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
            "too_small": probe.too_small,
        }
        for place, probe in enumerate(probes)
    ]
    connection.execute(sa.insert(ProbeRow), rows)
