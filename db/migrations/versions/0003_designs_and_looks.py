"""All seven designs; studies may be decided at several looks, and pairs be shown to be the same. Those from before are decided once."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BEFORE = ("solo", "add-one", "swarm")
AFTER = ("solo", "add-one", "leave-one-out", "halving", "ladder", "swarm", "phases")


def upgrade() -> None:
    op.add_column("studies", sa.Column("looks", sa.JSON(), server_default="[]", nullable=False))
    op.add_column("pairs", sa.Column("same", sa.Boolean(), server_default=sa.false(), nullable=False))
    _allow_designs(BEFORE, AFTER)


def downgrade() -> None:
    _allow_designs(AFTER, BEFORE)
    op.drop_column("pairs", "same")
    op.drop_column("studies", "looks")


def _allow_designs(before: tuple[str, ...], after: tuple[str, ...]) -> None:
    with op.batch_alter_table("arms") as arms:
        arms.alter_column("design", existing_type=_design(before), type_=_design(after), existing_nullable=True)


def _design(names: tuple[str, ...]) -> sa.Enum:
    return sa.Enum(*names, name="design", native_enum=False, create_constraint=True, length=32)
