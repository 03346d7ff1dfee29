"""Bringing a store to this version's schema. Alembic is imported only when there is something to do."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from db.engine import lock_migrations, rebuilding
from db.errors import StoreError

HEAD = "0006"  # the newest script in migrations/versions; a test holds it there


def upgrade(engine: sa.Engine) -> None:
    """Run the migrations that are missing, in one transaction that other processes wait for.

    Raises:
        StoreError: the store is of a newer version.
    """
    if schema_version(engine) == HEAD:
        return
    with rebuilding(engine) as connection:
        lock_migrations(connection)
        if _version(connection) != HEAD:
            _run_migrations(connection)


def check_version(engine: sa.Engine) -> None:
    """Refuse a store of another version: one that is opened for reading cannot be brought up to date.

    Raises:
        StoreError: it is older or newer.
    """
    version = schema_version(engine)
    if version != HEAD:
        raise StoreError(
            f"the store's schema is {version or 'empty'} and this version reads {HEAD}: run `probe status`, which brings an older one "
            "up to date, or upgrade vlm-source-probe for a newer one"
        )


def schema_version(engine: sa.Engine) -> str | None:
    """Return the store's schema version; None where nothing is there yet."""
    with engine.connect() as connection:
        return _version(connection)


def _version(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return version


def _run_migrations(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    version = _version(connection)
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreError(
            f"the store's schema {version} is unknown to this version, which knows up to {HEAD}: "
            "upgrade vlm-source-probe, or take another --workspace or --db"
        ) from error
