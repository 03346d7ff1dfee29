"""One row is `1 row`, wherever the command line counts."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from db.values import ManifestRecord
from probe.manifest import manifest_json
from probe.manifest.example import example_manifest
from probe.workspace import Workspace
from sources.images import IMAGE_POLICY

PLURAL_OF_ONE = re.compile(r"(?<![\d.,-])1 ((?:more|usable|distinct|sampled) )?[a-z]+s\b(?<!is)(?<!has)")


@pytest.fixture
def single(probe, tmp_path):
    """A source of one row that can be exported and one that cannot, with one row excluded; and a manifest of one row of it."""
    turned = Image.new("RGB", (8, 4), "red")
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "a.png", exif=exif)
    Image.new("RGB", (4, 4), "blue").save(tmp_path / "b.png")
    say = [("a.png", "what?", "red"), ("b.png", "what now?", "a <video>"), ("none.png", "what?", "x")]
    rows = [{"image": i, "conversations": [{"from": "human", "value": f"<image>{q}"}, {"from": "gpt", "value": a}]} for i, q, a in say]
    (tmp_path / "one.json").write_text(json.dumps(rows))
    added = probe("sources", "add", "one", "--path", "one.json")
    with Workspace(Path(".probe")).open_store() as store:
        record = store.source("one")
        doc = example_manifest(({"one": 1},), {"one": record.usable}, {"one": record.fingerprint}, image_policy=IMAGE_POLICY)
        store.put_manifest(ManifestRecord(doc.hash, "main", manifest_json(doc)))
    return added, doc.hash


def test_no_listing_report_or_export_counts_one_in_the_plural(probe, single):
    added, manifest = single
    ended = [
        added,
        probe("sources", "check", "one"),
        probe("manifest", "show", manifest),
        probe("manifest", "verify", manifest),
        probe("export", manifest, "--trainer", "jsonl", "--out", "out"),
        probe("doctor"),
    ]
    said = "\n".join(one.out + one.err for one in ended)
    said += Path("out/MIXTURE.md").read_text() + Path("out/README.md").read_text()
    assert "1 row" in said
    assert "1 image" in said
    assert not [found.group(0) for found in PLURAL_OF_ONE.finditer(said)]


def test_an_export_names_its_folder_of_images(probe, single):
    ended = probe("export", single[1], "--trainer", "jsonl", "--out", "out")
    assert ended.code == 0
    assert ended.out.splitlines()[-1] == (
        "written to out: phase-1.jsonl, README.md, MIXTURE.md, manifest.json, croissant.json, images/ (1 file)"
    )
    assert probe("export", single[1], "--trainer", "jsonl", "--out", "again", "--json").json()["images"] == 1


def test_an_export_says_where_its_commands_run_and_counts_the_files_of_folders(probe, single):
    lines = probe("export", single[1], "--trainer", "internvl", "--out", "a/b").out.splitlines()
    assert "to train, in a/b (its README.md says what the words in capitals stand for):" in lines
    assert lines[-1] == "written to a/b: phase-1.json, README.md, MIXTURE.md, manifest.json, phase-1/ (1 file), images/ (1 file)"
