"""Rankings as they were last computed: lists and pages read these and compute nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from typing import Any, TypeVar

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
# the order of the fields of `EffectRow`, `PairRow` and `Estimate`, where the estimate stands between the first four and the others
_EFFECT = ("arm", "role", "level", "name", "accuracy", "tier", "verdict", "verdict_from", "seeds_to_decide", "source", "metric")
_PAIR = ("level", "name", "a", "b", "decided", "a_source", "b_source", "same")
_FIRST = 4
_ESTIMATE = ("value", "stderr", "low", "high", "n")
_Row = TypeVar("_Row", EffectRow, PairRow)


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


def ranking(connection: sa.Connection, study: str, levels: Collection[str] | None = None, pairs: bool = True) -> Ranking | None:
    """Return the ranking that is kept of a study, with the revision that it was computed from.

    With `levels`, effects of these alone; without `pairs`, none: a study of many sources has a million of them.
    """
    columns = [getattr(RankingRow, name) for name in _HEADER]
    row = connection.execute(sa.select(*columns).where(RankingRow.study == study)).mappings().one_or_none()
    if row is None:
        return None
    found = effects(connection, study, levels)
    return Ranking(**row, effects=found, pairs=pairs_of(connection, study) if pairs else ())


def effects(
    connection: sa.Connection, study: str, levels: Collection[str] | None = None, arms: Collection[str] | None = None
) -> tuple[EffectRow, ...]:
    """Return the effects of a study's ranking in its order, of some levels and arms or of all."""
    table = EffectRecordRow
    query = _select(table, _EFFECT).where(table.study == study).order_by(table.position)
    query = query if levels is None else query.where(table.level.in_(levels))
    query = query if arms is None else query.where(table.arm.in_(arms))
    return _rows(connection, query, EffectRow)


def pairs_of(
    connection: sa.Connection, study: str, level: tuple[str, str] | None = None, arms: Collection[str] | None = None
) -> tuple[PairRow, ...]:
    """Return the differences of a study's ranking in its order, of one level (`level`, `name`) and between some arms, or all."""
    table = PairRecordRow
    query = _select(table, _PAIR).where(*_at(study, level)).order_by(table.position)
    query = query if arms is None else query.where(table.a.in_(arms), table.b.in_(arms))
    return _rows(connection, query, PairRow)


def decided_counts(connection: sa.Connection, study: str, level: tuple[str, str]) -> dict[str, tuple[int, int]]:
    """Return how many arms each arm of a level is decidedly worse and decidedly better than; arms that are in no decided pair lack."""
    table, found = PairRecordRow, Counter[tuple[str, bool]]()
    for own, first_wins in ((table.a, True), (table.b, False)):
        wins = (table.value > 0) if first_wins else (table.value < 0)
        query = sa.select(own, wins, sa.func.count()).where(*_at(study, level), table.decided, table.value != 0).group_by(own, wins)
        for arm, won, count in connection.execute(query):
            found[arm, bool(won)] += count
    return {arm: (found[arm, False], found[arm, True]) for arm in {arm for arm, _ in found}}


def _at(study: str, level: tuple[str, str] | None) -> list[sa.ColumnElement[bool]]:
    table = PairRecordRow
    return [table.study == study, *([] if level is None else [table.level == level[0], table.name == level[1]])]


def _fields(value: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names}


def _select(table: Any, names: tuple[str, ...]) -> sa.Select[Any]:
    return sa.select(*(getattr(table, name) for name in (*_ESTIMATE, *names)))


def _rows(connection: sa.Connection, query: sa.Select[Any], kind: Callable[..., _Row]) -> tuple[_Row, ...]:
    """Return what `_select` found as rows; by place and not by name, because pages read thousands."""
    first = len(_ESTIMATE) + _FIRST
    return tuple(kind(*row[len(_ESTIMATE) : first], Estimate(*row[: len(_ESTIMATE)]), *row[first:]) for row in connection.execute(query))
