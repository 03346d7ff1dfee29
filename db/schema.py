"""The tables. A training is shared by every study whose probes draw the same rows; everything else belongs to one study."""

from __future__ import annotations

from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from db.columns import Document, Real, Vector, choice
from db.values import ArmRole, BudgetUnit, Design, ProbeState, Verdict
from proxy_training.jobs import Cost, ProxySpec, Recipe
from sources.benchmark import BenchmarkSpec, Split
from sources.mixture import Curriculum, Mixture
from sources.spec import SourceSpec


class Base(DeclarativeBase):
    """Names every constraint, so that a migration can name it too."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class SourceRow(Base):
    """A registered source."""

    __tablename__ = "sources"
    slug: Mapped[str] = mapped_column(primary_key=True)
    spec: Mapped[SourceSpec] = mapped_column(Document(SourceSpec))
    fingerprint: Mapped[str]
    usable: Mapped[int]
    excluded: Mapped[tuple[tuple[str, int], ...]] = mapped_column(Document(tuple[tuple[str, int], ...]))
    content: Mapped[str]
    added_at: Mapped[str]


class BenchmarkRow(Base):
    """A registered benchmark with its image clusters and splits."""

    __tablename__ = "benchmarks"
    name: Mapped[str] = mapped_column(primary_key=True)
    capability: Mapped[str]
    spec: Mapped[BenchmarkSpec] = mapped_column(Document(BenchmarkSpec))
    fingerprint: Mapped[str] = mapped_column(index=True)
    n_items: Mapped[int]
    groups: Mapped[NDArray[np.int32]] = mapped_column(Vector("<i4"))
    splits: Mapped[NDArray[np.int8]] = mapped_column(Vector("<i1"))
    chance: Mapped[float] = mapped_column(Real, nullable=True)
    added_at: Mapped[str]


class StudyRow(Base):
    """A named question."""

    __tablename__ = "studies"
    name: Mapped[str] = mapped_column(primary_key=True)
    proxy: Mapped[ProxySpec] = mapped_column(Document(ProxySpec))
    recipe: Mapped[Recipe] = mapped_column(Document(Recipe))
    base: Mapped[Mixture] = mapped_column(Document(Mixture))
    base_given: Mapped[bool]
    budget_unit: Mapped[BudgetUnit] = mapped_column(choice(BudgetUnit, "budget_unit"))
    budget: Mapped[int] = mapped_column(sa.BigInteger)
    add_share: Mapped[float] = mapped_column(Real, nullable=True)
    clean_of: Mapped[tuple[str, ...]] = mapped_column(Document(tuple[str, ...]), server_default="[]")
    looks: Mapped[tuple[int, ...]] = mapped_column(Document(tuple[int, ...]), server_default="[]")
    created_at: Mapped[str]
    revision: Mapped[int] = mapped_column(default=0)


def _study_key(**options: Any) -> Any:
    return mapped_column(sa.ForeignKey("studies.name", ondelete="CASCADE"), **options)


class StudyBenchmarkRow(Base):
    """A benchmark that a study reads; while one does, the benchmark cannot be removed."""

    __tablename__ = "study_benchmarks"
    study: Mapped[str] = _study_key(primary_key=True)
    benchmark: Mapped[str] = mapped_column(sa.ForeignKey("benchmarks.name", ondelete="RESTRICT"), primary_key=True, index=True)
    position: Mapped[int]


class ArmRow(Base):
    """One thing compared in a study."""

    __tablename__ = "arms"
    study: Mapped[str] = _study_key(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    role: Mapped[ArmRole] = mapped_column(choice(ArmRole, "role"))
    design: Mapped[Design | None] = mapped_column(choice(Design, "design"))
    curriculum: Mapped[Curriculum] = mapped_column(Document(Curriculum))
    source: Mapped[str]


class ArmSourceRow(Base):
    """A source in an arm's curriculum. No foreign key: sources of the catalogue need not be registered."""

    __tablename__ = "arm_sources"
    __table_args__ = (sa.ForeignKeyConstraint(["study", "arm"], ["arms.study", "arms.name"], ondelete="CASCADE"),)
    study: Mapped[str] = mapped_column(primary_key=True)
    arm: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True, index=True)


class TrainingRow(Base):
    """A training, its state and its lease; `study` and `arm` are the first that asked for it, which may be gone.

    `attempts` counts how often it was begun, `deaths` how many holders in a row were lost without a word.
    """

    __tablename__ = "trainings"
    training_id: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[ProbeState] = mapped_column(choice(ProbeState, "state"), default=ProbeState.WAITING)
    study: Mapped[str]
    arm: Mapped[str]
    owner: Mapped[str] = mapped_column(default="")
    fence: Mapped[int] = mapped_column(default=0)
    lease_expires: Mapped[float] = mapped_column(Real, nullable=True, default=0.0)
    attempts: Mapped[int] = mapped_column(default=0)
    deaths: Mapped[int] = mapped_column(default=0)
    adapter_done: Mapped[bool] = mapped_column(default=False)
    error: Mapped[str] = mapped_column(default="")
    cost: Mapped[Cost] = mapped_column(Document(Cost), default=Cost())
    cpu_s: Mapped[float] = mapped_column(Real, nullable=True, default=0.0)
    wall_s: Mapped[float] = mapped_column(Real, nullable=True, default=0.0)
    losses: Mapped[NDArray[np.float32] | None] = mapped_column(Vector("<f4"))
    started_at: Mapped[str] = mapped_column(default="")
    finished_at: Mapped[str] = mapped_column(default="")
    commit_hash: Mapped[str] = mapped_column(default="")


class ProbeRow(Base):
    """An arm's repeat and the training that answers it; `position` is the plan's order."""

    __tablename__ = "probes"
    __table_args__ = (
        sa.ForeignKeyConstraint(["study", "arm"], ["arms.study", "arms.name"], ondelete="CASCADE"),
        sa.Index("ix_probes_study_position", "study", "position"),
    )
    study: Mapped[str] = mapped_column(primary_key=True)
    arm: Mapped[str] = mapped_column(primary_key=True)
    repeat: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int]
    seed: Mapped[int] = mapped_column(sa.BigInteger)
    training_id: Mapped[str] = mapped_column(sa.ForeignKey("trainings.training_id", ondelete="RESTRICT"), index=True)
    rows: Mapped[int] = mapped_column(sa.BigInteger)
    tokens: Mapped[int] = mapped_column(sa.BigInteger)
    overlap: Mapped[float] = mapped_column(Real, nullable=True)


class EvaluationRow(Base):
    """A training on a benchmark; `benchmark` is the name it was asked under, `fingerprint` says which items."""

    __tablename__ = "evaluations"
    __table_args__ = (sa.Index("ix_evaluations_state_training_id", "state", "training_id"),)
    training_id: Mapped[str] = mapped_column(sa.ForeignKey("trainings.training_id", ondelete="CASCADE"), primary_key=True)
    evaluation_id: Mapped[str] = mapped_column(primary_key=True, index=True)
    benchmark: Mapped[str]
    fingerprint: Mapped[str]
    state: Mapped[ProbeState] = mapped_column(choice(ProbeState, "state"), default=ProbeState.WAITING)
    n_items: Mapped[int] = mapped_column(default=0)
    unscored: Mapped[NDArray[np.int32] | None] = mapped_column(Vector("<i4"))
    error: Mapped[str] = mapped_column(default="")
    finished_at: Mapped[str] = mapped_column(default="")


def _evaluation_key() -> sa.ForeignKeyConstraint:
    ours = ["training_id", "evaluation_id"]
    return sa.ForeignKeyConstraint(ours, [f"evaluations.{column}" for column in ours], ondelete="CASCADE")


class ItemScoreRow(Base):
    """All item scores of one evaluation, packed by `db.blobs`."""

    __tablename__ = "item_scores"
    __table_args__ = (_evaluation_key(),)
    training_id: Mapped[str] = mapped_column(primary_key=True)
    evaluation_id: Mapped[str] = mapped_column(primary_key=True)
    scores: Mapped[bytes]


class ScoreMeanRow(Base):
    """Means over the items of a split, made when the scores are written: lists and pages never open blobs."""

    __tablename__ = "score_means"
    __table_args__ = (_evaluation_key(),)
    training_id: Mapped[str] = mapped_column(primary_key=True)
    evaluation_id: Mapped[str] = mapped_column(primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    split: Mapped[Split] = mapped_column(choice(Split, "split"), primary_key=True)
    mean: Mapped[float] = mapped_column(Real, nullable=True)
    n: Mapped[int]


class RankingRow(Base):
    """What a study's ranking says besides its effects and pairs."""

    __tablename__ = "rankings"
    study: Mapped[str] = _study_key(primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    proxy: Mapped[str]
    reference: Mapped[str]
    metric: Mapped[str]
    level: Mapped[float] = mapped_column(Real, nullable=True)
    noise_floor: Mapped[float] = mapped_column(Real, nullable=True)
    minimum_detectable_effect: Mapped[float] = mapped_column(Real, nullable=True)
    illustration_only: Mapped[bool]
    warnings: Mapped[tuple[str, ...]] = mapped_column(Document(tuple[str, ...]))


def _ranking_key() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["study", "revision"], ["rankings.study", "rankings.revision"], ondelete="CASCADE")


class EffectRecordRow(Base):
    """A materialised effect of a ranking."""

    __tablename__ = "effects"
    __table_args__ = (_ranking_key(),)
    study: Mapped[str] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    arm: Mapped[str]
    role: Mapped[ArmRole] = mapped_column(choice(ArmRole, "role"))
    level: Mapped[str]
    name: Mapped[str]
    value: Mapped[float] = mapped_column(Real, nullable=True)
    stderr: Mapped[float] = mapped_column(Real, nullable=True)
    low: Mapped[float] = mapped_column(Real, nullable=True)
    high: Mapped[float] = mapped_column(Real, nullable=True)
    n: Mapped[int]
    accuracy: Mapped[float] = mapped_column(Real, nullable=True)
    tier: Mapped[int | None]
    verdict: Mapped[Verdict | None] = mapped_column(choice(Verdict, "verdict"))
    verdict_from: Mapped[str]
    seeds_to_decide: Mapped[int | None]
    source: Mapped[str]
    metric: Mapped[str]


class PairRecordRow(Base):
    """A materialised difference between two arms of a ranking."""

    __tablename__ = "pairs"
    __table_args__ = (_ranking_key(), sa.Index("ix_pairs_study_level_name", "study", "level", "name"))
    study: Mapped[str] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    level: Mapped[str]
    name: Mapped[str]
    a: Mapped[str]
    b: Mapped[str]
    value: Mapped[float] = mapped_column(Real, nullable=True)
    stderr: Mapped[float] = mapped_column(Real, nullable=True)
    low: Mapped[float] = mapped_column(Real, nullable=True)
    high: Mapped[float] = mapped_column(Real, nullable=True)
    n: Mapped[int]
    decided: Mapped[bool]
    a_source: Mapped[str]
    b_source: Mapped[str]
    same: Mapped[bool] = mapped_column(server_default=sa.false())


class ManifestRow(Base):
    """A manifest as canonical JSON. No foreign key: a decision outlives its study."""

    __tablename__ = "manifests"
    hash: Mapped[str] = mapped_column(primary_key=True)
    study: Mapped[str] = mapped_column(index=True)
    json: Mapped[str] = mapped_column(sa.Text)
    created_at: Mapped[str]


class NoteRow(Base):
    """What somebody wrote or decided about a study."""

    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    study: Mapped[str] = _study_key(index=True)
    text: Mapped[str] = mapped_column(sa.Text)
    author: Mapped[str]
    created_at: Mapped[str]


class OutcomeRow(Base):
    """A full-scale result. No foreign key: it cost more than the study that it checks, and outlives it."""

    __tablename__ = "outcomes"
    study: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    curriculum: Mapped[Curriculum] = mapped_column(Document(Curriculum))
    seeds: Mapped[int]
    manifest: Mapped[str]
    note: Mapped[str] = mapped_column(sa.Text)
    created_at: Mapped[str]


class OutcomeScoreRow(Base):
    """One score of a full-scale result."""

    __tablename__ = "outcome_scores"
    __table_args__ = (sa.ForeignKeyConstraint(["study", "outcome"], ["outcomes.study", "outcomes.name"], ondelete="CASCADE"),)
    study: Mapped[str] = mapped_column(primary_key=True)
    outcome: Mapped[str] = mapped_column(primary_key=True)
    level: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    value: Mapped[float] = mapped_column(Real, nullable=True)
    stderr: Mapped[float] = mapped_column(Real, nullable=True)


class FidelityRow(Base):
    """How well a study's proxy agrees with its full-scale results, kept for the pages; `digest` says from what it was computed."""

    __tablename__ = "fidelities"
    study: Mapped[str] = _study_key(primary_key=True)
    digest: Mapped[str]
    json: Mapped[str] = mapped_column(sa.Text)
