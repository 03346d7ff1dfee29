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
    report = probe("sources", "check", slug, "--json").json()
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
