"""The store: what this project remembers. Values in, values out; no session, row or cursor leaves it.

A `Store` may be used from several threads, and several processes may open the same one. Every method is one transaction:
it happens wholly or not at all. Whoever trains takes a lease with `claim`, keeps it with `heartbeat`, and ends it with
`finish`, `fail` or `release`; each of these is refused (False) once somebody else holds the training.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from db import decisions, leases, queries, rankings, registry, results
from db import outcomes as outcome_tables
from db import plan as planning
from db import studies as study_tables
from db.clock import iso_time
from db.engine import clock_of, close_engine, open_engine, reading, writing
from db.errors import StoreError
from db.upgrade import check_version, upgrade
from db.values import (
    Arm,
    ArmCost,
    ArmLabel,
    ArmRole,
    BenchmarkRecord,
    BenchmarkScores,
    Claim,
    Design,
    EffectRow,
    KeptFidelity,
    ManifestRecord,
    MeanScore,
    Note,
    Outcome,
    PairRow,
    PlannedProbe,
    ProbeRecord,
    ProbeState,
    Ranking,
    SourceRecord,
    Split,
    StudyPlan,
    StudyProgress,
    StudyRecord,
)
from proxy_training.jobs import Cost, JobResult


class Store:
    """Everything that is remembered, in one database.

    Every method may raise `StoreError`, whose message is a sentence with the cure: a name that is not there, a study that
    is frozen, a store that is read-only or cannot be read.
    """

    def __init__(self, engine: sa.Engine, read_only: bool, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._readers = reading(engine)
        self._writers = writing(engine)
        self._read_only = read_only
        self._clock = clock
        self._closed = False

    @classmethod
    def open(cls, url_or_path: str | Path, read_only: bool = False, clock: Callable[[], float] | None = None) -> Self:
        """Open the store at a file or database URL; unless read-only, create it and bring it up to date.

        `clock` gives epoch seconds; by default the database server's, so that machines whose clocks differ agree on leases, or this
        machine's where the database is a file.
        """
        is_url = isinstance(url_or_path, str) and "://" in url_or_path
        engine = open_engine(str(url_or_path) if is_url else sa.URL.create("sqlite", database=str(url_or_path)), read_only)
        store = cls(engine, read_only, clock or time.time)
        try:
            with _told():
                store._clock = clock or (time.time if read_only else clock_of(engine))  # a reader takes no lease
                (check_version if read_only else upgrade)(engine)
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Close every connection; the store is of no use any more."""
        if not self._closed:
            self._closed = True
            close_engine(self._engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        with _told(), self._readers.begin() as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        if self._read_only:
            raise StoreError("this store is open for reading only: run a `probe` command to change it")
        with _told(), self._writers.begin() as connection:
            yield connection

    def _stamp(self) -> str:
        return iso_time(self._clock())

    # Sources and benchmarks

    def put_source(self, record: SourceRecord) -> None:
        """Register a source, or replace what is known of it."""
        with self._write() as connection:
            registry.put_source(connection, record, self._stamp())

    def source(self, slug: str) -> SourceRecord | None:
        """Return a source."""
        with self._read() as connection:
            return registry.source(connection, slug)

    def sources(self) -> tuple[SourceRecord, ...]:
        """Return all sources by slug."""
        with self._read() as connection:
            return registry.sources(connection)

    def remove_source(self, slug: str) -> None:
        """Forget a source; refused while an arm or the base mixture of a study contains it."""
        with self._write() as connection:
            registry.remove_source(connection, slug)

    def put_benchmark(self, record: BenchmarkRecord) -> None:
        """Register a benchmark, or replace it; other items or splits are refused once a study has probes on it."""
        with self._write() as connection:
            registry.put_benchmark(connection, record, self._stamp())

    def benchmark(self, name: str) -> BenchmarkRecord | None:
        """Return a benchmark; its arrays are read-only."""
        with self._read() as connection:
            return registry.benchmark(connection, name)

    def benchmarks(self) -> tuple[BenchmarkRecord, ...]:
        """Return all benchmarks by name."""
        with self._read() as connection:
            return registry.benchmarks(connection)

    def studies_using(self, slug: str) -> list[str]:
        """Return the studies whose arms or base mixture contain a source or a part of it."""
        with self._read() as connection:
            return registry.studies_using(connection, slug)

    def remove_benchmark(self, name: str) -> None:
        """Forget a benchmark and its scores; refused while a study uses it."""
        with self._write() as connection:
            registry.remove_benchmark(connection, name)

    # Studies

    def create_study(self, record: StudyRecord, benchmarks: Sequence[str]) -> None:
        """Write a study on benchmarks given by name; equal to one that is here it changes nothing, and one with probes is frozen."""
        with self._write() as connection:
            study_tables.create_study(connection, record, benchmarks, self._stamp())

    def study(self, name: str) -> StudyRecord | None:
        """Return a study."""
        with self._read() as connection:
            return study_tables.study(connection, name)

    def studies(self) -> tuple[StudyRecord, ...]:
        """Return all studies, oldest first."""
        with self._read() as connection:
            return study_tables.studies(connection)

    def remove_study(self, name: str) -> None:
        """Remove a study with its arms, probes, ranking and notes; trainings of other studies and all manifests stay."""
        with self._write() as connection:
            study_tables.remove_study(connection, name)

    def study_benchmarks(self, name: str) -> tuple[BenchmarkRecord, ...]:
        """Return a study's benchmarks in the order in which they were added."""
        with self._read() as connection:
            study_tables.check_study(connection, name)
            return registry.study_benchmarks(connection, name)

    def add_study_benchmark(self, name: str, benchmark: str) -> None:
        """Add a benchmark to a study, also a frozen one; its finished trainings then wait to be scored on it."""
        with self._write() as connection:
            study_tables.add_benchmark(connection, name, benchmark)

    def remove_study_benchmark(self, name: str, benchmark: str) -> None:
        """Take a benchmark out of a study; refused for its only one."""
        with self._write() as connection:
            study_tables.remove_benchmark(connection, name, benchmark)

    def put_plan(self, plan: StudyPlan) -> int:
        """Write what a run uses and asks: sources, new benchmarks, the study with its arms and probes; return how many are new."""
        with self._write() as connection:
            return planning.put_plan(connection, plan, self._stamp())

    def check_plan(self, plan: StudyPlan) -> int:
        """Return how many of a plan's probes are new and refuse what `put_plan` would refuse; nothing is written."""
        with self._read() as connection:
            return planning.check_plan(connection, plan)

    def add_arms(self, study: str, arms: Sequence[Arm]) -> int:
        """Add the arms that a study lacks and return how many; one of the same name must have the same role and curriculum."""
        with self._write() as connection:
            return study_tables.add_arms(connection, study, arms)

    def arms(self, study: str, roles: Sequence[ArmRole] | None = None, names: Collection[str] | None = None) -> tuple[Arm, ...]:
        """Return a study's arms in the order in which they were added, of these roles and names only if given."""
        with self._read() as connection:
            study_tables.check_study(connection, study)
            return study_tables.study_arms(connection, study, roles, names)

    def arm_labels(self, study: str) -> tuple[ArmLabel, ...]:
        """Return a study's arms in the order in which they were added, without their curricula."""
        with self._read() as connection:
            study_tables.check_study(connection, study)
            return study_tables.arm_labels(connection, study)

    def design_sources(self, study: str) -> dict[Design, tuple[str, ...]]:
        """Return the sources that the arms of each design train on, by slug."""
        with self._read() as connection:
            study_tables.check_study(connection, study)
            return study_tables.design_sources(connection, study)

    def plan_probes(self, study: str, probes: Sequence[PlannedProbe]) -> int:
        """Plan the probes that a study lacks and return how many; finished trainings are used again, only missing scores wait."""
        with self._write() as connection:
            return planning.plan_probes(connection, study, probes)

    def probes(self, study: str, state: ProbeState | None = None, most: int | None = None) -> tuple[ProbeRecord, ...]:
        """Return a study's probes in plan order, of one state and no more than `most` where given."""
        with self._read() as connection:
            return queries.probes(connection, study, state, most)

    def seeds(self, study: str) -> dict[Design, int]:
        """Return the seeds that an arm of each design of a study has at most; those of a confirmation are of none."""
        with self._read() as connection:
            return queries.seeds(connection, study)

    def training_costs(self, study: str) -> dict[str, Cost]:
        """Return what each of a study's trainings spent, by its id."""
        with self._read() as connection:
            return queries.training_costs(connection, study)

    def progress(self, study: str) -> StudyProgress:
        """Return how many probes stand where, and what the study's trainings cost, each counted once."""
        with self._read() as connection:
            return queries.progress(connection, study)

    # Leases

    def claim(self, owner: str, study: str, lease_s: float, now: float | None = None) -> Claim | None:
        """Take the next training of a study for `lease_s` seconds; None where nothing waits (others may still be running)."""
        with self._write() as connection:
            return leases.claim(connection, owner, study, lease_s, self._now(now))

    def heartbeat(self, claim: Claim, lease_s: float, now: float | None = None) -> bool:
        """Extend a lease to `lease_s` seconds from now; False where it was lost."""
        with self._write() as connection:
            return leases.heartbeat(connection, claim, lease_s, self._now(now))

    def keep_training(self, claim: Claim, result: JobResult, commit: str = "") -> bool:
        """Write that a training's adapter is on disk, with its losses and cost, and keep the lease for scoring; False where it was lost."""
        with self._write() as connection:
            return results.keep_training(connection, claim, result, commit)

    def finish(self, claim: Claim, result: JobResult, commit: str = "", now: float | None = None) -> bool:
        """Write a result and raise the revision of every study that it belongs to; False, and nothing written, where the lease was lost."""
        with self._write() as connection:
            return results.finish(connection, claim, result, self._now(now), commit)

    def fail(self, claim: Claim, error: str, now: float | None = None) -> bool:
        """Record why a job failed; False where the lease was lost."""
        with self._write() as connection:
            return leases.fail(connection, claim, error, self._now(now))

    def release(self, claim: Claim) -> bool:
        """Give a training back undone; False where the lease was lost."""
        with self._write() as connection:
            return leases.release(connection, claim)

    def expire_owner(self, owner: str) -> int:
        """End every lease of an owner that died at work, so that others need not wait for it; return how many there were.

        A training that lost `db.leases.MAX_DEATHS` holders in a row like this is failed instead of claimed again.
        """
        with self._write() as connection:
            return leases.expire_owner(connection, owner)

    def release_owner(self, owner: str) -> int:
        """Give back what an owner held that was ended with its whole run, which tells nothing of its trainings; return how many."""
        with self._write() as connection:
            return leases.release_owner(connection, owner)

    def retry_failed(self, study: str) -> int:
        """Let what failed in a study wait again, and return how many trainings and evaluations that is."""
        with self._write() as connection:
            return leases.retry_failed(connection, study)

    def _now(self, now: float | None) -> float:
        return self._clock() if now is None else now

    # Scores

    def scores(
        self, study: str, benchmark: str, roles: Sequence[ArmRole] | None = None, names: Collection[str] | None = None
    ) -> BenchmarkScores:
        """Return item scores `values[metric, arm, repeat, item]`, NaN where missing; `roles` and `names` limit the arms."""
        with self._read() as connection:
            return queries.scores(connection, study, benchmark, roles, names)

    def mean_scores(
        self, study: str, benchmark: str | None = None, metric: str | None = None, split: Split | None = None
    ) -> tuple[MeanScore, ...]:
        """Return each probe's mean per benchmark, split and metric, or of one of each; no blob is opened."""
        with self._read() as connection:
            return queries.mean_scores(connection, study, benchmark, metric, split)

    def training_losses(self, training_id: str) -> NDArray[np.float32]:
        """Return a training's loss at every step, empty where it has none."""
        with self._read() as connection:
            return queries.training_losses(connection, training_id)

    def adapters_needed(self) -> set[str]:
        """Return the trainings that any study refers to; every other adapter may be deleted."""
        with self._read() as connection:
            return queries.adapters_needed(connection)

    # Decisions

    def put_ranking(self, ranking: Ranking) -> None:
        """Keep a ranking in place of older ones; one older than what is kept is dropped."""
        with self._write() as connection:
            rankings.put_ranking(connection, ranking)

    def ranking(self, study: str, levels: Collection[str] | None = None, pairs: bool = True) -> Ranking | None:
        """Return the ranking kept of a study; it is up to date if its revision is the study's.

        `levels` limits its effects; without `pairs` it has none.
        """
        with self._read() as connection:
            return rankings.ranking(connection, study, levels, pairs)

    def effects(self, study: str, levels: Collection[str] | None = None, arms: Collection[str] | None = None) -> tuple[EffectRow, ...]:
        """Return the effects of the ranking kept of a study, of some levels and arms."""
        with self._read() as connection:
            return rankings.effects(connection, study, levels, arms)

    def pairs(self, study: str, level: tuple[str, str], arms: Collection[str] | None = None) -> tuple[PairRow, ...]:
        """Return the differences of the ranking kept of a study at one level (`level`, `name`), between some arms or all."""
        with self._read() as connection:
            return rankings.pairs_of(connection, study, level, arms)

    def decided_counts(self, study: str, level: tuple[str, str]) -> dict[str, tuple[int, int]]:
        """Return how many arms each arm is decidedly worse and decidedly better than at one level; no pair is read."""
        with self._read() as connection:
            return rankings.decided_counts(connection, study, level)

    def arm_costs(self, study: str) -> tuple[ArmCost, ...]:
        """Return what the trained probes of each arm cost together, in plan order."""
        with self._read() as connection:
            return queries.arm_costs(connection, study)

    def put_manifest(self, record: ManifestRecord) -> None:
        """Keep a manifest under its hash."""
        with self._write() as connection:
            decisions.put_manifest(connection, record, self._stamp())

    def manifest(self, hash_or_prefix: str) -> ManifestRecord | None:
        """Return the manifest whose hash begins so; refused where several do."""
        with self._read() as connection:
            return decisions.manifest(connection, hash_or_prefix)

    def manifests(self, study: str | None = None) -> tuple[ManifestRecord, ...]:
        """Return all manifests, or a study's, newest first."""
        with self._read() as connection:
            return decisions.manifests(connection, study)

    def add_outcomes(self, records: Sequence[Outcome]) -> None:
        """Record full-scale results, all or none; refused for a study that is not there and a name that is taken."""
        with self._write() as connection:
            outcome_tables.add_outcomes(connection, records, self._stamp())

    def outcomes(self, study: str | None = None) -> tuple[Outcome, ...]:
        """Return all full-scale results, or a study's, oldest first; they outlive their study."""
        with self._read() as connection:
            return outcome_tables.outcomes(connection, study)

    def remove_outcome(self, study: str, name: str) -> None:
        """Forget a full-scale result."""
        with self._write() as connection:
            outcome_tables.remove_outcome(connection, study, name)

    def put_fidelity(self, record: KeptFidelity) -> None:
        """Keep how well a study's proxy agrees with full scale, in place of what was kept."""
        with self._write() as connection:
            outcome_tables.put_fidelity(connection, record)

    def fidelity(self, study: str) -> KeptFidelity | None:
        """Return what is kept of how well a study's proxy agrees with full scale; its digest says from what."""
        with self._read() as connection:
            return outcome_tables.fidelity(connection, study)

    def add_note(self, study: str, text: str, author: str = "") -> None:
        """Add a note to a study."""
        with self._write() as connection:
            decisions.add_note(connection, Note(study, text, author, self._stamp()))

    def notes(self, study: str) -> tuple[Note, ...]:
        """Return a study's notes, oldest first."""
        with self._read() as connection:
            return decisions.notes(connection, study)


@contextmanager
def _told() -> Iterator[None]:
    """Turn what a database says into a sentence; a mistake of ours (an integrity error) stays one."""
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.TimeoutError) as error:
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        cure = "check that it is reachable, writable and has room, then try again"
        raise StoreError(f"the store cannot be used just now ({reason}): {cure}") from error
    except sa.exc.DatabaseError as error:
        if isinstance(error, sa.exc.IntegrityError | sa.exc.ProgrammingError):
            raise
        reason = str(error.orig).strip().splitlines()[0]
        cure = "it is no probe store or is damaged, so take another --db or restore a copy"
        raise StoreError(f"the store cannot be read ({reason}): {cure}") from error
