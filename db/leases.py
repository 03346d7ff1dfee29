"""Leases: one process at a time holds a training, and `fence` tells its holder from every earlier one."""

from __future__ import annotations

import sqlalchemy as sa

from db.clock import iso_time
from db.errors import StoreError
from db.registry import study_evaluations
from db.schema import EvaluationRow, ProbeRow, TrainingRow
from db.studies import check_study
from db.values import Claim, ProbeState

ERROR_CHARS = 4000


def claim(connection: sa.Connection, owner: str, study: str, lease_s: float, now: float) -> Claim | None:
    """Take the first training in plan order that waits, whose holder was lost, or that lacks scores; None where there is none."""
    check_study(connection, study)
    wanted = study_evaluations(connection, study)
    row = connection.execute(_next_training(study, list(wanted), now)).one_or_none()
    if row is None:
        return None
    _take(connection, row.training_id, owner, row.fence + 1, now + lease_s, iso_time(now), fresh=not row.adapter_done)
    ours = sa.and_(EvaluationRow.training_id == row.training_id, EvaluationRow.state == ProbeState.WAITING)
    waiting = set(connection.scalars(sa.select(EvaluationRow.evaluation_id).where(ours)))
    names = tuple(name for identity, (name, _) in wanted.items() if identity in waiting)
    return Claim(row.training_id, owner, row.fence + 1, study, row.arm, row.seed, row.adapter_done, names)


def _next_training(study: str, evaluations: list[str], now: float) -> sa.Select[str, str, int, int, bool]:
    lost = sa.and_(TrainingRow.state == ProbeState.RUNNING, TrainingRow.lease_expires <= now)
    unscored = sa.and_(TrainingRow.state == ProbeState.DONE, has_evaluation(evaluations, ProbeState.WAITING))
    return (
        sa.select(TrainingRow.training_id, ProbeRow.arm, ProbeRow.seed, TrainingRow.fence, TrainingRow.adapter_done)
        .select_from(ProbeRow)
        .join(TrainingRow, TrainingRow.training_id == ProbeRow.training_id)
        .where(ProbeRow.study == study, sa.or_(TrainingRow.state == ProbeState.WAITING, lost, unscored))
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


def _take(connection: sa.Connection, training_id: str, owner: str, fence: int, expires: float, started: str, fresh: bool) -> None:
    values = {"state": ProbeState.RUNNING, "owner": owner, "fence": fence, "lease_expires": expires, "started_at": started, "error": ""}
    one_more = TrainingRow.attempts + 1
    update = sa.update(TrainingRow).where(TrainingRow.training_id == training_id).values(**values)
    connection.execute(update.values(attempts=one_more) if fresh else update)


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
    """Return what a training without a holder says."""
    return {"state": state, "owner": "", "lease_expires": 0.0}


def heartbeat(connection: sa.Connection, held: Claim, lease_s: float, now: float) -> bool:
    """Extend a lease; False where somebody else has the training by now."""
    return change_held(connection, held, lease_expires=now + lease_s)


def release(connection: sa.Connection, held: Claim) -> bool:
    """Give a training back as it was before the claim; False where it was lost."""
    return change_held(connection, held, **let_go(ProbeState.DONE if held.trained else ProbeState.WAITING))


def expire_owner(connection: sa.Connection, owner: str) -> int:
    """End every lease of an owner that is known to be dead; return how many there were."""
    held = sa.and_(TrainingRow.owner == owner, TrainingRow.state == ProbeState.RUNNING)
    return connection.execute(sa.update(TrainingRow).where(held).values(lease_expires=0.0)).rowcount


def fail(connection: sa.Connection, held: Claim, error: str, now: float) -> bool:
    """Record a failure; False where the training was lost. When only scoring failed, the training stays done."""
    if not error:
        raise StoreError("a failure must say what went wrong")
    reason, when = error[:ERROR_CHARS], iso_time(now)
    if not held.trained:
        return change_held(connection, held, **let_go(ProbeState.FAILED), error=reason, finished_at=when)
    if not change_held(connection, held, **let_go(ProbeState.DONE)):
        return False
    wanted = study_evaluations(connection, held.study)
    identities = [identity for identity, (name, _) in wanted.items() if name in held.missing]
    rows = sa.and_(EvaluationRow.training_id == held.training_id, EvaluationRow.evaluation_id.in_(identities))
    update = sa.update(EvaluationRow).where(rows, EvaluationRow.state == ProbeState.WAITING)
    connection.execute(update.values(state=ProbeState.FAILED, error=reason, finished_at=when))
    return True


def retry_failed(connection: sa.Connection, study: str) -> int:
    """Let a study's failed trainings and evaluations wait again; return how many of both there were."""
    check_study(connection, study)
    ours = sa.select(ProbeRow.training_id).where(ProbeRow.study == study)
    count = 0
    for row in (TrainingRow, EvaluationRow):
        failed = sa.and_(row.training_id.in_(ours), row.state == ProbeState.FAILED)
        count += connection.execute(sa.update(row).where(failed).values(state=ProbeState.WAITING, error="")).rowcount
    return count
