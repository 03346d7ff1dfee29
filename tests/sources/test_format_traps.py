"""The traps of each format: what is written in ways that readers get wrong, and what it must be read as."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from making_sources import data_url, llava, pair, png
from PIL import Image

from sources.check import check_source
from sources.fingerprint import fingerprint
from sources.formats import detect_format, open_rows
from sources.problems import Problem, SourceError
from sources.reader import Row
from sources.sample import Sample
from sources.sampling import SourcePool
from sources.spec import SourceSpec
from tests.writing_files import encoded, write, write_json, write_jsonl, write_parquet, write_tar


def rows_of(path: Path, root: Path | None = None, **options: str) -> list[Row]:
    spec = SourceSpec("s", detect_format(path), str(path), str(root or ""), options=tuple(sorted(options.items())))
    return list(open_rows(spec))


def problems(rows: list[Row]) -> list[Problem | None]:
    return [row.problem for row in rows]


def samples(rows: list[Row]) -> list[Sample]:
    assert problems(rows) == [None] * len(rows), rows
    return [row.sample for row in rows if row.sample]


def chat(content: Any, answer: Any = "A cat.", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}, {"role": "assistant", "content": answer}], **more}


def image(number: int = 0) -> dict[str, Any]:
    return {"bytes": png(number), "path": None}


def fine(*answers: str, images: Any = (0,), **more: Any) -> dict[str, Any]:
    texts = [{"user": f"Question {number}?", "assistant": answer} for number, answer in enumerate(answers)]
    return {"images": [image(number) for number in images], "texts": texts, **more}


def test_an_image_is_a_path_or_a_list_in_one_file(tmp_path: Path) -> None:
    rows = [llava("coco/a.png"), llava(["coco/a.png"], "<image>?"), llava(["gqa/b.png", "coco/a.png"], "<image><image>?"), llava(None, "?")]
    read = samples(rows_of(write_json(tmp_path / "x.json", rows)))
    assert [[ref.path for ref in sample.images] for sample in read] == [["coco/a.png"], ["coco/a.png"], ["gqa/b.png", "coco/a.png"], []]
    assert [sample.subsource for sample in read] == ["coco", "coco", "gqa", "text"]


PACKED = [[pair("a.png", 0), pair("a.png", 1)], [pair("a.png", 2)]]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(PACKED),
        json.dumps(PACKED, indent=2),
        "".join(json.dumps(packed) + "\n" for packed in PACKED),
        json.dumps([*PACKED[0], PACKED[1]]),
        json.dumps(PACKED[0][0]) + "\n" + json.dumps([PACKED[0][1], PACKED[1][0]]),
    ],
)
def test_packed_lists_are_their_records(text: str, tmp_path: Path) -> None:
    path = write(tmp_path / "x.json", text.encode())
    assert [sample.turns[1].text for sample in samples(rows_of(path))] == ["Answer 0", "Answer 1", "Answer 2"]
    rows = open_rows(SourceSpec("s", "llava", str(path)))
    assert [rows.get(number) for number in (2, 0, 1)] == [list(rows)[number] for number in (2, 0, 1)]


def test_a_broken_record_of_a_packed_list_costs_itself(tmp_path: Path) -> None:
    text = json.dumps([PACKED[0] + PACKED[1], PACKED[1]]).replace('"Answer 1"', '"Answer 1')
    assert problems(rows_of(write(tmp_path / "x.json", text.encode()))) == [None, Problem.MALFORMED, None, None]


def test_an_absolute_path_below_the_image_root_is_read_and_another_is_not(tmp_path: Path) -> None:
    root = tmp_path / "images"
    write(root / "coco" / "a.png", png(0))
    write(tmp_path / "images-of-others" / "a.png", png(0))
    inside, outside = str(root / "coco" / "a.png"), str(tmp_path / "images-of-others" / "a.png")
    for path in (
        write_jsonl(
            tmp_path / "x.jsonl", [chat("<image>?", images=[name]) for name in (inside, f"file://{inside}", outside, "/etc/passwd")]
        ),
        write_json(tmp_path / "y.json", [llava(name) for name in (inside, f"file://{inside}", outside, "/etc/passwd")]),
    ):
        pool = SourcePool.open(SourceSpec("s", detect_format(path), str(path), str(root)))
        assert (pool.usable, dict(pool.excluded), dict(pool.subsources)) == (2, {Problem.UNSAFE_PATH: 2}, {"coco": 2})
        assert all("--images" in detail for _, detail in pool.index.examples[Problem.UNSAFE_PATH])
        assert [ref.path for _, sample in pool.numbered_samples() for ref in sample.images] == ["coco/a.png"] * 2


def test_an_image_of_the_web_is_counted_apart_and_never_fetched(tmp_path: Path) -> None:
    url = "https://example.org/a.png"
    rows = [
        chat("<image>?", images=[url]),
        chat("<image>?", images=[{"path": url}]),
        chat([{"type": "image_url", "image_url": {"url": url}}]),
        chat("<image>?", images=[data_url(png(0))]),
    ]
    pool = SourcePool.open(SourceSpec("s", "chat", str(write_jsonl(tmp_path / "x", rows))))
    assert (pool.usable, dict(pool.excluded)) == (1, {Problem.REMOTE_IMAGE: 3})
    assert "download the image" in pool.index.examples[Problem.REMOTE_IMAGE][0][1]


def test_ms_swift_images_in_every_form(tmp_path: Path) -> None:
    forms = ["coco/a.png", data_url(png(1)), {"path": "coco/a.png"}, {"bytes": None, "path": "coco/a.png"}, {"url": data_url(png(1))}]
    rows = [chat("<image>?", images=[form]) for form in forms] + [
        chat("<image>?", images="coco/a.png"),
        chat("<image>?", image="coco/a.png"),
    ]
    read = samples(rows_of(write_jsonl(tmp_path / "x", rows)))
    assert [sample.images[0].path for sample in read] == ["coco/a.png", None, "coco/a.png", "coco/a.png", None, "coco/a.png", "coco/a.png"]
    assert {sample.images[0].data for sample in read} == {None, png(1)}


def test_boxes_that_the_trainer_would_write_are_unsupported(tmp_path: Path) -> None:
    objects = {"ref": ["a dog"], "bbox": [[1, 2, 3, 4]]}
    rows = [
        chat("<image>Where is the <ref-object>?", "<bbox>", images=["a.png"], objects=objects),
        chat("<image>Where is it?", "At (1, 2).", images=["a.png"], objects=objects),
        chat("<image>What is the tag <bbox>?", "A box.", images=["a.png"]),
    ]
    assert problems(rows_of(write_jsonl(tmp_path / "x", rows))) == [Problem.UNSUPPORTED_MODALITY, None, None]


def test_query_and_response_of_ms_swift(tmp_path: Path) -> None:
    row = {"query": "<image>And this?", "response": "A dog.", "history": [["Who?", "Me."]], "system": "Be brief.", "images": ["a.png"]}
    (sample,) = samples(rows_of(write_jsonl(tmp_path / "x", [row])))
    assert [turn.parts for turn in sample.turns] == [("Be brief.",), ("Who?",), ("Me.",), (0, "And this?"), ("A dog.",)]


def test_llama_factory_v1_weighs_turns_and_only_answers_count(tmp_path: Path) -> None:
    def row(first: float) -> dict[str, Any]:
        turns = [("user", "a", 0.0), ("assistant", "b", first), ("user", "c", 0.0), ("assistant", "d", 1.0)]
        return {
            "messages": [{"role": role, "content": [{"type": "text", "value": text}], "loss_weight": loss} for role, text, loss in turns]
        }

    whole, marked, half = rows_of(write_jsonl(tmp_path / "x", [row(1.0), row(0.0), row(0.5)]))
    assert whole.sample is not None
    assert marked.sample is not None
    assert [turn.has_loss for turn in whole.sample.turns] == [True] * 4
    assert [turn.has_loss for turn in marked.sample.turns] == [True, False, True, True]
    assert half.problem is Problem.UNSUPPORTED_LOSS


def test_content_parts_come_back_from_arrow_with_nulls(tmp_path: Path) -> None:
    content = [{"type": "image_url", "image_url": {"url": data_url(png(0))}}, {"type": "text", "text": "What is it?"}]
    answer = [{"type": "text", "text": "A cat."}]
    path = write_parquet(tmp_path / "x", [chat(content, answer)])
    import pyarrow.parquet as pq

    assert pq.read_table(path).to_pylist()[0]["messages"][0]["content"][1]["image_url"] is None
    (sample,) = samples(rows_of(path))
    assert (sample.turns[0].parts, sample.turns[1].parts) == ((0, "What is it?"), ("A cat.",))


def test_finevision_turns_below_a_rating_are_left_out_and_rows_without_any_counted(tmp_path: Path) -> None:
    rows = [
        fine("a", "b", relevance_ratings=[5, 1], formatting_ratings=[5, 5]),
        fine("c", "d", relevance_ratings=[1, 5], formatting_ratings=[5, None]),
        fine("e", relevance_ratings=[2], formatting_ratings=[5]),
        fine("f", relevance_ratings=None, formatting_ratings=None),
    ]
    path = write_parquet(tmp_path / "x", rows)
    assert [len(sample.turns) for sample in samples(rows_of(path))] == [4, 4, 2, 2]
    rated = rows_of(path, min_rating="3")
    assert problems(rated) == [None, None, Problem.LOW_RATING, None]
    assert [[turn.parts for turn in row.sample.turns] for row in rated[:2] if row.sample] == [
        [(0, "Question 0?"), ("a",)],
        [(0, "Question 1?"), ("d",)],
    ]
    spec = SourceSpec("s", "parquet", str(path))
    assert fingerprint(spec) != fingerprint(spec.with_option("min_rating", "3"))
    with pytest.raises(SourceError, match="min_rating=3"):
        rows_of(path, min_rating="good")


def test_finevision_text_that_looks_like_a_token_is_text_and_empty_rows_are_counted(tmp_path: Path) -> None:
    rows = [
        fine("The tag is <image>."),
        {"images": [image()], "texts": [{"user": "Is <image> a tag?", "assistant": "Yes"}]},
        fine("", " "),
        fine("", "an answer"),
        fine("text only", images=()),
    ]
    read = rows_of(write_parquet(tmp_path / "x", [*rows, {"images": None, "texts": rows[0]["texts"]}]))
    assert problems(read) == [None, None, Problem.NO_ANSWER, None, None, None]
    assert [row.sample.turns[0].parts for row in read[:2] if row.sample] == [(0, "Question 0?"), (0, "Is <image> a tag?")]
    assert [len(row.sample.images) for row in read if row.sample] == [1, 1, 1, 0, 0]


def test_docmatix_pages_stand_in_order_and_a_document_is_no_subsource(tmp_path: Path) -> None:
    rows = [fine("a", images=range(9)), fine("b", images=(0,))]
    for number, row in enumerate(rows):
        row["texts"][0]["source"] = f"PDFA key: {244 + number}"
    read = samples(rows_of(write_parquet(tmp_path / "images" / "x.parquet", rows).parent))
    assert read[0].turns[0].parts == (*range(9), "Question 0?")
    assert [ref.data for ref in read[0].images] == [png(number) for number in range(9)]
    assert {sample.subsource for sample in read} == {"PDFA"}


@pytest.mark.parametrize("column", ["pdf", "picture"])
def test_bytes_that_are_not_read_are_never_a_row_of_text(column: str, tmp_path: Path) -> None:
    held: dict[str, Any] = {"pdf": b"%PDF-1.4"} if column == "pdf" else {"picture": [image()]}
    texts = fine("a")["texts"]
    read = rows_of(write_parquet(tmp_path / "x", [{**held, "texts": texts}, {column: None, "texts": texts}]))
    assert problems(read) == [Problem.UNSUPPORTED_MODALITY, None]
    assert ("image of each page" if column == "pdf" else "rename the column") in read[0].detail


def test_bytes_beside_the_images_are_nobodys_matter(tmp_path: Path) -> None:
    assert len(samples(rows_of(write_parquet(tmp_path / "x", [fine("a", embedding=b"123", pdf=b"%PDF")])))) == 1


def test_onevision_names_its_parts_and_some_have_no_images(tmp_path: Path) -> None:
    rows = [
        {"id": str(number), "image": held, "conversations": llava(None, text)["conversations"], "data_source": part}
        for number, (held, text, part) in enumerate([(image(), "<image>\n?", "iam(cauldron)"), (None, "?", "magpie_pro")])
    ]
    read = samples(rows_of(write_parquet(tmp_path / "x", rows)))
    assert [(len(sample.images), sample.subsource) for sample in read] == [(1, "iam(cauldron)"), (0, "magpie_pro")]
    as_json = [{**llava("a/b.png"), "data_source": "iam(cauldron)"}, {**llava("a/b.png"), "source": "https://example.org/1"}]
    assert [s.subsource for s in samples(rows_of(write_json(tmp_path / "y.json", as_json)))] == ["iam(cauldron)", "a"]


def test_a_version_dot_that_joins_two_rows_is_no_row(tmp_path: Path) -> None:
    def two(kind: str) -> dict[str, Any]:
        text = {"json": llava(None, "<image>?"), "txt": b"A cat."}[kind]
        return {f"a/{kind}.v{number}.{ending}": held for number in (1, 2) for ending, held in (("png", png(number)), (kind, text))}

    detail = {
        "b/1.png": png(0),
        "b/1.txt": b"A cat.",
        "b/1.detail.json": {"width": 16},
        "b/2.png": png(0),
        "b/2.json": llava(None, "<image>?"),
    }
    detail |= {"b/2.meta.json": {"width": 16}}
    read = rows_of(write_tar(tmp_path / "x.tar", two("json") | two("txt") | detail))
    assert problems(read) == [Problem.MALFORMED, Problem.MALFORMED, None, None]
    assert "first dot" in read[0].detail


def test_a_failed_download_of_laion_says_why(tmp_path: Path) -> None:
    failed = {"caption": "A cat.", "status": "failed_to_download", "url": "https://example.org"}
    good = {"caption": "A cat.", "status": "success", "url": "https://example.org"}
    read = rows_of(write_tar(tmp_path / "x.tar", {"1.json": failed, "2.jpg": png(0), "2.txt": b"A cat.", "2.json": good}))
    assert problems(read) == [Problem.MISSING_IMAGE, None]
    assert "failed_to_download" in read[0].detail


def energon_folder(folder: Path, split: str, fields: str = "{image: png, caption: 'json[told]'}") -> Path:
    for shard in range(4):
        members: dict[str, Any] = {}
        for row in range(2):
            members |= {f"{row}.png": png(row), f"{row}.json": {"told": f"{shard}-{row}"}}
        write_tar(folder / "shards" / f"shard_{shard:03}.tar", members)
    write(folder / ".nv-meta" / "split.yaml", split.encode())
    write(folder / ".nv-meta" / "dataset.yaml", f"field_map: {fields}".encode())
    return folder


@pytest.mark.parametrize(
    "train", ["[shards/shard_000.tar, shards/shard_001.tar, shards/shard_002.tar]", '["shards/shard_{000..002}.tar", absent.tar]']
)
def test_energon_trains_on_its_own_split_without_what_it_excludes(train: str, tmp_path: Path) -> None:
    split = f"split_parts:\n  train: {train}\n  val: [shards/shard_003.tar]\nexclude: [shards/shard_002.tar, shards/shard_001.tar/1]\n"
    path = energon_folder(tmp_path, split)
    assert [sample.turns[1].text for sample in samples(rows_of(path))] == ["0-0", "0-1", "1-0"]
    spec = SourceSpec("s", "webdataset", str(path))
    before = fingerprint(spec)
    write_tar(path / "shards" / "shard_003.tar", {"9.png": png(9), "9.txt": b"other"})
    assert fingerprint(spec) == before
    write(path / ".nv-meta" / "split.yaml", split.replace("tar/1", "tar/0").encode())
    assert fingerprint(spec) != before
    assert [sample.turns[1].text for sample in samples(rows_of(path))] == ["0-0", "0-1", "1-1"]


def test_energon_without_a_training_split_is_one_sentence(tmp_path: Path) -> None:
    path = energon_folder(tmp_path, "split_parts: {val: [shards/shard_003.tar]}")
    with pytest.raises(SourceError, match="gives no shard to the split train"):
        open_rows(SourceSpec("s", "webdataset", str(path)))
    energon_folder(tmp_path, "split_parts: {train: [elsewhere.tar]}")
    with pytest.raises(SourceError, match="none of the shards that its"):
        open_rows(SourceSpec("s", "webdataset", str(path)))


def test_a_field_map_of_another_sample_type_is_not_guessed_at(tmp_path: Path) -> None:
    path = energon_folder(tmp_path, "", "{image: png, context: 'json[told]', choices: 'json[told]'}")
    found = Counter(row.problem for row in open_rows(SourceSpec("s", "webdataset", str(path))))
    assert found == {Problem.MALFORMED: 8}


def test_a_pdf_in_a_tar_is_unsupported_unless_its_pages_are_there(tmp_path: Path) -> None:
    rows = {"1.pdf": b"%PDF", "1.txt": b"A page.", "2.pdf": b"%PDF", "2.png": png(0), "2.txt": b"A page."}
    assert problems(rows_of(write_tar(tmp_path / "x.tar", rows))) == [Problem.UNSUPPORTED_MODALITY, None]


def test_animated_images_are_counted(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (30, 30), colour) for colour in ("red", "blue")]
    write(tmp_path / "moving.gif", encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    write(tmp_path / "still.gif", encoded(frames[0], "GIF"))
    rows = [pair("moving.gif", 0), pair("still.gif", 1)]
    report = check_source(SourceSpec("s", "llava", str(write_json(tmp_path / "x.json", rows))))
    assert (report.usable, report.several_frames) == (2, 1)
    assert any("1 image is animated" in warning for warning in report.warnings)
