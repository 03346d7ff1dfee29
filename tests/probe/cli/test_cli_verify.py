"""`probe manifest verify` on real files: each thing that can change is changed, noticed and named."""

import dataclasses
import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from probe.manifest import benchmark_entry, write_manifest
from probe.manifest.build import source_entry
from probe.manifest.example import example_manifest
from probe.manifest.readers import current_reader
from probe.workspace import Workspace
from sources.images import IMAGE_POLICY


@pytest.fixture
def decided(mine, bench, tmp_path):
    """A manifest of twenty rows of `mine`, with what the store knows of it and of `bench`."""
    with Workspace(Path(".probe")).open_store() as store:
        record, benchmark = store.source(mine), store.benchmark(bench)
    doc = example_manifest(({mine: 20},), image_policy=IMAGE_POLICY)
    entry = source_entry(record, current_reader(record.spec), {mine: 20})
    objective = dataclasses.replace(doc.objective, benchmarks=(benchmark_entry(benchmark, 1.0),))
    return write_manifest(dataclasses.replace(doc, sources=(entry,), objective=objective), tmp_path)


@pytest.fixture
def verify(probe, decided):
    """Verify; return the exit code and the findings."""

    def run(*words):
        ended = probe("manifest", "verify", decided, "--json", *words)
        report = ended.json()
        assert report["ok"] == (not report["findings"])
        assert (report["sources"], report["not_checked"]) == (1, ["rows and their images", "benchmarks"] if "--quick" in words else [])
        return ended.code, [(found["kind"], found["name"], found["rows"]) for found in report["findings"]]

    return run


def swap(path, one, other):
    lines = path.read_text().splitlines(keepends=True)
    lines[one], lines[other] = lines[other], lines[one]
    path.write_text("".join(lines))


def replace_row(path, number, old, new):
    lines = path.read_text().splitlines(keepends=True)
    assert old in lines[number]
    lines[number] = lines[number].replace(old, new)
    path.write_text("".join(lines))


def test_nothing_changed(verify, probe, decided):
    assert verify() == (0, [])
    assert verify("--again") == (0, [])
    ended = probe("manifest", "verify", decided)
    assert ended.out.splitlines()[-1] == "checked 1 source and 1 benchmark: unchanged"
    assert "source 1 of 1: mine" in ended.err


def test_a_changed_row_is_named(verify, llava):
    replace_row(llava, 5, "what color", "which color")
    assert verify() == (1, [("source", "mine", []), ("rows", "mine", []), ("rows", "mine", [5])])
    assert verify("--quick") == (1, [("source", "mine", [])])


def test_a_reordered_file_is_told_from_a_changed_one(verify, probe, decided, llava):
    swap(llava, 3, 9)
    assert verify() == (1, [("order", "mine", [3])])
    assert "source mine holds the same rows in another order, from row 3 on: fingerprint " in probe("manifest", "verify", decided).out


def test_a_missing_image_is_named_by_its_row(verify, probe, decided, images):
    (images / "7.png").unlink()
    for _ in range(2):  # every look names it, also one that finds an index of the rows of now
        found = probe("manifest", "verify", decided)
        assert "source mine has 2 rows excluded as missing_image (row 7), the manifest says 1" in found.out
        assert "source mine: row 7: no usable row any more where there was one" in found.out
    named = (1, [("rows", "mine", []), ("rows", "mine", [7]), ("rows", "mine", [7])])
    assert verify() == named
    assert verify("--again") == named


def test_a_missing_image_is_named_also_after_other_commands_read_the_source_again(verify, probe, images):
    Image.new("RGB", (16, 16), (1, 2, 3)).save(images / "5.png")
    probe("sources", "check", "mine")
    (images / "7.png").unlink()
    probe("sources", "check", "mine")
    named = [("rows", "mine", rows) for rows in ([], [7], [5], [7])]
    assert verify() == (1, named)
    assert verify() == (1, named)


def test_of_many_states_the_newest_are_kept(probe, decided, images):
    for shade in range(6):
        Image.new("RGB", (16, 16), (shade, 2, 3)).save(images / "5.png")
        probe("manifest", "verify", decided)
    assert len(list(Path(".probe/indexes").glob("former-*"))) == 3
    probe("clean", "--all")
    assert not list(Path(".probe/indexes").glob("former-*"))


def test_an_image_replaced_by_one_of_its_size_and_time_is_noticed_when_all_is_read_again(verify, images):
    path = images / "7.png"
    old = path.stat()
    Image.new("RGB", (32, 32), (1, 2, 3)).save(path)
    path.write_bytes(path.read_bytes().ljust(old.st_size, b"\0"))
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))
    if path.stat().st_size != old.st_size:
        pytest.skip("the other image has more bytes")
    assert verify() == (0, [])
    assert verify("--again") == (1, [("rows", "mine", []), ("rows", "mine", [7])])


def test_an_image_that_became_another_is_named_by_its_row(verify, images):
    Image.new("RGB", (16, 16), (1, 2, 3)).save(images / "7.png")
    assert verify() == (1, [("rows", "mine", []), ("rows", "mine", [7])])


def test_another_version_of_the_reader_is_noticed(verify, decided):
    plain = json.loads(decided.read_text())
    reader = plain["sources"][0]["reader"]
    _rewritten(decided, lambda doc: _with_reader(doc, reader["version"] + 1))
    assert verify() == (1, [("reader", "mine", [])])


def test_a_changed_benchmark_is_noticed(verify, tsv):
    lines = tsv.read_text().splitlines(keepends=True)
    letter = lines[3].rstrip()[-1]
    lines[3] = lines[3].rstrip()[:-1] + ("A" if letter != "A" else "B") + "\n"
    tsv.write_text("".join(lines))
    assert verify() == (1, [("benchmark", "bench", [])])


def test_a_shortened_file_and_one_with_a_row_put_in_are_named(verify, llava):
    lines = llava.read_text().splitlines(keepends=True)
    llava.write_text("".join(lines[:10] + lines[11:]))
    assert verify()[1][-1] == ("rows", "mine", [10])
    llava.write_text("".join([lines[0].replace("what color", "which color"), *lines]))
    kinds = verify()[1]
    assert ("rows", "mine", [0]) in kinds
    assert ("source", "mine", []) in kinds


def test_without_the_index_of_then_the_rows_are_not_known_but_the_change_is(verify, llava):
    replace_row(llava, 5, "what color", "which color")
    for folder in Path(".probe/indexes").glob("index-*"):
        shutil.rmtree(folder)
    assert verify() == (1, [("source", "mine", []), ("rows", "mine", [])])


def test_a_source_that_is_gone_is_a_finding_and_no_error(verify, llava):
    llava.unlink()
    code, found = verify()
    assert (code, [kind for kind, _, _ in found]) == (1, ["source"])


def test_quick_and_again_do_not_go_together(probe, decided):
    ended = probe("manifest", "verify", decided, "--quick", "--again")
    assert ended.code == 2
    assert "give one of them" in ended.err


def _with_reader(doc, version):
    entry = doc.sources[0]
    return dataclasses.replace(doc, sources=(dataclasses.replace(entry, reader=dataclasses.replace(entry.reader, version=version)),))


def _rewritten(path, change):
    from probe.manifest import manifest_json, read_manifest

    path.write_text(manifest_json(change(read_manifest(path))))
