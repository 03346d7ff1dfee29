"""Registered data that is not where it was: the sentence holds a command, and the command mends it."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from db.values import ManifestRecord
from probe.manifest import manifest_json
from probe.manifest.example import example_manifest
from probe.workspace import Workspace
from sources.images import IMAGE_POLICY


@pytest.fixture
def manifest(probe, mine, tmp_path):
    """The hash of a manifest of twenty rows of `mine`."""
    with Workspace(Path(".probe")).open_store() as store:
        record = store.source(mine)
        doc = example_manifest(({mine: 20},), {mine: record.usable}, {mine: record.fingerprint}, image_policy=IMAGE_POLICY)
        store.put_manifest(ManifestRecord(doc.hash, "main", manifest_json(doc)))
    return doc.hash


def test_an_export_of_a_source_whose_file_moved_says_the_command_that_names_its_new_place(probe, manifest, llava):
    llava.rename(llava.with_name("moved here.jsonl"))
    ended = probe("export", manifest, "--trainer", "jsonl", "--out", "out")
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert f"There is nothing at {llava}; put it back, or say where it lies now: `probe sources add mine --path PATH " in ended.err
    command = re.search("`(.*)`", ended.err)[1].replace("PATH", "'moved here.jsonl'")
    assert probe(*shlex.split(command)[1:]).code == 0
    assert "CC-BY-4.0" in probe("sources", "show", "mine").out
    assert probe("export", manifest, "--trainer", "jsonl", "--out", "out").code == 0


def test_an_export_of_a_source_whose_images_moved_says_the_command_that_names_their_new_folder(probe, manifest, images):
    shutil.move(images, images.with_name("pictures"))
    ended = probe("export", manifest, "--trainer", "jsonl", "--out", "out")
    assert ended.code == 1
    command = re.search("`(.*)`", ended.err)[1].replace("DIR", "pictures")
    assert probe(*shlex.split(command)[1:]).code == 0
    assert probe("export", manifest, "--trainer", "jsonl", "--out", "out").code == 0


@pytest.mark.parametrize("words", [("sources", "check", "mine"), ("manifest", "verify"), ("run", "--source", "mine", "--samples", "8")])
def test_every_command_that_reads_it_says_so(probe, manifest, bench, llava, words):
    llava.unlink()
    ended = probe(*words, *((manifest,) if words[0] == "manifest" else ()))
    assert ended.code == 1
    assert "put it back, or say where it lies now: `probe sources add mine --path PATH" in ended.out + ended.err


def test_a_part_is_registered_again_with_the_source_that_it_is_of():
    from sources.spec import Licence, SourceSpec
    from sources.whereabouts import add_command

    spec = SourceSpec("big/ocr", "llava", "/d/x.json", "/d/i m", Licence("MIT", terms="ask us"), options=(("subsource", "ocr"), ("x", "y")))
    expected = "probe sources add big --path PATH --format llava --images '/d/i m' --licence MIT --terms 'ask us' --option x=y"
    assert add_command(spec, path="PATH") == expected


@pytest.mark.parametrize("form", ["auto", "llava"])
def test_who_adds_a_source_that_is_not_there_is_asked_for_its_path(probe, form):
    ended = probe("sources", "add", "new", "--path", "none.json", "--format", form)
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "There is nothing at" in ended.err
    assert "with --path" in ended.err


def test_a_benchmark_whose_table_is_gone_says_how_to_give_it(probe, bench, tsv):
    tsv.unlink()
    ended = probe("benchmarks", "check", "bench")
    assert ended.code == 1
    assert f"There is nothing at {tsv}; put it back, or give the TSV file: `probe benchmarks add bench --path FILE.tsv`" in ended.err
