"""The database under test: a SQLite file, and a schema of its own on PostgreSQL.

The server is the one that PROBE_TEST_PG_URL names, else one of the tests' own, one a session.
"""

import os
import uuid

import pytest
import sqlalchemy as sa

from db.engine import open_engine
from db.store import Store
from tests.postgres_server import NoServerError, postgres_server


@pytest.fixture(scope="session")
def postgres():
    """The URL of a PostgreSQL server."""
    if named := os.environ.get("PROBE_TEST_PG_URL"):
        yield named
        return
    try:
        with postgres_server() as url:
            yield url
    except NoServerError as error:
        pytest.skip(str(error))


@pytest.fixture
def postgres_url(postgres):
    """A schema of its own on PostgreSQL."""
    yield from _schema_of_its_own(postgres)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'probe.db'}"
    return request.getfixturevalue("postgres_url")


def _schema_of_its_own(server):
    name = f"probe_test_{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(server)
    with admin.begin() as connection:
        connection.execute(sa.schema.CreateSchema(name))
    yield admin.url.update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(hide_password=False)
    with admin.begin() as connection:
        connection.execute(sa.schema.DropSchema(name, cascade=True))
    admin.dispose()


@pytest.fixture
def engine(url):
    opened = open_engine(url)
    yield opened
    opened.dispose()


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(url, clock):
    with Store.open(url, clock=clock) as opened:
        yield opened
