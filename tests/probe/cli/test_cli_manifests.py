import dataclasses
import json
from pathlib import Path

import pytest

from db.values import ManifestRecord
from probe.manifest import manifest_json, write_manifest
from probe.manifest.example import example_manifest
from probe.workspace import Workspace
from sources.images import IMAGE_POLICY


@pytest.fixture
def manifest(probe, mine, tmp_path):
    """A manifest of twenty rows of `mine`, as a file and in the store."""
    with Workspace(Path(".probe")).open_store() as store:
        record = store.source(mine)
        counts = ({mine: 20},)
        doc = example_manifest(counts, {mine: record.usable}, {mine: record.fingerprint}, image_policy=IMAGE_POLICY)
        store.put_manifest(ManifestRecord(doc.hash, "main", manifest_json(doc)))
    return write_manifest(doc, tmp_path), doc


def test_show_by_file_and_by_the_beginning_of_its_hash(probe, manifest):
    path, doc = manifest
    assert probe("manifest", "show", path).out == probe("manifest", "show", doc.hash[:8]).out
    assert json.loads(probe("manifest", "show", path, "--json").out)["hash"] == doc.hash
    assert [row["hash"] for row in probe("manifest", "list", "--json").json()] == [doc.hash]


def test_a_manifest_of_which_only_the_file_lies_here_is_found_by_its_hash_too(probe, manifest):
    _, doc = manifest
    folder = Workspace(Path(".probe")).manifests
    colleagues = dataclasses.replace(doc, sampling_seed=7)
    folder.mkdir(exist_ok=True)
    (folder / "aaa.json").write_text("{")
    write_manifest(colleagues, folder).rename(folder / "from-a-colleague.json")
    assert probe("manifest", "show", colleagues.hash[:12], "--json").json()["hash"] == colleagues.hash
    assert probe("manifest", "show", "from-a-colleague", "--json").json()["hash"] == colleagues.hash  # without its ending
    assert probe("manifest", "show", doc.hash[:12], "--json").json()["hash"] == doc.hash
    assert probe("manifest", "show", "0" * 12).code == 1
    assert probe("manifest", "show", "").code == 1


def test_verify_names_what_changed_and_exits_1(probe, manifest, llava):
    path, _ = manifest
    assert probe("manifest", "verify", path, "--quick").code == 0
    full = probe("manifest", "verify", path)  # its benchmark is nowhere to be found
    assert full.code == 1
    assert "chart-test" in full.out
    llava.write_text(llava.read_text().replace("what color", "which color"))
    changed = probe("manifest", "verify", path, "--quick", "--json")
    assert changed.code == 1
    assert changed.json()["ok"] is False
    assert changed.json()["findings"][0]["name"] == "mine"


def test_diff_shows_differences_only(probe, manifest, tmp_path):
    path, doc = manifest
    assert probe("manifest", "diff", path, doc.hash[:8]).out.splitlines()[-1] == "the same decision"
    other = write_manifest(dataclasses.replace(doc, sampling_seed=7), tmp_path / "other")
    lines = probe("manifest", "diff", path, other).out.splitlines()
    assert lines[2:] == ["", "sampling seed", "    - 0", "    + 7"]
    found = probe("manifest", "diff", path, other, "--json").json()
    assert found["differences"] == [{"path": ["sampling_seed"], "kind": "changed", "a": 0, "b": 7}]
    assert not found["same_decision"]


@pytest.mark.parametrize("which", ["none.json", "abc", ""])
def test_an_unknown_manifest_is_one_sentence(probe, mine, which):
    ended = probe("manifest", "show", which)
    assert ended.code == 1
    assert "there is no manifest" in ended.err


def test_a_damaged_manifest_is_one_sentence(probe, tmp_path):
    (tmp_path / "m.json").write_text("{")
    ended = probe("manifest", "show", "m.json")
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "not JSON" in ended.err


@pytest.mark.parametrize("trainer", ["jsonl", "llamafactory"])
def test_export_prints_requested_and_realised_shares(probe, manifest, tmp_path, trainer):
    ended = probe("export", manifest[0], "--trainer", trainer, "--out", "out")
    assert ended.code == 0, ended.err
    assert "requested  realised" in ended.out
    assert "100.00%" in ended.out
    assert (tmp_path / "out" / "manifest.json").is_file()


def test_export_refuses_in_one_sentence(probe, manifest, llava):
    ended = probe("export", manifest[0], "--trainer", "lamafactory", "--out", "out")
    assert ended.code == 1
    assert "did you mean 'llamafactory'?" in ended.err
    llava.write_text(llava.read_text().replace("what color", "which color"))
    assert "is not what the manifest was decided on" in probe("export", manifest[0], "--trainer", "jsonl", "--out", "out").err
