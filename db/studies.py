"""Studies and their arms: frozen once there are probes, extended by adding."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from db.engine import insert_new
from db.errors import StoreError, unknown
from db.registry import study_evaluations
from db.schema import ArmRow, ArmSourceRow, BenchmarkRow, EvaluationRow, ProbeRow, StudyBenchmarkRow, StudyRow, TrainingRow
from db.values import Arm, ArmLabel, ArmRole, Design, ProbeState, StudyRecord

_STUDY = sa.select(
    StudyRow.name,
    StudyRow.proxy,
    StudyRow.recipe,
    StudyRow.base,
    StudyRow.base_given,
    StudyRow.budget_unit,
    StudyRow.budget,
    StudyRow.add_share,
    StudyRow.created_at,
    StudyRow.revision,
    StudyRow.clean_of,
    StudyRow.looks,
)
_ARM = sa.select(ArmRow.name, ArmRow.role, ArmRow.design, ArmRow.curriculum, ArmRow.source).order_by(ArmRow.position)


def create_study(connection: sa.Connection, record: StudyRecord, benchmarks: Sequence[str], now: str) -> None:
    """Write a study; one with probes must be equal to the record, one without is replaced."""
    known = study(connection, record.name)
    if known is None:
        values = _content(record) | {"proxy": record.proxy, "created_at": record.created_at or now, "revision": 0}
        connection.execute(sa.insert(StudyRow).values(name=record.name, **values))
    elif _has_probes(connection, record.name):
        _check_frozen(connection, known, record, benchmarks)
        return
    elif _content(known) != _content(record):
        connection.execute(sa.update(StudyRow).where(StudyRow.name == record.name).values(_content(record) | {"proxy": record.proxy}))
        connection.execute(sa.delete(ArmRow).where(ArmRow.study == record.name))
    _set_benchmarks(connection, record.name, benchmarks)


def _content(record: StudyRecord) -> dict[str, Any]:
    """Return what must not change: where the proxy lies may, and its defaults are not the study's."""
    proxy = dataclasses.replace(record.proxy, path="", recipe=record.recipe, default_samples=0, default_tokens=0)
    fields = ("recipe", "base", "base_given", "budget_unit", "budget", "add_share", "clean_of", "looks")
    return {"proxy": proxy} | {name: getattr(record, name) for name in fields}


def _check_frozen(connection: sa.Connection, known: StudyRecord, record: StudyRecord, benchmarks: Sequence[str]) -> None:
    old, new = _content(known), _content(record)
    if not known.looks and record.looks:  # what was decided with all seeds at once may be decided again, over looks
        connection.execute(sa.update(StudyRow).where(StudyRow.name == record.name).values(looks=record.looks))
        old["looks"] = record.looks
    changed = [name for name in old if old[name] != new[name]]
    if changed:
        raise StoreError(f"study {record.name!r} is frozen: it has probes with another {_words(changed)}; ask under another --study name")
    present = set(connection.scalars(sa.select(StudyBenchmarkRow.benchmark).where(StudyBenchmarkRow.study == record.name)))
    extra = [name for name in benchmarks if name not in present]
    if extra:
        raise StoreError(f"study {record.name!r} is frozen: benchmark {extra[0]!r} is not one of its own; add it to the study before")
    if known.proxy.path != record.proxy.path:
        connection.execute(sa.update(StudyRow).where(StudyRow.name == record.name).values(proxy=record.proxy))


def _words(fields: Sequence[str]) -> str:
    return " and ".join(name.replace("_", " ") for name in fields)


def _set_benchmarks(connection: sa.Connection, study: str, names: Sequence[str]) -> None:
    known = set(connection.scalars(sa.select(BenchmarkRow.name)))
    for name in names:
        if name not in known:
            raise unknown("benchmark", name, known)
    connection.execute(sa.delete(StudyBenchmarkRow).where(StudyBenchmarkRow.study == study))
    rows = [{"study": study, "benchmark": name, "position": place} for place, name in enumerate(dict.fromkeys(names))]
    if rows:
        connection.execute(sa.insert(StudyBenchmarkRow), rows)


def study(connection: sa.Connection, name: str) -> StudyRecord | None:
    """Return a study."""
    row = connection.execute(_STUDY.where(StudyRow.name == name)).one_or_none()
    return None if row is None else StudyRecord(*tuple(row))


def studies(connection: sa.Connection) -> tuple[StudyRecord, ...]:
    """Return all studies, oldest first."""
    return tuple(StudyRecord(*tuple(row)) for row in connection.execute(_STUDY.order_by(StudyRow.created_at, StudyRow.name)))


def remove_study(connection: sa.Connection, name: str) -> None:
    """Remove a study and all that is its own; trainings stay that another study uses."""
    lock_study(connection, name)
    connection.execute(sa.delete(StudyRow).where(StudyRow.name == name))
    connection.execute(sa.delete(TrainingRow).where(~sa.exists().where(ProbeRow.training_id == TrainingRow.training_id)))


def lock_study(connection: sa.Connection, name: str) -> None:
    """Keep others from extending a study until this transaction ends.

    Raises:
        StoreError: there is no such study.
    """
    if connection.execute(sa.select(StudyRow.name).where(StudyRow.name == name).with_for_update()).one_or_none() is None:
        raise unknown("study", name, connection.scalars(sa.select(StudyRow.name)))


def check_study(connection: sa.Connection, name: str) -> None:
    """Refuse a study that is not there.

    Raises:
        StoreError: there is no such study.
    """
    if study(connection, name) is None:
        raise unknown("study", name, connection.scalars(sa.select(StudyRow.name)))


def raise_revision(connection: sa.Connection, name: str) -> None:
    """Say that what a ranking of the study reads has changed."""
    connection.execute(sa.update(StudyRow).where(StudyRow.name == name).values(revision=StudyRow.revision + 1))


def _has_probes(connection: sa.Connection, name: str) -> bool:
    return connection.scalars(sa.select(ProbeRow.arm).where(ProbeRow.study == name).limit(1)).first() is not None


def add_benchmark(connection: sa.Connection, study: str, benchmark: str) -> None:
    """Add a benchmark to a study and ask for its scores of every training; nothing happens where it is there already."""
    lock_study(connection, study)
    known = list(connection.scalars(sa.select(BenchmarkRow.name)))
    if benchmark not in known:
        raise unknown("benchmark", benchmark, known)
    query = sa.select(StudyBenchmarkRow.benchmark, StudyBenchmarkRow.position).where(StudyBenchmarkRow.study == study)
    present: dict[str, int] = {row.benchmark: row.position for row in connection.execute(query)}
    if benchmark in present:
        return
    position = max(present.values(), default=-1) + 1
    connection.execute(sa.insert(StudyBenchmarkRow).values(study=study, benchmark=benchmark, position=position))
    want_evaluations(connection, study)
    raise_revision(connection, study)


def remove_benchmark(connection: sa.Connection, study: str, benchmark: str) -> None:
    """Take a benchmark out of a study that reads others too; the scores on it stay for other studies."""
    lock_study(connection, study)
    present = list(connection.scalars(sa.select(StudyBenchmarkRow.benchmark).where(StudyBenchmarkRow.study == study)))
    if benchmark not in present:
        raise unknown("benchmark", benchmark, present)
    if len(present) == 1:
        raise StoreError(f"benchmark {benchmark!r} is the only one of study {study!r}: add another to it first, or remove the study")
    ours = sa.and_(StudyBenchmarkRow.study == study, StudyBenchmarkRow.benchmark == benchmark)
    connection.execute(sa.delete(StudyBenchmarkRow).where(ours))
    raise_revision(connection, study)


def want_evaluations(connection: sa.Connection, study: str) -> None:
    """Insert a waiting evaluation wherever a training of the study lacks one."""
    for identity, (name, fingerprint) in study_evaluations(connection, study).items():
        present = sa.select(EvaluationRow.training_id).where(EvaluationRow.evaluation_id == identity)
        training = sa.select(ProbeRow.training_id).where(ProbeRow.study == study, ProbeRow.training_id.not_in(present)).distinct()
        missing = sorted(connection.scalars(training))
        row = {"evaluation_id": identity, "benchmark": name, "fingerprint": fingerprint, "state": ProbeState.WAITING}
        if missing:
            connection.execute(insert_new(connection, EvaluationRow), [row | {"training_id": one} for one in missing])


def add_arms(connection: sa.Connection, study: str, arms: Sequence[Arm]) -> int:
    """Add the arms that the study lacks and return how many; one of the same name must be the same."""
    lock_study(connection, study)
    fresh = new_arms(connection, study, arms)
    _insert_arms(connection, study, fresh, len(study_arms(connection, study)))
    return len(fresh)


def new_arms(connection: sa.Connection, study: str, arms: Sequence[Arm]) -> list[Arm]:
    """Return the arms that the study lacks; one of the same name must be the same."""
    known = {arm.name: arm for arm in study_arms(connection, study)}
    fresh: dict[str, Arm] = {}
    for arm in arms:
        same = known.get(arm.name) or fresh.setdefault(arm.name, arm)
        if (same.role, same.curriculum) != (arm.role, arm.curriculum):
            raise StoreError(
                f"study {study!r} has an arm {arm.name!r} of another curriculum: "
                "give the arm another name, or ask under another --study name"
            )
    return list(fresh.values())


def _insert_arms(connection: sa.Connection, study: str, arms: Sequence[Arm], start: int) -> None:
    if not arms:
        return
    rows = [{"study": study, "position": start + place} | _arm_values(arm) for place, arm in enumerate(arms)]
    connection.execute(sa.insert(ArmRow), rows)
    used = [{"study": study, "arm": arm.name, "source": slug} for arm in arms for slug in arm.curriculum.sources()]
    if used:
        connection.execute(sa.insert(ArmSourceRow), used)
    raise_revision(connection, study)


def _arm_values(arm: Arm) -> dict[str, Any]:
    return {field.name: getattr(arm, field.name) for field in dataclasses.fields(arm)}


def study_arms(
    connection: sa.Connection, study: str, roles: Sequence[ArmRole] | None = None, names: Collection[str] | None = None
) -> tuple[Arm, ...]:
    """Return the arms of a study in the order in which they were added, of these roles and names only if given."""
    query = _ARM.where(ArmRow.study == study)
    if roles is not None:
        query = query.where(ArmRow.role.in_(roles))
    if names is not None:
        query = query.where(ArmRow.name.in_(names))
    return tuple(Arm(*row) for row in connection.execute(query))


def arm_labels(connection: sa.Connection, study: str) -> tuple[ArmLabel, ...]:
    """Return the arms of a study in the order in which they were added, without their curricula."""
    query = sa.select(ArmRow.name, ArmRow.role, ArmRow.design, ArmRow.source).where(ArmRow.study == study).order_by(ArmRow.position)
    return tuple(ArmLabel(*row) for row in connection.execute(query))


def design_sources(connection: sa.Connection, study: str) -> dict[Design, tuple[str, ...]]:
    """Return the sources that the arms of each design train on, by slug."""
    same = sa.and_(ArmSourceRow.study == ArmRow.study, ArmSourceRow.arm == ArmRow.name)
    query = sa.select(ArmRow.design, ArmSourceRow.source).join(ArmSourceRow, same).where(ArmRow.study == study)
    found: dict[Design, list[str]] = {}
    for design, slug in connection.execute(query.distinct().order_by(ArmSourceRow.source)):
        if design is not None:
            found.setdefault(design, []).append(slug)
    return {design: tuple(slugs) for design, slugs in found.items()}
