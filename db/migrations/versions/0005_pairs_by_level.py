"""Pairs are found by their level: pages show one level's, and many sources have a million over all."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_pairs_study_level_name", "pairs", ["study", "level", "name"])


def downgrade() -> None:
    op.drop_index("ix_pairs_study_level_name", "pairs")
