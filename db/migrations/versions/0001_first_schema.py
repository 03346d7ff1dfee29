"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "benchmarks",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("capability", sa.String(), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("n_items", sa.Integer(), nullable=False),
        sa.Column("groups", sa.LargeBinary(), nullable=False),
        sa.Column("splits", sa.LargeBinary(), nullable=False),
        sa.Column("chance", sa.Double(), nullable=True),
        sa.Column("added_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_benchmarks")),
    )
    op.create_index(op.f("ix_benchmarks_fingerprint"), "benchmarks", ["fingerprint"], unique=False)
    op.create_table(
        "manifests",
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("study", sa.String(), nullable=False),
        sa.Column("json", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_manifests")),
    )
    op.create_index(op.f("ix_manifests_study"), "manifests", ["study"], unique=False)
    op.create_table(
        "sources",
        sa.Column("slug", sa.String(), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("usable", sa.Integer(), nullable=False),
        sa.Column("excluded", sa.JSON(), nullable=False),
        sa.Column("content", sa.String(), nullable=False),
        sa.Column("added_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("slug", name=op.f("pk_sources")),
    )
    op.create_table(
        "studies",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("proxy", sa.JSON(), nullable=False),
        sa.Column("recipe", sa.JSON(), nullable=False),
        sa.Column("base", sa.JSON(), nullable=False),
        sa.Column("base_given", sa.Boolean(), nullable=False),
        sa.Column(
            "budget_unit",
            sa.Enum("tokens", "samples", name="budget_unit", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("budget", sa.BigInteger(), nullable=False),
        sa.Column("add_share", sa.Double(), nullable=True),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_studies")),
    )
    op.create_table(
        "trainings",
        sa.Column("training_id", sa.String(), nullable=False),
        sa.Column(
            "state",
            sa.Enum("waiting", "running", "done", "failed", name="state", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("study", sa.String(), nullable=False),
        sa.Column("arm", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("lease_expires", sa.Double(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("deaths", sa.Integer(), nullable=False),
        sa.Column("adapter_done", sa.Boolean(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("cost", sa.JSON(), nullable=False),
        sa.Column("cpu_s", sa.Double(), nullable=True),
        sa.Column("wall_s", sa.Double(), nullable=True),
        sa.Column("losses", sa.LargeBinary(), nullable=True),
        sa.Column("started_at", sa.String(), nullable=False),
        sa.Column("finished_at", sa.String(), nullable=False),
        sa.Column("commit_hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("training_id", name=op.f("pk_trainings")),
    )
    op.create_table(
        "arms",
        sa.Column("study", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column(
            "role",
            sa.Enum("untrained", "base", "source", "mixture", "confirm", name="role", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column(
            "design",
            sa.Enum("solo", "add-one", "swarm", name="design", native_enum=False, create_constraint=True, length=32),
            nullable=True,
        ),
        sa.Column("curriculum", sa.JSON(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["study"], ["studies.name"], name=op.f("fk_arms_study_studies"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("study", "name", name=op.f("pk_arms")),
    )
    op.create_table(
        "evaluations",
        sa.Column("training_id", sa.String(), nullable=False),
        sa.Column("evaluation_id", sa.String(), nullable=False),
        sa.Column("benchmark", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column(
            "state",
            sa.Enum("waiting", "running", "done", "failed", name="state", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("n_items", sa.Integer(), nullable=False),
        sa.Column("unscored", sa.LargeBinary(), nullable=True),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("finished_at", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["training_id"], ["trainings.training_id"], name=op.f("fk_evaluations_training_id_trainings"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("training_id", "evaluation_id", name=op.f("pk_evaluations")),
    )
    op.create_index(op.f("ix_evaluations_evaluation_id"), "evaluations", ["evaluation_id"], unique=False)
    op.create_index("ix_evaluations_training_id_state", "evaluations", ["training_id", "state"], unique=False)
    op.create_table(
        "notes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study", sa.String(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["study"], ["studies.name"], name=op.f("fk_notes_study_studies"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notes")),
    )
    op.create_index(op.f("ix_notes_study"), "notes", ["study"], unique=False)
    op.create_table(
        "rankings",
        sa.Column("study", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("proxy", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("level", sa.Double(), nullable=True),
        sa.Column("noise_floor", sa.Double(), nullable=True),
        sa.Column("minimum_detectable_effect", sa.Double(), nullable=True),
        sa.Column("illustration_only", sa.Boolean(), nullable=False),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["study"], ["studies.name"], name=op.f("fk_rankings_study_studies"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("study", "revision", name=op.f("pk_rankings")),
    )
    op.create_table(
        "study_benchmarks",
        sa.Column("study", sa.String(), nullable=False),
        sa.Column("benchmark", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["benchmark"], ["benchmarks.name"], name=op.f("fk_study_benchmarks_benchmark_benchmarks"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(["study"], ["studies.name"], name=op.f("fk_study_benchmarks_study_studies"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("study", "benchmark", name=op.f("pk_study_benchmarks")),
    )
    op.create_index(op.f("ix_study_benchmarks_benchmark"), "study_benchmarks", ["benchmark"], unique=False)
    op.create_table(
        "arm_sources",
        sa.Column("study", sa.String(), nullable=False),
        sa.Column("arm", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["study", "arm"], ["arms.study", "arms.name"], name=op.f("fk_arm_sources_study_arm_arms"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("study", "arm", "source", name=op.f("pk_arm_sources")),
    )
    op.create_index(op.f("ix_arm_sources_source"), "arm_sources", ["source"], unique=False)
    op.create_table(
        "effects",
        sa.Column("study", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("arm", sa.String(), nullable=False),
        sa.Column(
            "role",
            sa.Enum("untrained", "base", "source", "mixture", "confirm", name="role", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("level", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("stderr", sa.Double(), nullable=True),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("accuracy", sa.Double(), nullable=True),
        sa.Column("tier", sa.Integer(), nullable=True),
        sa.Column(
            "verdict",
            sa.Enum("helps", "hurts", "neutral", "undecided", name="verdict", native_enum=False, create_constraint=True, length=32),
            nullable=True,
        ),
        sa.Column("verdict_from", sa.String(), nullable=False),
        sa.Column("seeds_to_decide", sa.Integer(), nullable=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["study", "revision"],
            ["rankings.study", "rankings.revision"],
            name=op.f("fk_effects_study_revision_rankings"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("study", "revision", "position", name=op.f("pk_effects")),
    )
    op.create_table(
        "item_scores",
        sa.Column("training_id", sa.String(), nullable=False),
        sa.Column("evaluation_id", sa.String(), nullable=False),
        sa.Column("scores", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["training_id", "evaluation_id"],
            ["evaluations.training_id", "evaluations.evaluation_id"],
            name=op.f("fk_item_scores_training_id_evaluation_id_evaluations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("training_id", "evaluation_id", name=op.f("pk_item_scores")),
    )
    op.create_table(
        "pairs",
        sa.Column("study", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("level", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("a", sa.String(), nullable=False),
        sa.Column("b", sa.String(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("stderr", sa.Double(), nullable=True),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("decided", sa.Boolean(), nullable=False),
        sa.Column("a_source", sa.String(), nullable=False),
        sa.Column("b_source", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["study", "revision"],
            ["rankings.study", "rankings.revision"],
            name=op.f("fk_pairs_study_revision_rankings"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("study", "revision", "position", name=op.f("pk_pairs")),
    )
    op.create_table(
        "probes",
        sa.Column("study", sa.String(), nullable=False),
        sa.Column("arm", sa.String(), nullable=False),
        sa.Column("repeat", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("training_id", sa.String(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("overlap", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["study", "arm"], ["arms.study", "arms.name"], name=op.f("fk_probes_study_arm_arms"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["training_id"], ["trainings.training_id"], name=op.f("fk_probes_training_id_trainings"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("study", "arm", "repeat", name=op.f("pk_probes")),
    )
    op.create_index("ix_probes_study_position", "probes", ["study", "position"], unique=False)
    op.create_index(op.f("ix_probes_training_id"), "probes", ["training_id"], unique=False)
    op.create_table(
        "score_means",
        sa.Column("training_id", sa.String(), nullable=False),
        sa.Column("evaluation_id", sa.String(), nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column(
            "split",
            sa.Enum("selection", "confirmation", name="split", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("mean", sa.Double(), nullable=True),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["training_id", "evaluation_id"],
            ["evaluations.training_id", "evaluations.evaluation_id"],
            name=op.f("fk_score_means_training_id_evaluation_id_evaluations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("training_id", "evaluation_id", "metric", "split", name=op.f("pk_score_means")),
    )


def downgrade() -> None:
    for table in (
        "score_means",
        "probes",
        "pairs",
        "item_scores",
        "effects",
        "arm_sources",
        "study_benchmarks",
        "rankings",
        "notes",
        "evaluations",
        "arms",
        "trainings",
        "studies",
        "sources",
        "manifests",
        "benchmarks",
    ):
        op.drop_table(table)
