"""The command line and sources of the hub: real processes against a hub on this machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REMOTE = Path(__file__).parents[2] / "sources" / "remote"
ROOT = Path(__file__).parents[3]


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(REMOTE))
    from hub_server import serving

    (tmp_path / "repos").mkdir()
    with serving(tmp_path / "repos") as server:
        yield server


@pytest.fixture
def command(tmp_path, hub):
    """Run one command in a process of its own, as a user with this hub would."""

    def run(*words, **settings):
        own = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "PYTHONPATH": str(ROOT), "HF_HUB_DISABLE_TELEMETRY": "1"}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "PROBE_"))}
        program = [sys.executable, "-c", "from probe.cli.main import main; main()"]
        return subprocess.run(
            [*program, *map(str, words)], cwd=tmp_path, env={**kept, **own, **settings}, capture_output=True, text=True, timeout=180
        )

    return run


def test_a_source_of_the_hub_is_added_lost_named_and_fetched_again(hub, command, tmp_path):
    from making_repos import finevision

    finevision(hub.root, "iam(cauldron)", shards=3, rows=60)
    added = command("sources", "add", "iam", "--hub", "org/fine", "--subset", "iam(cauldron)", "--pool-rows", 50)
    assert added.returncode == 0, added.stderr
    assert "iam: parquet, 50 of 50 rows usable" in added.stdout
    assert "org/fine iam(cauldron): 50 of 180 rows" in added.stderr
    shown = json.loads(command("sources", "show", "iam", "--json").stdout)
    assert (shown["hub_id"], shown["subset"], shown["split"], shown["pool_rows"]) == ("org/fine", "iam(cauldron)", "train", 50)
    assert len(shown["revision"]) == 40

    next(Path(shown["path"]).glob("*.parquet")).unlink()
    split = command("sources", "split", "iam", "--holdout", "0.2")
    assert split.returncode == 1
    assert "are not here or changed" in split.stderr
    assert "probe sources fetch iam" in split.stderr
    fetched = command("sources", "fetch", "iam")
    assert fetched.returncode == 0, fetched.stderr
    assert command("sources", "split", "iam", "--holdout", "0.2", HF_HUB_OFFLINE="1").returncode == 0


def test_rows_that_were_lost_are_fetched_again_by_optimize_and_export(hub, command, tmp_path):
    from making_repos import finevision

    for name in ("ai2d", "chartqa"):
        finevision(hub.root, name, shards=2, rows=30)
    for name in ("ai2d", "chartqa"):
        assert command("sources", "add", name, "--hub", "org/fine", "--subset", name, "--pool-rows", 40).returncode == 0
    assert command("sources", "split", "ai2d", "--holdout", "0.3").returncode == 0
    run = ("--design", "swarm", "--mixtures", 6, "--seeds", 1, "--samples", 16, "--workers", 1, "--device", "cpu")
    trained = command("run", "--source", "ai2d", "--source", "chartqa", *run)
    assert trained.returncode == 0, trained.stderr
    files = sorted((tmp_path / ".probe" / "pools").rglob("*.parquet"))
    held = {file: file.read_bytes() for file in files}

    files[0].unlink()
    least = ("--least", "ai2d=0.2,chartqa=0.2")
    chosen = command("optimize", "--no-confirm", "--trials", 10, "--samples", 30, *least, "--json")
    assert chosen.returncode == 0, chosen.stderr
    assert {file: file.read_bytes() for file in files} == held
    decided = json.loads(chosen.stdout)
    entries = {entry["slug"]: entry for entry in json.loads(Path(tmp_path, decided["manifest"]).read_text())["sources"]}
    assert entries["chartqa"]["drawn"] == {"split": "train", "rows": 40, "seed": 0, "file": ""}
    unchanged = command("manifest", "verify", decided["manifest"], HF_HUB_OFFLINE="1")
    assert unchanged.returncode == 0, unchanged.stdout
    _change_a_row(files[0])
    changed = json.loads(command("manifest", "verify", decided["manifest"], "--json", HF_HUB_OFFLINE="1").stdout)
    assert [found["name"] for found in changed["findings"]] == ["ai2d"]
    assert f"files drawn of org/fine ai2d are not here or changed (data/{files[0].name})" in changed["findings"][0]["message"]

    for file in files:
        file.unlink()
    offline = command("export", decided["manifest"], "--trainer", "jsonl", "--out", "out", HF_HUB_OFFLINE="1")
    assert offline.returncode == 1
    assert not (tmp_path / "out").exists()
    exported = command("export", decided["manifest"], "--trainer", "jsonl", "--out", "out")
    assert exported.returncode == 0, exported.stderr
    assert {file: file.read_bytes() for file in files} == held


def _change_a_row(file):
    """Write a parquet file again with another answer in its first row."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(file)
    texts = table["texts"].to_pylist()
    texts[0][0]["assistant"] += "!"
    changed = table.set_column(table.schema.get_field_index("texts"), "texts", pa.array(texts, table.schema.field("texts").type))
    pq.write_table(changed, file)


def test_a_source_of_the_catalogue_is_streamed_by_its_name(hub, command, tmp_path):
    from making_repos import finevision

    finevision(hub.root, "sharegpt4v(coco)", shards=2, rows=40)
    (hub.root / "HuggingFaceM4").mkdir()
    (hub.root / "org" / "fine").rename(hub.root / "HuggingFaceM4" / "FineVision")
    offline = command("sources", "check", "finevision/sharegpt4v-coco", HF_HUB_OFFLINE="1")
    assert offline.returncode == 1
    assert "probe sources add finevision/sharegpt4v-coco --path FOLDER" in offline.stderr
    checked = command("sources", "check", "finevision/sharegpt4v-coco", "--json")
    assert checked.returncode == 0, checked.stderr
    assert json.loads(checked.stdout)["usable"] == 80
    listed = json.loads(command("sources", "list", "--kind", "registered", "--json").stdout)
    assert [row["slug"] for row in listed] == ["finevision/sharegpt4v-coco"]
    wrong = command("sources", "check", "finevision/chartqa")
    assert "no subset 'chartqa'" in wrong.stderr


def test_what_belongs_to_a_streamed_source_is_refused_for_others(command, tmp_path):
    (tmp_path / "x.json").write_text("[]")
    for words, told in (
        (("--path", "x.json", "--subset", "a"), "belong to --hub or to a URL"),
        (("--path", "x.json", "--hub", "org/x"), "either --hub or --path"),
        ((), "--hub ORG/NAME"),
    ):
        ended = command("sources", "add", "mine", *words)
        assert ended.returncode == 2
        assert told in ended.stderr


def test_clean_removes_what_was_drawn_of_sources_that_are_gone(probe, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(REMOTE))
    from making_repos import finevision

    repo = finevision(tmp_path / "repos", shards=2, rows=20)
    for name, rows in (("kept", 10), ("gone", 12)):
        assert probe("sources", "add", name, "--hub", repo, "--subset", "chartqa", "--pool-rows", rows).code == 0
    assert probe("sources", "remove", "gone").code == 0
    pools = sorted((tmp_path / ".probe" / "pools").iterdir())
    assert len(pools) == 2
    assert probe("clean", "--json").json() == []  # what is this fresh may be being fetched
    for pool in pools:
        for folder in (pool, pool / "data"):
            os.utime(folder, (0, 0))
    assert [row["what"] for row in probe("clean", "--json").json()] == ["pool"]
    assert Path(probe("sources", "show", "kept", "--json").json()["path"]).is_dir()
    assert len(list((tmp_path / ".probe" / "pools").iterdir())) == 1


def test_verify_names_the_drawn_files_that_are_gone(probe, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(REMOTE))
    from dataclasses import replace

    from making_repos import finevision

    from probe.manifest.build import source_entry
    from probe.manifest.example import example_manifest
    from probe.manifest.readers import current_reader
    from probe.manifest.verify import verify_manifest
    from probe.workspace import Workspace

    repo = finevision(tmp_path / "repos", shards=2, rows=20)
    assert probe("sources", "add", "mine", "--hub", repo, "--subset", "chartqa", "--pool-rows", 10).code == 0
    with Workspace(tmp_path / ".probe").open_store() as store:
        record = store.source("mine")
    doc = replace(example_manifest(), sources=(source_entry(record, current_reader(record.spec), {}),))

    def found():
        return [finding.message for finding in verify_manifest(doc, {"mine": record.spec}).findings if finding.name == "mine"]

    assert found() == []
    lost = next(Path(record.spec.path).glob("*.parquet"))
    lost.unlink()
    assert f"1 of 2 files drawn of {repo} chartqa are not here or changed (data/{lost.name})" in found()[0]
