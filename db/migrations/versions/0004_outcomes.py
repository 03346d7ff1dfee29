"""Full-scale results, and how well a study's proxy agrees with them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "outcomes",
        sa.Column("study", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("curriculum", sa.JSON(), nullable=False),
        sa.Column("seeds", sa.Integer(), nullable=False),
        sa.Column("manifest", sa.String(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("study", "name", name=op.f("pk_outcomes")),
    )
    op.create_table(
        "outcome_scores",
        sa.Column("study", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("level", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("stderr", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["study", "outcome"],
            ["outcomes.study", "outcomes.name"],
            name=op.f("fk_outcome_scores_study_outcome_outcomes"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("study", "outcome", "level", "name", name=op.f("pk_outcome_scores")),
    )
    op.create_table(
        "fidelities",
        sa.Column("study", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("json", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["study"], ["studies.name"], name=op.f("fk_fidelities_study_studies"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("study", name=op.f("pk_fidelities")),
    )


def downgrade() -> None:
    op.drop_table("fidelities")
    op.drop_table("outcome_scores")
    op.drop_table("outcomes")
