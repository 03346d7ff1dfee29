"""How a store is opened: migrations, versions, read-only, places that SQLite cannot live in."""

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from store_values import a_source, fill, finish_all

from db import engine as engines
from db.errors import StoreError
from db.mounts import file_system, network_file_system
from db.schema import Base
from db.store import Store
from db.upgrade import HEAD, schema_version
from db.values import Arm, ArmRole, Design
from proxy_training.jobs import METRICS
from sources.mixture import Curriculum, Mixture


def test_the_migrated_schema_equals_the_models(engine, store):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": default_differs})
        assert compare_metadata(context, Base.metadata) == []


def default_differs(context, found, column, there, _ours, rendered):
    """PostgreSQL cannot compare JSON, so the texts are; None leaves the rest to Alembic."""
    if not isinstance(found.type, sa.JSON):
        return None
    return text_of(there) != text_of(rendered)


def text_of(default):
    return (default or "").partition("::")[0].strip("'")


def test_the_migrated_schema_has_the_models_check_constraints(engine, store):
    with engine.connect() as connection:
        found = sa.inspect(connection)
        for table in Base.metadata.tables.values():
            ours = {str(check.name) for check in table.constraints if isinstance(check, sa.CheckConstraint)}
            assert {check["name"] for check in found.get_check_constraints(table.name)} == ours
            rules = {(key["constrained_columns"][0], key["options"].get("ondelete")) for key in found.get_foreign_keys(table.name)}
            assert rules == {(key.column_keys[0], key.ondelete) for key in table.foreign_key_constraints}


def test_the_head_is_the_newest_migration():
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(engines.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_states_outside_the_enum_are_refused_by_the_database(engine, store):
    fill(store)
    with pytest.raises(sa.exc.IntegrityError), engines.writing(engine).begin() as connection:
        connection.execute(sa.text("UPDATE trainings SET state = 'odd'"))


def test_a_store_of_a_newer_version_is_refused(url, engine, store):
    with engines.writing(engine).begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match=f"9999 is unknown to this version, which knows up to {HEAD}: upgrade vlm-source-probe"):
        Store.open(url)
    with pytest.raises(StoreError, match=f"schema is 9999 and this version reads {HEAD}"):
        Store.open(url, read_only=True)


def earlier_versions():
    return [f"{number:04d}" for number in range(1, int(HEAD))]


@pytest.mark.parametrize("version", earlier_versions())
def test_an_older_store_keeps_every_row_and_then_takes_every_design(url, engine, store, version):
    fill(store)
    finish_all(store)
    before = everything(engine)
    to_version(engine, version)
    assert schema_version(engine) == version
    with Store.open(url) as upgraded:
        after = everything(engine)
        assert {name: rows for name, rows in after.items() if name != "alembic_version"} == {
            name: rows for name, rows in before.items() if name != "alembic_version"
        }
        study = upgraded.studies()[0].name
        for design in Design:
            upgraded.add_arms(study, [Arm(f"new {design.value}", ArmRole.SOURCE, design, Curriculum.static(Mixture.single("a")), "a")])
        assert {arm.design for arm in upgraded.arms(study)} >= set(Design)
        with pytest.raises(sa.exc.IntegrityError), engines.writing(engine).begin() as connection:
            connection.execute(sa.text("UPDATE arms SET design = 'odd'"))
        with pytest.raises(sa.exc.IntegrityError), engines.writing(engine).begin() as connection:
            connection.execute(sa.text("INSERT INTO arm_sources (study, arm, source) VALUES ('nobody', 'none', 's')"))


def everything(engine):
    with engine.connect() as connection:
        return {name: sorted(map(repr, connection.execute(sa.select(table)).all())) for name, table in Base.metadata.tables.items()}


def to_version(engine, version):
    """Take a store back to an older schema."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(engines.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    with engines.rebuilding(engine) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, version)


def test_opening_a_store_again_imports_no_alembic(url, store):
    look = "sys.exit('alembic' in sys.modules or 'torch' in sys.modules)"
    code = f"import sys; from db.store import Store; Store.open({url!r}).close(); {look}"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        Store.open(tmp_path / "file" / "probe.db")


def test_a_read_only_store_reads_and_refuses_to_write(url, store):
    fill(store)
    finish_all(store)
    with Store.open(url, read_only=True) as reader:
        assert reader.progress("main").done == 4
        assert reader.scores("main", "colour").values.shape == (len(METRICS), 2, 2, 6)
        with pytest.raises(StoreError, match="for reading only"):
            reader.put_source(a_source())
        with pytest.raises(StoreError, match=r"read.?only"), reader._read() as connection:  # not even past the Store
            connection.execute(sa.text("DELETE FROM notes"))


def test_a_reader_sees_what_a_writer_finishes_and_never_waits_for_it(url, store):
    fill(store)
    with Store.open(url, read_only=True) as reader:
        with store._write() as connection:
            connection.execute(sa.text("UPDATE trainings SET state = 'done'"))
            assert reader.progress("main").waiting == 4
        finish_all(store)
        assert reader.progress("main").done == 4


def test_readers_that_close_leave_other_readers_and_no_connection(url, store):
    fill(store)
    reader = Store.open(url, read_only=True)
    with Store.open(url, read_only=True) as other, other._read() as connection:
        reader.close()
        assert connection.execute(sa.text("SELECT count(*) FROM probes")).scalar() == 4
    assert other._engine.pool.checkedin() == other._engine.pool.checkedout() == 0


def test_a_file_that_takes_the_place_of_a_store_is_what_is_read(tmp_path):
    for name, slug in (("probe.db", "old"), ("other.db", "new")):
        with Store.open(tmp_path / name) as store:
            store.put_source(a_source(slug))

    def slugs():
        with Store.open(tmp_path / "probe.db", read_only=True) as store:
            return [record.spec.slug for record in store.sources()]

    assert slugs() == ["old"]
    (tmp_path / "other.db").rename(tmp_path / "probe.db")
    assert slugs() == ["new"]


def test_threads_share_one_store(store):
    fill(store, arms=tuple("abcdefgh"), repeats=2)
    claims = []
    threads = [threading.Thread(target=lambda: claims.extend(finish_all(store))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({claim.training_id for claim in claims}) == len(claims) == 16


def test_a_missing_store_cannot_be_opened_for_reading(tmp_path):
    with pytest.raises(StoreError, match=r"there is no store at .*run a command that fills it first"):
        Store.open(tmp_path / "probe.db", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_database_cannot_be_opened_for_reading(tmp_path):
    sqlite3.connect(tmp_path / "probe.db").close()
    with pytest.raises(StoreError, match="schema is empty"):
        Store.open(tmp_path / "probe.db", read_only=True)


def test_a_path_is_a_store_in_write_ahead_mode_with_foreign_keys(tmp_path):
    path = tmp_path / "new folder" / "50% probe?.db"
    with Store.open(path) as store, store._read() as connection:
        pragmas = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "foreign_keys", "synchronous")]
        assert pragmas == ["wal", 1, 1]
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000
    assert path.exists()
    with Store.open(path, read_only=True) as store:
        assert store.studies() == ()


def test_a_file_that_is_no_database_is_one_sentence(tmp_path):
    path = tmp_path / "probe.db"
    path.write_text("not a database, but long enough to look at" * 100)
    with pytest.raises(StoreError, match=r"cannot be read .*take another --db"):
        Store.open(path)


@pytest.mark.parametrize("url", ["mysql://host/db", "sqlite://", "sqlite:///:memory:", "://"])
def test_other_urls_are_one_sentence(url):
    with pytest.raises(StoreError, match="give --db a sqlite:///FILE or postgresql"):
        Store.open(url)


def test_a_missing_driver_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"pip install 'vlm-source-probe\[postgres\]'"):
        Store.open("postgres://localhost/none")


MOUNTS = """/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb1 /home/me/local\\040disk xfs rw 0 0
overlay /over nfs rw 0 0
overlay /over tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/data/x", "ext4"), ("/home/you/x", "nfs4"), ("/home/me/local disk/x", "xfs"), ("/homeless", "ext4"), ("/over/x", "tmpfs")],
)
def test_the_deepest_and_latest_mount_counts(path, kind):
    assert file_system(Path(path), MOUNTS) == kind


def test_network_file_systems_are_refused_with_the_cure(tmp_path, monkeypatch):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/x {tmp_path} nfs4 rw 0 0\n")
    assert network_file_system(tmp_path / "deep" / "probe.db", mounts) == "nfs4"
    assert network_file_system(tmp_path, tmp_path / "absent") == ""
    monkeypatch.setattr(engines, "network_file_system", lambda path: network_file_system(path, mounts))
    with pytest.raises(StoreError, match=r"network file system \(nfs4\).*--workspace on a local disk, or --db postgresql"):
        Store.open(tmp_path / "deep" / "probe.db")
    assert not (tmp_path / "deep").exists()
