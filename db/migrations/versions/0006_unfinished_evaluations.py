"""Evaluations are found by their state: few of a large study's wait or failed."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_evaluations_state_training_id", "evaluations", ["state", "training_id"])
    op.drop_index("ix_evaluations_training_id_state", "evaluations")


def downgrade() -> None:
    op.create_index("ix_evaluations_training_id_state", "evaluations", ["training_id", "state"])
    op.drop_index("ix_evaluations_state_training_id", "evaluations")
