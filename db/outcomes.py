"""What full-scale training gave, and how well a study's proxy agrees with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from db.errors import StoreError, unknown
from db.schema import FidelityRow, OutcomeRow, OutcomeScoreRow
from db.studies import lock_study
from db.values import KeptFidelity, Outcome, OutcomeScore

_OUTCOME = sa.select(
    OutcomeRow.study, OutcomeRow.name, OutcomeRow.curriculum, OutcomeRow.seeds, OutcomeRow.manifest, OutcomeRow.note, OutcomeRow.created_at
)


def add_outcomes(connection: sa.Connection, records: Sequence[Outcome], now: str) -> None:
    """Add results of studies that are there; one of a name that is taken is refused, and then none is added."""
    for study in dict.fromkeys(record.study for record in records):
        lock_study(connection, study)
        known = set(connection.scalars(sa.select(OutcomeRow.name).where(OutcomeRow.study == study)))
        for record in (one for one in records if one.study == study):
            if record.name in known:
                raise StoreError(
                    f"study {study!r} has an outcome {record.name!r} already: remove it first (probe outcomes remove), or give --name"
                )
            known.add(record.name)
            _insert(connection, replace(record, created_at=record.created_at or now))


def _insert(connection: sa.Connection, record: Outcome) -> None:
    names = ("study", "name", "curriculum", "seeds", "manifest", "note", "created_at")
    connection.execute(sa.insert(OutcomeRow).values({name: getattr(record, name) for name in names}))
    key = {"study": record.study, "outcome": record.name}
    rows = [
        key | {"level": score.level, "name": score.name, "position": place, "value": score.value, "stderr": score.stderr}
        for place, score in enumerate(record.scores)
    ]
    if rows:
        connection.execute(sa.insert(OutcomeScoreRow), rows)


def outcomes(connection: sa.Connection, study: str | None = None) -> tuple[Outcome, ...]:
    """Return all outcomes, or a study's, oldest first."""
    wanted, scored = _OUTCOME, sa.select(OutcomeScoreRow.__table__)
    if study is not None:
        wanted, scored = wanted.where(OutcomeRow.study == study), scored.where(OutcomeScoreRow.study == study)
    scores: defaultdict[tuple[str, str], list[OutcomeScore]] = defaultdict(list)
    for row in connection.execute(scored.order_by(OutcomeScoreRow.position)):
        scores[row.study, row.outcome].append(OutcomeScore(row.level, row.name, row.value, row.stderr))
    found = connection.execute(wanted.order_by(OutcomeRow.created_at, OutcomeRow.study, OutcomeRow.name))
    return tuple(
        Outcome(row.study, row.name, row.curriculum, tuple(scores[row.study, row.name]), row.seeds, row.manifest, row.note, row.created_at)
        for row in found
    )


def remove_outcome(connection: sa.Connection, study: str, name: str) -> None:
    """Forget an outcome with its scores.

    Raises:
        StoreError: there is none of that name.
    """
    known = list(connection.scalars(sa.select(OutcomeRow.name).where(OutcomeRow.study == study)))
    if name not in known:
        raise unknown("outcome", name, known)
    connection.execute(sa.delete(OutcomeRow).where(OutcomeRow.study == study, OutcomeRow.name == name))


def put_fidelity(connection: sa.Connection, record: KeptFidelity) -> None:
    """Keep a study's fidelity in place of the one before."""
    lock_study(connection, record.study)
    connection.execute(sa.delete(FidelityRow).where(FidelityRow.study == record.study))
    connection.execute(sa.insert(FidelityRow).values(study=record.study, digest=record.digest, json=record.json))


def fidelity(connection: sa.Connection, study: str) -> KeptFidelity | None:
    """Return what is kept of a study's fidelity."""
    query = sa.select(FidelityRow.study, FidelityRow.digest, FidelityRow.json).where(FidelityRow.study == study)
    row = connection.execute(query).one_or_none()
    return None if row is None else KeptFidelity(*row)
