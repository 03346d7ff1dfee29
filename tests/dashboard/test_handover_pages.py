"""Notes, Compare and Export on an empty store and on a filled one."""

import contextlib
import io
import shutil
import sqlite3
import zipfile

import pytest
from filled_workspace import HOSTILE, MARKDOWN, SCRIPT
from more_decisions import OLD, another_manifest, keep, keep_exportable
from page_text import shown

from dashboard import export_trial
from dashboard.export_trial import TrialRefusedError, try_export
from db.store import Store
from probe.manifest import diff_manifests, write_manifest
from probe.workspace import Workspace


@pytest.fixture
def two_decisions(filled, tmp_path):
    root = tmp_path / "two"
    shutil.copytree(filled, root)
    keep(root, another_manifest(), "2026-07-02T12:00:00Z")
    return root


@pytest.mark.parametrize("study", ["main", "fresh"])
def test_compare_with_fewer_than_two_decisions_names_the_command_that_makes_one(open_page, filled, study):
    app = open_page(filled, "compare", study=study)
    assert not app.exception
    assert f"probe optimize --study {study}" in shown(app)
    assert "one decision so far" in shown(app)


def test_compare_without_a_study_names_the_command_that_starts_one(open_page, tmp_path):
    assert "probe run --source" in shown(open_page(tmp_path, "compare"))


def test_compare_shows_what_probe_manifest_diff_says_and_nothing_else(open_page, two_decisions):
    app = open_page(two_decisions, "compare", study="main")
    assert not app.exception
    new = another_manifest()
    assert app.query_params["a"] in (OLD.hash, [OLD.hash])
    assert app.query_params["b"] in (new.hash, [new.hash])
    tables = [element.value for element in app.dataframe]
    shares, sections = tables[0], tables[1:]
    assert dict(zip(shares["source"], shares["b"].round(3), strict=True))[HOSTILE] == round(120 / 1920, 3)
    assert shares["change"].sum() == pytest.approx(0)
    found = diff_manifests(OLD, new).differences
    assert sum(map(len, sections)) == len(found)
    said = shown(app)
    assert f"probe manifest diff {OLD.hash[:12]} {new.hash[:12]}" in said
    assert HOSTILE in [element.value for element in app.text]
    assert not any("<script" in element.value for element in [*app.markdown, *app.caption, *app.subheader])


def test_compare_follows_its_link_and_says_when_both_are_the_same(open_page, two_decisions):
    app = open_page(two_decisions, "compare", study="main", a=OLD.hash, b=OLD.hash)
    assert "the same decision" in next(element.value for element in app.success)
    assert not app.dataframe
    app.selectbox(key="choice-b").select(another_manifest().hash).run()
    assert app.dataframe
    assert app.query_params["b"] in (another_manifest().hash, [another_manifest().hash])


def test_compare_knows_files_that_the_store_does_not(open_page, filled, tmp_path):
    root = tmp_path / "files"
    shutil.copytree(filled, root)
    write_manifest(another_manifest("theirs"), root / "manifests")
    (root / "manifests/broken.json").write_text("{")
    (root / "manifests/link.json").symlink_to(root / "manifests/broken.json")
    app = open_page(root, "compare", study="main")
    assert not app.exception
    assert app.query_params["a"] in (another_manifest("theirs").hash, [another_manifest("theirs").hash])
    assert app.dataframe


def test_the_overview_shows_who_decided_what_and_why_as_text(open_page, filled, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(filled, root)
    assert "probe studies note main" in shown(open_page(root, "overview", study="main"))
    with Store.open(root / "probe.db") as store:
        store.add_note("main", f"take it: {MARKDOWN}", SCRIPT)
    app = open_page(root, "overview", study="main")
    told = [element.value for element in app.text]
    assert f"take it: {MARKDOWN}" in told
    assert any(text.startswith(SCRIPT) for text in told)
    assert not any(SCRIPT in element.value for element in [*app.markdown, *app.caption])
    assert "take it" not in shown(open_page(root, "overview", study="adding"))


@pytest.fixture(scope="module")
def exportable(filled, tmp_path_factory):
    root = tmp_path_factory.mktemp("exportable") / "ws"
    shutil.copytree(filled, root)
    return root, keep_exportable(root)


def tree(root):
    """Every file of a workspace but SQLite's shared memory."""
    return {file: file.read_bytes() for file in root.rglob("*") if file.is_file() and not file.name.endswith(("-shm", "-wal"))}


def test_export_without_a_decision_names_the_command_that_makes_one(open_page, filled, tmp_path):
    assert "probe run --source" in shown(open_page(tmp_path, "export"))
    root = tmp_path / "undecided"
    shutil.copytree(filled, root)
    with contextlib.closing(sqlite3.connect(root / "probe.db")) as connection, connection:
        connection.execute("DELETE FROM manifests")
    assert "probe optimize --study main" in shown(open_page(root, "export", study="main"))


def test_export_tries_what_the_command_writes_and_leaves_the_store_alone(open_page, exportable):
    root, doc = exportable
    app = open_page(root, "export", study="main", manifest=doc.hash, trainer="llamafactory")
    assert not app.exception
    asked = app.dataframe[0].value
    assert dict(zip(asked["source"], asked["rows"], strict=True)) == doc.rows()
    before = tree(root)
    app.button[0].click().run(timeout=120)
    assert not app.exception
    assert not app.error
    shares, files = (element.value for element in app.dataframe)
    assert (shares["off by"].abs() <= 0.005).all()
    assert dict(zip(shares["source"], shares["rows"], strict=True)) == doc.rows()
    assert {"dataset_info.json", "manifest.json", "MIXTURE.md", "train-phase-1.yaml", "train-phase-2.yaml"} <= set(files["file"])
    assert set(files["in the download"]) == {"yes"}
    said = shown(app)
    assert "llamafactory-cli train train-phase-1.yaml" in said
    assert f"probe export {doc.hash[:12]} --trainer llamafactory --mode exact --out train" in said
    assert {file: data for file, data in tree(root).items() if "indexes" not in file.parts} == {
        file: data for file, data in before.items() if "indexes" not in file.parts
    }


def test_export_shows_the_refusal_with_its_cure(open_page, filled):
    app = open_page(filled, "export", study="main")
    app.button[0].click().run(timeout=120)
    assert not app.exception
    assert "is refused" in app.error[0].value
    assert "is not what the manifest was decided on (its fingerprint is another)" in shown(app)


def test_export_keeps_its_choices_in_the_link(open_page, exportable):
    root, _doc = exportable
    app = open_page(root, "export", study="main", manifest=OLD.hash, trainer="jsonl", mode="once")
    assert app.selectbox(key="choice-trainer").value == "jsonl"
    assert app.selectbox(key="choice-mode").value == "once"
    app.selectbox(key="choice-trainer").select("llamafactory").run()
    assert app.query_params["trainer"] in ("llamafactory", ["llamafactory"])


def test_a_trial_is_bounded_and_big_files_stay_out_of_the_download(exportable, monkeypatch):
    root, doc = exportable
    place = Workspace(root)
    monkeypatch.setattr(export_trial, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(export_trial, "SMALL_BYTES", 4000)
    trial = try_export(place, doc.hash, "jsonl", "exact")
    inside = {file.name for file in trial.files if file.inside}
    with zipfile.ZipFile(io.BytesIO(trial.archive)) as archive:
        assert set(archive.namelist()) == inside
    assert not trial.whole
    assert [file.inside for file in trial.files if file.name.startswith("images/")] == [False]
    monkeypatch.setattr(export_trial, "MOST_SECONDS", 0.0)
    with pytest.raises(TrialRefusedError, match="run the command on the machine"):
        try_export(place, doc.hash, "jsonl", "exact")
    with export_trial._ONE_AT_A_TIME, pytest.raises(TrialRefusedError, match="Another export is being tried"):
        try_export(place, doc.hash, "jsonl", "exact")
