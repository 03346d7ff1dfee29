"""Studies say which benchmarks' items they do not train on; those from before train on all rows, as they did."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("studies", sa.Column("clean_of", sa.JSON(), server_default="[]", nullable=False))


def downgrade() -> None:
    op.drop_column("studies", "clean_of")
