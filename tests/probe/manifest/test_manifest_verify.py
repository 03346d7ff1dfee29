import dataclasses
import json
import shutil
from collections import Counter
from functools import partial

import pytest
from PIL import Image

from probe.manifest import ReaderEntry, RowsNow, read_manifest, rows_now, verify_manifest, write_manifest
from probe.manifest.example import example_manifest
from probe.manifest.readers import current_reader
from sources.fingerprint import fingerprint
from sources.formats.registry import open_rows
from sources.images import IMAGE_POLICY
from sources.sampling import SourcePool
from sources.spec import SourceSpec

SLUG = "mine/chat"


def write_source(folder, texts):
    folder.mkdir(exist_ok=True)
    rows = [
        {"id": str(i), "conversations": [{"from": "human", "value": f"Question {i}?"}, {"from": "gpt", "value": text}]}
        for i, text in enumerate(texts)
    ]
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return SourceSpec(SLUG, "llava", str(folder / "data.jsonl"), str(folder))


@pytest.fixture
def case(tmp_path):
    spec = write_source(tmp_path / "a", ["one", "two", "three"])
    doc = example_manifest(({SLUG: 6},), {SLUG: 3}, {SLUG: fingerprint(spec)}, IMAGE_POLICY)
    return doc, spec


def messages(doc, spec, **how):
    return [finding.message for finding in verify_manifest(doc, {SLUG: spec}, **how).findings]


def test_unchanged_data_verifies_wherever_it_lies(case, tmp_path):
    doc, spec = case
    doc = read_manifest(write_manifest(doc, tmp_path / "manifests"))
    shutil.copytree(tmp_path / "a", tmp_path / "elsewhere")
    moved = dataclasses.replace(spec, path=str(tmp_path / "elsewhere" / "data.jsonl"))
    report = verify_manifest(doc, {SLUG: moved}, benchmark_fingerprint=lambda name: doc.objective.benchmarks[0].fingerprint)
    assert report.ok
    assert report.lines()[-1] == "checked 1 source and 1 benchmark: unchanged"
    assert example_manifest(({SLUG: 6},), {SLUG: 3}, {SLUG: fingerprint(moved)}, IMAGE_POLICY).hash == doc.hash


@pytest.mark.parametrize("texts", [["one", "two", "threE"], ["one", "three", "two"], ["one", "two"]])
def test_a_changed_row_a_reordered_or_a_shortened_file_is_noticed(case, tmp_path, texts):
    doc, _ = case
    found = messages(doc, write_source(tmp_path / "b", texts))
    assert len(found) == 1
    assert found[0].startswith(f"source {SLUG} has changed (a row, the order of rows or a file): fingerprint ")


def test_lines_swapped_in_place_are_noticed(case, tmp_path):
    doc, spec = case
    path = tmp_path / "a" / "data.jsonl"
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    assert len(messages(doc, spec)) == 1


def test_missing_sources_are_findings(case, tmp_path):
    doc, spec = case
    (tmp_path / "a" / "data.jsonl").unlink()
    assert messages(doc, spec)[0].startswith(f"source {SLUG} cannot be read any more: ")
    assert [finding.kind for finding in verify_manifest(doc, {}).findings] == ["source"]


def test_another_reader_version_is_noticed(case):
    doc, spec = case
    now = current_reader(spec)
    found = messages(doc, spec, reader_of=lambda spec: ReaderEntry(now.name, now.version + 1))
    assert found == [f"source {SLUG} would be read by llava version {now.version + 1}, the manifest says llava version {now.version}"]


def test_a_changed_or_missing_benchmark_is_noticed(case):
    doc, spec = case
    assert messages(doc, spec, benchmark_fingerprint=lambda name: "other")[0].startswith(
        "benchmark chart-test has changed: fingerprint other"
    )

    def gone(name):
        raise KeyError(f"benchmark {name}")

    assert messages(doc, spec, benchmark_fingerprint=gone)[0].startswith("benchmark chart-test cannot be read any more")


def test_another_image_policy_is_noticed(case):
    doc, spec = case
    found = messages(doc, spec, image_policy=dataclasses.replace(IMAGE_POLICY, max_side=512))
    assert found[0].startswith("images are turned into pixels by another policy now")


def test_rows_that_became_unusable_are_noticed(case):
    doc, spec = case
    found = messages(doc, spec, read_rows=lambda spec, entry: RowsNow(2, {"missing_image": 4}, ""))
    assert found == [
        f"source {SLUG} has 2 usable rows, the manifest says 3",
        f"source {SLUG} has 4 rows excluded as missing_image, the manifest says 3",
    ]
    assert messages(doc, spec, read_rows=count_rows)[0] == f"source {SLUG} has 0 rows excluded as missing_image, the manifest says 3"


def test_a_replaced_and_a_missing_image_are_noticed(tmp_path):
    for name in ("0.png", "1.png"):
        Image.new("RGB", (3, 3), "red" if name == "0.png" else "blue").save(tmp_path / name)
    rows = [
        {"messages": [{"role": "user", "content": "<image>?"}, {"role": "assistant", "content": "x"}], "images": [f"{i}.png"]} for i in "01"
    ]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = SourceSpec(SLUG, "chat", str(tmp_path / "d.jsonl"), str(tmp_path))
    doc = example_manifest(({SLUG: 6},), {SLUG: 2}, {SLUG: fingerprint(spec)}, IMAGE_POLICY)
    entry = dataclasses.replace(doc.sources[0], reader=current_reader(spec), excluded={}, content=SourcePool.open(spec).content)
    doc = dataclasses.replace(doc, sources=(entry,))
    assert verify_manifest(doc, {SLUG: spec}, read_rows=rows_now).ok
    Image.new("RGB", (3, 3), "green").save(tmp_path / "1.png")
    found = messages(doc, spec, read_rows=rows_now)
    assert len(found) == 1
    assert found[0].startswith(f"source {SLUG} has rows with other texts or images: content ")
    (tmp_path / "1.png").unlink()
    found = messages(doc, spec, read_rows=rows_now)
    assert f"source {SLUG} has 1 row excluded as missing_image (row 1), the manifest says 0" in found


def test_what_was_put_back_as_it_was_is_no_finding(tmp_path):
    picture = tmp_path / "0.png"
    Image.new("RGB", (3, 3), "red").save(picture)
    row = {"messages": [{"role": "user", "content": "<image>?"}, {"role": "assistant", "content": "x"}], "images": ["0.png"]}
    other = {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "y"}]}
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(one) + "\n" for one in (row, other)))
    spec = SourceSpec(SLUG, "chat", str(tmp_path / "d.jsonl"), str(tmp_path))
    doc = example_manifest(({SLUG: 6},), {SLUG: 2}, {SLUG: fingerprint(spec)}, IMAGE_POLICY)
    entry = dataclasses.replace(doc.sources[0], reader=current_reader(spec), excluded={}, content=SourcePool.open(spec).content)
    doc = dataclasses.replace(doc, sources=(entry,))
    kept = partial(rows_now, cache_dir=tmp_path / "indexes")
    assert verify_manifest(doc, {SLUG: spec}, read_rows=kept).ok
    before = picture.read_bytes()
    picture.unlink()
    assert not verify_manifest(doc, {SLUG: spec}, read_rows=kept).ok
    picture.write_bytes(before)
    assert messages(doc, spec, read_rows=kept) == []


@pytest.mark.parametrize("lost", [True, False])
def test_of_a_source_without_its_contaminated_rows_a_row_is_named_at_every_look(tmp_path, lost):
    spec = chat_source(tmp_path, "red", "green", "blue", "white")
    clean = lambda pool: pool.without({0})  # noqa: E731
    then = clean(SourcePool.open(spec, tmp_path / "indexes"))
    doc = example_manifest(({SLUG: 6},), {SLUG: 3}, {SLUG: then.fingerprint}, IMAGE_POLICY)
    entry = dataclasses.replace(doc.sources[0], usable=3, excluded={"contaminated": 1}, content=then.content)
    if lost:
        (tmp_path / "2.png").unlink()
    else:
        Image.new("RGB", (5, 5), "black").save(tmp_path / "2.png")
    for _ in range(2):
        found = rows_now(spec, entry, tmp_path / "indexes", clean=clean)
        assert (found.changes.changed, found.changes.gone) == (((), (2,)) if lost else ((2,), ()))
        assert found.excluded_rows == ({"missing_image": (2,)} if lost else {})


def test_without_an_index_of_then_the_rows_that_cannot_be_used_now_are_named(tmp_path):
    spec = chat_source(tmp_path, *["red"] * 30)
    doc = example_manifest(({SLUG: 6},), {SLUG: 30}, {SLUG: fingerprint(spec)}, IMAGE_POLICY)
    entry = dataclasses.replace(doc.sources[0], reader=current_reader(spec), excluded={}, content=SourcePool.open(spec).content)
    for number in range(0, 24, 2):
        (tmp_path / f"{number}.png").unlink()
    found = messages(dataclasses.replace(doc, sources=(entry,)), spec, read_rows=rows_now)
    named = "rows 0, 2, 4, 6, 8, 10, 12, 14, 16, 18 and 2 more"
    assert f"source {SLUG} has 12 rows excluded as missing_image ({named}), the manifest says 0" in found


def chat_source(folder, *colours):
    """One row an image; no two images of one colour have the same bytes."""
    rows = []
    for number, colour in enumerate(colours):
        Image.new("RGB", (3 + number, 3), colour).save(folder / f"{number}.png")
        turns = [{"role": "user", "content": "<image>?"}, {"role": "assistant", "content": f"answer {number}"}]
        rows.append({"messages": turns, "images": [f"{number}.png"]})
    (folder / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return SourceSpec(SLUG, "chat", str(folder / "d.jsonl"), str(folder))


def count_rows(spec, entry):
    rows = list(open_rows(spec))
    return RowsNow(sum(row.sample is not None for row in rows), Counter(row.problem.value for row in rows if row.problem), "")
