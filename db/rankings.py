"""Rankings as they were last computed: lists and pages read these and compute nothing."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from db.schema import EffectRecordRow, PairRecordRow, RankingRow
from db.studies import lock_study
from db.values import EffectRow, PairRow, Ranking
from sources.estimate import Estimate

_HEADER = (
    "study",
    "revision",
    "proxy",
    "reference",
    "metric",
    "level",
    "noise_floor",
    "minimum_detectable_effect",
    "illustration_only",
    "warnings",
)
_EFFECT = ("arm", "role", "level", "name", "accuracy", "tier", "verdict", "verdict_from", "seeds_to_decide", "source", "metric")
_PAIR = ("level", "name", "a", "b", "decided", "a_source", "b_source", "same")
_ESTIMATE = ("value", "stderr", "low", "high", "n")


def put_ranking(connection: sa.Connection, ranking: Ranking) -> None:
    """Keep a ranking in place of older ones; one that is older than what is kept is dropped."""
    lock_study(connection, ranking.study)
    kept = connection.scalar(sa.select(sa.func.max(RankingRow.revision)).where(RankingRow.study == ranking.study))
    if kept is not None and kept > ranking.revision:
        return
    connection.execute(sa.delete(RankingRow).where(RankingRow.study == ranking.study))
    connection.execute(sa.insert(RankingRow).values(_fields(ranking, _HEADER)))
    effects = [_fields(row, _EFFECT) | _fields(row.effect, _ESTIMATE) for row in ranking.effects]
    pairs = [_fields(row, _PAIR) | _fields(row.difference, _ESTIMATE) for row in ranking.pairs]
    for table, rows in ((EffectRecordRow, effects), (PairRecordRow, pairs)):
        if rows:
            keyed = [row | {"study": ranking.study, "revision": ranking.revision, "position": place} for place, row in enumerate(rows)]
            connection.execute(sa.insert(table), keyed)


def ranking(connection: sa.Connection, study: str) -> Ranking | None:
    """Return the ranking that is kept of a study, with the revision that it was computed from."""
    columns = [getattr(RankingRow, name) for name in _HEADER]
    row = connection.execute(sa.select(*columns).where(RankingRow.study == study)).mappings().one_or_none()
    if row is None:
        return None
    effects = tuple(EffectRow(**_named(found, _EFFECT), effect=_estimate(found)) for found in _rows(connection, EffectRecordRow, study))
    pairs = tuple(PairRow(**_named(found, _PAIR), difference=_estimate(found)) for found in _rows(connection, PairRecordRow, study))
    return Ranking(**row, effects=effects, pairs=pairs)


def _rows(connection: sa.Connection, table: type[EffectRecordRow] | type[PairRecordRow], study: str) -> list[sa.RowMapping]:
    return list(connection.execute(sa.select(table.__table__).where(table.study == study).order_by(table.position)).mappings())


def _fields(value: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names}


def _named(row: sa.RowMapping, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: row[name] for name in names}


def _estimate(row: sa.RowMapping) -> Estimate:
    return Estimate(**_named(row, _ESTIMATE))
