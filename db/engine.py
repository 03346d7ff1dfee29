"""Opening a database: everything that differs between SQLite and PostgreSQL is here."""

from __future__ import annotations

import functools
import sqlite3
import threading
import time
import urllib.parse
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from db.errors import StoreError
from db.mounts import network_file_system

BUSY_TIMEOUT_S = 30
_LOCK = threading.Lock()
_READERS: weakref.WeakKeyDictionary[sa.Engine, int] = weakref.WeakKeyDictionary()  # how many use an engine that they share
_MIGRATION_LOCK = 0x70726F6265  # "probe"; any number that no other program takes on this database


def open_engine(url: str | sa.URL, read_only: bool = False) -> sa.Engine:
    """Return an engine on `sqlite:///FILE` or `postgresql+psycopg://...`; nothing is created or migrated yet.

    Readers of one process share an engine a database, which keeps the queries that it has compiled; `close_engine` ends each.

    Raises:
        StoreError: the URL is of another kind, its driver is missing, the file is absent (read-only), or it lies on a network file system.
    """
    parsed = _parse(url)
    backend = parsed.get_backend_name()
    if backend not in _MAKERS:
        raise StoreError(f"the store does not run on {backend}: give --db a sqlite:///FILE or postgresql+psycopg:// URL")
    if backend == "sqlite":
        parsed = parsed.set(database=str(_checked_file(parsed, read_only)))
    if not read_only:
        return _MAKERS[backend](parsed, False)
    with _LOCK:
        engine = _reader(parsed)
        _READERS[engine] = _READERS.get(engine, 0) + 1
    return engine


def close_engine(engine: sa.Engine) -> None:
    """Close an engine's connections; those of an engine that readers share when the last of them is done."""
    with _LOCK:
        _READERS[engine] = left = _READERS.get(engine, 1) - 1
        if not left:
            engine.dispose()


@functools.lru_cache(maxsize=16)
def _reader(url: sa.URL) -> sa.Engine:
    return _MAKERS[url.get_backend_name()](url, True)


def writing(engine: sa.Engine) -> sa.Engine:
    """Return the engine whose transactions take the write lock at once, so that a reader never has to become a writer."""
    return engine.execution_options(probe_begin="BEGIN IMMEDIATE")


@contextmanager
def rebuilding(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Give a writing transaction in which tables may be made anew under their old names.

    SQLite changes a constraint only so, and dropping the old table would take along all rows elsewhere that refer to it: references are
    therefore off meanwhile, and checked before the transaction ends.
    """
    with writing(engine).connect() as connection:
        sqlite_connection = connection.connection.driver_connection if engine.dialect.name == "sqlite" else None
        if sqlite_connection is not None:
            sqlite_connection.execute("PRAGMA foreign_keys = OFF")  # outside of any transaction, where alone it has an effect
        try:
            with connection.begin():
                yield connection
                if sqlite_connection is not None and (broken := connection.exec_driver_sql("PRAGMA foreign_key_check").first()):
                    raise StoreError(f"the store was not brought up to date: table {broken[0]} refers to rows that are missing")
        finally:
            if sqlite_connection is not None:
                sqlite_connection.execute("PRAGMA foreign_keys = ON")


def reading(engine: sa.Engine) -> sa.Engine:
    """Return the engine whose transactions see one snapshot."""
    if engine.dialect.name == "postgresql":
        return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return engine


def clock_of(engine: sa.Engine) -> Callable[[], float]:
    """Return the clock that leases go by, in epoch seconds: this machine's, or that of the server that several machines share."""
    if engine.dialect.name != "postgresql":
        return time.time
    with engine.connect() as connection:
        before = time.time()
        server = float(connection.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
        ahead = server - (before + time.time()) / 2
    return lambda: time.time() + ahead


def insert_new(connection: sa.Connection, table: Any) -> Any:
    """Return an insert that leaves rows alone whose key exists already."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


def lock_migrations(connection: sa.Connection) -> None:
    """Let one process at a time migrate; SQLite's immediate transaction does so already."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))


def _parse(url: str | sa.URL) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise StoreError("that is no database URL: give --db a sqlite:///FILE or postgresql+psycopg:// URL") from error
    if parsed.drivername in ("postgres", "postgresql"):
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


def _open_postgresql(url: sa.URL, read_only: bool) -> sa.Engine:
    try:
        return sa.create_engine(url, pool_pre_ping=True, execution_options={"postgresql_readonly": read_only})
    except ModuleNotFoundError as error:
        raise StoreError("PostgreSQL needs a driver that is not installed: pip install 'vlm-source-probe[postgres]'") from error


def _checked_file(url: sa.URL, read_only: bool) -> Path:
    if not url.database or url.database == ":memory:":
        raise StoreError("the store must outlive its process: give --db a sqlite:///FILE or postgresql+psycopg:// URL")
    path = Path(url.database).expanduser().absolute()
    _check_place(path, read_only)
    return path


def _open_sqlite(url: sa.URL, read_only: bool) -> sa.Engine:
    path = url.database or ""

    def connect() -> sqlite3.Connection:
        mode = "ro" if read_only else "rwc"
        uri = f"file:{urllib.parse.quote(path)}?mode={mode}"
        # isolation_level None: the driver begins nothing by itself, `_begin` does.
        return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False, isolation_level=None)

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=QueuePool)
    sa.event.listen(engine, "connect", _query_only if read_only else _write_ahead)
    sa.event.listen(engine, "begin", _begin)
    return engine


_MAKERS = {"sqlite": _open_sqlite, "postgresql": _open_postgresql}


def _check_place(path: Path, read_only: bool) -> None:
    if read_only and not path.exists():
        raise StoreError(f"there is no store at {path}: run a command that fills it first, such as `probe run`")
    kind = network_file_system(path)
    if kind:
        raise StoreError(
            f"{path} lies on a network file system ({kind}), where SQLite loses data: "
            "take a --workspace on a local disk, or --db postgresql+psycopg://..."
        )
    if not read_only:
        _make_folder(path.parent)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the folder {folder} cannot be made ({error.strerror}): take another --workspace") from error


def _write_ahead(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _query_only(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA query_only = ON")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("probe_begin", "BEGIN"))
