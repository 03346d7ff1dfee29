"""Every format as published or as its trainer reads it: `sources add` by looking, `check`, `run` and `rank`, nothing edited."""

import pytest
from format_folders import FORMATS, benchmark_tsv


@pytest.fixture
def shaped(tmp_path):
    """One folder per format, with what must be found in it."""
    return {slug: make(tmp_path / "data" / slug.replace("/", "-")) for slug, make in FORMATS.items()}


def added(probe, slug, shape):
    images = ("--images", shape.image_root) if shape.image_root else ()
    ended = probe("sources", "add", slug, "--path", shape.path, *images)
    assert ended.code == 0, (slug, ended.err)
    return ended


def found(probe, slug):
    """What a check finds, in the terms of the known truth."""
    ended = probe("sources", "check", slug, "--json")
    assert ended.code == 0, (slug, ended.err)
    report = ended.json()
    parts = {name.removeprefix(f"{slug}/"): rows for name, rows in report["parts"].items()}
    excluded = {entry["problem"]: entry["count"] for entry in report["excluded"]}
    return report["rows"], report["usable"], report["distinct_images"], excluded, parts


def test_every_format_is_added_checked_trained_on_and_ranked(probe, shaped, tmp_path):
    for slug, shape in shaped.items():
        added(probe, slug, shape)
        assert probe("sources", "show", slug, "--json").json()["format"] == shape.format, slug
        assert found(probe, slug) == (shape.rows, shape.usable, shape.images, dict(shape.excluded), dict(shape.parts)), slug
    assert probe("benchmarks", "add", "blocks", "--path", benchmark_tsv(tmp_path / "blocks.tsv")).code == 0
    parts = ["llava-665k/ocr_vqa", "onevision-json/iam(cauldron)"]
    named = [word for slug in [*shaped, *parts] for word in ("--source", slug)]
    ended = probe("run", *named, "--samples", "4", "--seeds", "2", "--workers", "1")
    assert ended.code == 0, ended.err
    ranked = probe("rank", "--json").json()["sources"]
    assert {row["source"] for row in ranked} == {*shaped, "llava-665k/ocr_vqa", "onevision-json/iam-cauldron"}
    assert all(row["effect"]["low"] <= row["effect"]["value"] <= row["effect"]["high"] for row in ranked)


def test_check_says_how_to_mend_and_how_to_probe_a_part(probe, shaped):
    added(probe, "llava-665k", shaped["llava-665k"])
    told = probe("sources", "check", "llava-665k").out
    assert "llava-665k/ocr_vqa: 2 rows" in told
    assert "probe run --source llava-665k/" in told
    assert "ocr_vqa/images/gone.jpg is missing, and gone.gif is there" in told
    ended = added(probe, "ms-swift", shaped["ms-swift"])
    assert "'https://example.org/10.png' is a URL: download the image" in ended.out
    assert "'/etc/passwd' is not below the image root: give a folder that holds it with --images" in ended.out
    assert "onevision-json/iam-cauldron: 5 rows (iam(cauldron))" in added(probe, "onevision-json", shaped["onevision-json"]).out


def test_a_pdf_config_alone_is_one_sentence_with_the_cure(probe, shaped):
    ended = probe("sources", "add", "docs", "--path", shaped["docmatix"].path / "pdf")
    assert ended.code == 1
    assert "3 unsupported_modality" in ended.err
    assert "config with page images (`images` of Docmatix), or make an image of each page" in ended.err


@pytest.mark.parametrize(("name", "close"), [("llava-665k/ocr_vq", "llava-665k/ocr_vqa"), ("llava-665k/zzz", "coco, gqa, ocr_vqa")])
@pytest.mark.parametrize("words", [("run", "--samples", "4", "--dry-run", "--source"), ("sources", "check")])
def test_a_wrong_part_is_one_sentence_with_the_close_ones(probe, shaped, bench, words, name, close):
    added(probe, "llava-665k", shaped["llava-665k"])
    ended = probe(*words, name)
    assert (ended.code, close in ended.err) == (1, True), ended.err
    assert ended.err.count("Error") == 1
