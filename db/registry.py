"""Sources and benchmarks as they are registered."""

from __future__ import annotations

import numpy as np
import sqlalchemy as sa

from db.errors import StoreError, unknown
from db.schema import ArmSourceRow, BenchmarkRow, EvaluationRow, ProbeRow, SourceRow, StudyBenchmarkRow, StudyRow
from db.values import BenchmarkRecord, SourceRecord
from proxy_training.jobs import evaluation_id
from sources.benchmark import same_items

_SOURCE = sa.select(SourceRow.spec, SourceRow.fingerprint, SourceRow.usable, SourceRow.excluded, SourceRow.content, SourceRow.added_at)
_BENCHMARK = sa.select(
    BenchmarkRow.spec,
    BenchmarkRow.fingerprint,
    BenchmarkRow.n_items,
    BenchmarkRow.groups,
    BenchmarkRow.splits,
    BenchmarkRow.chance,
    BenchmarkRow.added_at,
)


def put_source(connection: sa.Connection, record: SourceRecord, now: str) -> None:
    """Register a source, or replace what is known of it; its date stays the first one."""
    values = {
        "spec": record.spec,
        "fingerprint": record.fingerprint,
        "usable": record.usable,
        "excluded": record.excluded,
        "content": record.content,
    }
    same = SourceRow.slug == record.spec.slug
    if connection.execute(sa.update(SourceRow).where(same).values(values)).rowcount == 0:
        connection.execute(sa.insert(SourceRow).values(slug=record.spec.slug, added_at=record.added_at or now, **values))


def source(connection: sa.Connection, slug: str) -> SourceRecord | None:
    """Return a source."""
    row = connection.execute(_SOURCE.where(SourceRow.slug == slug)).one_or_none()
    return None if row is None else SourceRecord(*row)


def sources(connection: sa.Connection) -> tuple[SourceRecord, ...]:
    """Return all sources by slug."""
    return tuple(SourceRecord(*row) for row in connection.execute(_SOURCE.order_by(SourceRow.slug)))


def remove_source(connection: sa.Connection, slug: str) -> None:
    """Forget a source that no study uses."""
    users = studies_using(connection, slug)
    if users:
        raise StoreError(f"source {slug!r} is used by study {users[0]!r}: remove the study first")
    if connection.execute(sa.delete(SourceRow).where(SourceRow.slug == slug)).rowcount == 0:
        raise unknown("source", slug, connection.scalars(sa.select(SourceRow.slug)))


def studies_using(connection: sa.Connection, slug: str) -> list[str]:
    """Return the studies whose arms or whose base mixture contain a source or a part of it (`slug/part`), sorted."""
    ours = sa.or_(ArmSourceRow.source == slug, ArmSourceRow.source.startswith(f"{slug}/", autoescape=True))
    names = set(connection.scalars(sa.select(ArmSourceRow.study).where(ours)))
    bases = connection.execute(sa.select(StudyRow.name, StudyRow.base))
    return sorted(names | {name for name, base in bases if any(f"{used}/".startswith(f"{slug}/") for used in base.weights())})


def put_benchmark(connection: sa.Connection, record: BenchmarkRecord, now: str) -> None:
    """Register a benchmark, or replace it; other items or splits are refused once a study has probes on it.

    Another scorer of the same items is taken: its evaluations have other identities, so the study's trainings are scored again.
    """
    _check_record(record)
    name = record.spec.name
    known = benchmark(connection, name)
    values = {
        "capability": record.spec.capability,
        "spec": record.spec,
        "fingerprint": record.fingerprint,
        "n_items": record.n_items,
        "groups": record.groups,
        "splits": record.splits,
        "chance": record.chance,
    }
    if known is None:
        connection.execute(sa.insert(BenchmarkRow).values(name=name, added_at=record.added_at or now, **values))
        return
    if not _same_items(known, record):
        _replace_items(connection, known)
    connection.execute(sa.update(BenchmarkRow).where(BenchmarkRow.name == name).values(values))


def _check_record(record: BenchmarkRecord) -> None:
    sizes = (record.n_items, len(record.groups), len(record.splits))
    if len(set(sizes)) > 1:
        raise StoreError(f"benchmark {record.spec.name!r} must have one group and one split an item, got {sizes} items, groups, splits")


def _same_items(known: BenchmarkRecord, record: BenchmarkRecord) -> bool:
    return (
        same_items(known.fingerprint, record.fingerprint)
        and np.array_equal(known.groups, record.groups)
        and np.array_equal(known.splits, record.splits)
    )


def _replace_items(connection: sa.Connection, known: BenchmarkRecord) -> None:
    query = (
        sa.select(ProbeRow.study)
        .join(StudyBenchmarkRow, StudyBenchmarkRow.study == ProbeRow.study)
        .where(StudyBenchmarkRow.benchmark == known.spec.name)
    )
    study = connection.scalars(query.limit(1)).first()
    if study is not None:
        raise StoreError(
            f"benchmark {known.spec.name!r} is frozen, because study {study!r} has probes on it: add the new items under another name"
        )
    _drop_evaluations(connection, known)


def _drop_evaluations(connection: sa.Connection, known: BenchmarkRecord) -> None:
    shared = sa.select(BenchmarkRow.name).where(BenchmarkRow.fingerprint == known.fingerprint, BenchmarkRow.name != known.spec.name)
    if connection.scalars(shared.limit(1)).first() is None:
        connection.execute(sa.delete(EvaluationRow).where(EvaluationRow.fingerprint == known.fingerprint))


def benchmark(connection: sa.Connection, name: str) -> BenchmarkRecord | None:
    """Return a benchmark."""
    row = connection.execute(_BENCHMARK.where(BenchmarkRow.name == name)).one_or_none()
    return None if row is None else BenchmarkRecord(*row)


def benchmark_of(connection: sa.Connection, fingerprint: str) -> BenchmarkRecord | None:
    """Return a benchmark that holds the items of this fingerprint."""
    row = connection.execute(_BENCHMARK.where(BenchmarkRow.fingerprint == fingerprint).order_by(BenchmarkRow.name).limit(1)).one_or_none()
    return None if row is None else BenchmarkRecord(*row)


def benchmarks(connection: sa.Connection) -> tuple[BenchmarkRecord, ...]:
    """Return all benchmarks by name."""
    return tuple(BenchmarkRecord(*row) for row in connection.execute(_BENCHMARK.order_by(BenchmarkRow.name)))


def study_benchmarks(connection: sa.Connection, study: str) -> tuple[BenchmarkRecord, ...]:
    """Return the benchmarks of a study in the order in which they were added."""
    query = _BENCHMARK.join(StudyBenchmarkRow, StudyBenchmarkRow.benchmark == BenchmarkRow.name).where(StudyBenchmarkRow.study == study)
    return tuple(BenchmarkRecord(*row) for row in connection.execute(query.order_by(StudyBenchmarkRow.position)))


def study_evaluations(connection: sa.Connection, study: str) -> dict[str, tuple[str, str]]:
    """Return what a study's benchmarks ask of each training: evaluation id to benchmark name and fingerprint.

    The ids are made here and never stored with the benchmark, so that a raised scorer version asks for new evaluations.
    """
    query = (
        sa.select(BenchmarkRow.name, BenchmarkRow.fingerprint)
        .join(StudyBenchmarkRow, StudyBenchmarkRow.benchmark == BenchmarkRow.name)
        .where(StudyBenchmarkRow.study == study)
        .order_by(StudyBenchmarkRow.position)
    )
    wanted: dict[str, tuple[str, str]] = {}
    for name, fingerprint in connection.execute(query):
        wanted.setdefault(evaluation_id(fingerprint), (name, fingerprint))
    return wanted


def remove_benchmark(connection: sa.Connection, name: str) -> None:
    """Forget a benchmark that no study uses, with the scores that removed studies left."""
    users = sa.select(StudyBenchmarkRow.study).where(StudyBenchmarkRow.benchmark == name)
    study = connection.scalars(users.order_by(StudyBenchmarkRow.study)).first()
    if study is not None:
        cure = f"take it out with `probe benchmarks remove {name} --study {study}`, or remove the study"
        raise StoreError(f"benchmark {name!r} is used by study {study!r}: {cure}")
    known = benchmark(connection, name)
    if known is None:
        raise unknown("benchmark", name, connection.scalars(sa.select(BenchmarkRow.name)))
    _drop_evaluations(connection, known)
    connection.execute(sa.delete(BenchmarkRow).where(BenchmarkRow.name == name))
