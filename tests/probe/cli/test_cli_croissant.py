"""Croissant beside a materialised export, read by MLCommons' own library."""

import hashlib
import json

import pytest

from probe.manifest import write_manifest
from probe.manifest.example import example_manifest
from probe.workspace import Workspace
from sources.images import IMAGE_POLICY


@pytest.fixture
def exported(probe, mine, tmp_path):
    """Twenty rows of `mine`, materialised."""
    with Workspace(tmp_path / ".probe").open_store() as store:
        record = store.source(mine)
    doc = example_manifest(({mine: 20},), {mine: record.usable}, {mine: record.fingerprint}, image_policy=IMAGE_POLICY)
    ended = probe("export", write_manifest(doc, tmp_path), "--trainer", "jsonl", "--out", "out")
    assert ended.code == 0, ended.err
    assert "croissant.json" in ended.out
    return tmp_path / "out", doc


def test_it_names_every_file_by_its_hash_and_every_source_without_its_place(exported, tmp_path):
    folder, doc = exported
    text = (folder / "croissant.json").read_text()
    found = json.loads(text)
    files = {entry["@id"]: entry["sha256"] for entry in found["distribution"] if entry["@type"] == "cr:FileObject"}
    assert files == {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files}
    assert set(files) == {"phase-1.jsonl", "README.md", "MIXTURE.md", "manifest.json"}
    assert [entry["name"] for entry in found["prov:wasDerivedFrom"]] == ["mine"]
    assert found["license"] == doc.licences.expression
    assert str(tmp_path) not in text


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning", "ignore::SyntaxWarning")
def test_mlcroissant_accepts_it_and_reads_its_rows(exported):
    mlc = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed (pip install -e '.[dev]')")
    folder, _ = exported
    dataset = mlc.Dataset(folder / "croissant.json")
    assert not dataset.metadata.ctx.issues.errors
    assert not dataset.metadata.ctx.issues.warnings
    rows = list(dataset.records("phase-1"))
    held = [json.loads(line) for line in (folder / "phase-1.jsonl").read_text().splitlines()]
    assert [row["phase-1/source"].decode() for row in rows] == [row["source"] for row in held]
    assert [[image.decode() for image in row["phase-1/images"]] for row in rows] == [row["images"] for row in held]
    assert len(rows) == 20


def test_an_export_for_a_trainer_has_none(probe, exported, tmp_path):
    manifest = next(tmp_path.glob("main-*.json"))
    assert probe("export", manifest, "--trainer", "llamafactory", "--out", "other").code == 0
    assert not (tmp_path / "other" / "croissant.json").exists()
