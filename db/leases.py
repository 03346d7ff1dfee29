"""Leases: one process at a time holds a training, and `fence` tells its holder from every earlier one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from db.clock import iso_time
from db.errors import StoreError
from db.registry import study_evaluations
from db.schema import EvaluationRow, ProbeRow, TrainingRow
from db.studies import check_study
from db.values import Claim, ProbeState

ERROR_CHARS = 4000
MAX_DEATHS = 3


def claim(connection: sa.Connection, owner: str, study: str, lease_s: float, now: float) -> Claim | None:
    """Take the first training in plan order that waits, whose holder was lost, or that lacks scores; None where there is none."""
    check_study(connection, study)
    wanted = study_evaluations(connection, study)
    _give_up(connection, study, list(wanted), now)
    while (row := connection.execute(_next_training(study, list(wanted), now)).one_or_none()) is not None:
        ours = sa.and_(EvaluationRow.training_id == row.training_id, EvaluationRow.state == ProbeState.WAITING)
        waiting = set(connection.scalars(sa.select(EvaluationRow.evaluation_id).where(ours)))
        names = tuple(name for identity, (name, _) in wanted.items() if identity in waiting)
        # PostgreSQL (READ COMMITTED) checks a row that changed meanwhile as it is now, but its evaluations as they were when the query
        # began: what another process took and finished in between seems to lack scores. Now that the row is ours, they are read afresh.
        if row.state is not ProbeState.DONE or names:
            _take(connection, row, owner, now + lease_s, iso_time(now))
            return Claim(row.training_id, owner, row.fence + 1, study, row.arm, row.seed, row.adapter_done, names)
    return None


def _lost(now: float) -> sa.ColumnElement[bool]:
    return sa.and_(TrainingRow.state == ProbeState.RUNNING, TrainingRow.lease_expires <= now)


def _give_up(connection: sa.Connection, study: str, evaluations: list[str], now: float) -> None:
    """Fail what lost its holder so often that it is likely what kills them."""
    ours = TrainingRow.training_id.in_(sa.select(ProbeRow.training_id).where(ProbeRow.study == study))
    hopeless = sa.and_(ours, _lost(now), TrainingRow.deaths >= MAX_DEATHS - 1)
    query = sa.select(TrainingRow.training_id, TrainingRow.adapter_done).where(hopeless).with_for_update(skip_locked=True)
    for row in connection.execute(query).all():
        error = (
            f"the process died {MAX_DEATHS} times while it {'scored' if row.adapter_done else 'trained'} this (often for want of memory), "
            "so it is not tried again by itself"
        )
        ended = let_go(ProbeState.DONE if row.adapter_done else ProbeState.FAILED) | {"error": "" if row.adapter_done else error}
        this = TrainingRow.training_id == row.training_id
        connection.execute(sa.update(TrainingRow).where(this).values(ended | {"finished_at": iso_time(now)}))
        if row.adapter_done:
            fail_evaluations(connection, row.training_id, dict.fromkeys(evaluations, error), now)


def _next_training(study: str, evaluations: list[str], now: float) -> sa.Select[str, str, int, int, bool, int, ProbeState]:
    unscored = sa.and_(TrainingRow.state == ProbeState.DONE, has_evaluation(evaluations, ProbeState.WAITING))
    return (
        sa.select(
            TrainingRow.training_id,
            ProbeRow.arm,
            ProbeRow.seed,
            TrainingRow.fence,
            TrainingRow.adapter_done,
            TrainingRow.deaths,
            TrainingRow.state,
        )
        .select_from(ProbeRow)
        .join(TrainingRow, TrainingRow.training_id == ProbeRow.training_id)
        .where(ProbeRow.study == study, sa.or_(TrainingRow.state == ProbeState.WAITING, _lost(now), unscored))
        .order_by(ProbeRow.position)
        .limit(1)
        .with_for_update(of=TrainingRow, skip_locked=True, key_share=True)
    )


def has_evaluation(evaluations: list[str], state: ProbeState) -> sa.Exists:
    """Return the condition that a training has one of these evaluations in this state."""
    return sa.exists().where(
        EvaluationRow.training_id == TrainingRow.training_id,
        EvaluationRow.state == state,
        EvaluationRow.evaluation_id.in_(evaluations),
    )


def _take(connection: sa.Connection, row: Any, owner: str, expires: float, started: str) -> None:
    values = {
        "state": ProbeState.RUNNING,
        "owner": owner,
        "fence": row.fence + 1,
        "lease_expires": expires,
        "started_at": started,
        "error": "",
        "deaths": row.deaths + (row.state is ProbeState.RUNNING),
    }
    update = sa.update(TrainingRow).where(TrainingRow.training_id == row.training_id).values(**values)
    connection.execute(update if row.adapter_done else update.values(attempts=TrainingRow.attempts + 1))


def change_held(connection: sa.Connection, held: Claim, **values: object) -> bool:
    """Change a training if the claim still holds it, and say whether it did."""
    condition = sa.and_(
        TrainingRow.training_id == held.training_id,
        TrainingRow.owner == held.owner,
        TrainingRow.fence == held.fence,
        TrainingRow.state == ProbeState.RUNNING,
    )
    return connection.execute(sa.update(TrainingRow).where(condition).values(**values)).rowcount == 1


def let_go(state: ProbeState) -> dict[str, object]:
    """Return what a training says whose holder ended in order."""
    return {"state": state, "owner": "", "lease_expires": 0.0, "deaths": 0}


def heartbeat(connection: sa.Connection, held: Claim, lease_s: float, now: float) -> bool:
    """Extend a lease; False where somebody else has the training by now."""
    return change_held(connection, held, lease_expires=now + lease_s)


def release(connection: sa.Connection, held: Claim) -> bool:
    """Give a training back as it was before the claim; False where it was lost."""
    return change_held(connection, held, **let_go(ProbeState.DONE if held.trained else ProbeState.WAITING))


def expire_owner(connection: sa.Connection, owner: str) -> int:
    """End every lease of an owner that died at work; return how many there were."""
    return connection.execute(sa.update(TrainingRow).where(_held_by(owner)).values(lease_expires=0.0)).rowcount


def release_owner(connection: sa.Connection, owner: str) -> int:
    """Give back what an owner held that was ended from outside together with its run; return how many trainings that is."""
    count = 0
    for done, state in ((True, ProbeState.DONE), (False, ProbeState.WAITING)):
        held = sa.and_(_held_by(owner), TrainingRow.adapter_done.is_(done))
        count += connection.execute(sa.update(TrainingRow).where(held).values(state=state, owner="", lease_expires=0.0)).rowcount
    return count


def _held_by(owner: str) -> sa.ColumnElement[bool]:
    return sa.and_(TrainingRow.owner == owner, TrainingRow.state == ProbeState.RUNNING)


def fail(connection: sa.Connection, held: Claim, error: str, now: float) -> bool:
    """Record a failure; False where the training was lost. When only scoring failed, the training stays done."""
    if not error:
        raise StoreError("a failure must say what went wrong")
    if not held.trained:
        return change_held(connection, held, **let_go(ProbeState.FAILED), error=error[:ERROR_CHARS], finished_at=iso_time(now))
    if not change_held(connection, held, **let_go(ProbeState.DONE)):
        return False
    fail_scoring(connection, held, dict.fromkeys(held.missing, error), now)
    return True


def fail_scoring(connection: sa.Connection, held: Claim, errors: Mapping[str, str], now: float) -> None:
    """Record why a training could not be scored on some benchmarks (name to reason)."""
    wanted = study_evaluations(connection, held.study)
    failed = {identity: errors[name] for identity, (name, _) in wanted.items() if name in errors}
    fail_evaluations(connection, held.training_id, failed, now)


def fail_evaluations(connection: sa.Connection, training_id: str, errors: Mapping[str, str], now: float) -> None:
    """Fail those of a training's waiting evaluations that are named (evaluation id to reason)."""
    ours = sa.and_(EvaluationRow.training_id == training_id, EvaluationRow.state == ProbeState.WAITING)
    for identity, error in errors.items():
        values = {"state": ProbeState.FAILED, "error": error[:ERROR_CHARS], "finished_at": iso_time(now)}
        connection.execute(sa.update(EvaluationRow).where(ours, EvaluationRow.evaluation_id == identity).values(values))


def retry_failed(connection: sa.Connection, study: str) -> int:
    """Let a study's failed trainings and evaluations wait again; return how many of both there were."""
    check_study(connection, study)
    return try_again(connection, study, sa.select(ProbeRow.training_id).where(ProbeRow.study == study))


def try_again(connection: sa.Connection, study: str, ours: Sequence[str] | sa.Select[str]) -> int:
    """Let those of some trainings wait again that failed, and what the study reads of their failed evaluations; return how many."""
    trainings = sa.and_(TrainingRow.training_id.in_(ours), TrainingRow.state == ProbeState.FAILED)
    wanted = EvaluationRow.evaluation_id.in_(list(study_evaluations(connection, study)))
    evaluations = sa.and_(EvaluationRow.training_id.in_(ours), wanted, EvaluationRow.state == ProbeState.FAILED)
    updates = (sa.update(TrainingRow).where(trainings), sa.update(EvaluationRow).where(evaluations))
    return sum(connection.execute(update.values(state=ProbeState.WAITING, error="")).rowcount for update in updates)
