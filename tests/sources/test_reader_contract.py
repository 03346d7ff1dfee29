"""What every reader promises, over every reader and every hostile record."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from making_sources import data_url, llava, png

from sources.fingerprint import fingerprint
from sources.formats import detect_format, find_reader, open_rows, reader_names
from sources.problems import Problem, SourceError
from sources.sample import ImageRef, Role, Sample, Turn
from sources.spec import SourceSpec
from tests.writing_files import write, write_json, write_jsonl, write_parquet, write_tar, write_tsv


def chat(content: Any, answer: Any = "A cat.", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}, {"role": "assistant", "content": answer}], **more}


def with_loss(user: dict[str, Any], assistant: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "x", **user}, {"role": "assistant", "content": "y", **assistant}]}


def fine(user: Any = "What is it?", assistant: Any = "A cat.", **more: Any) -> dict[str, Any]:
    return {"images": [{"bytes": png(0), "path": None}], "texts": [{"user": user, "assistant": assistant}], "source": "ai2d", **more}


def energon(folder: Path) -> Path:
    sample = "sample_type: {__module__: megatron.energon, __class__: VQASample}\n"
    fields = "field_map: {image: jpg;png, context: 'json[q][0]', answers: 'json[a]', answer_weights: 'json[w]'}\n"
    write(folder / ".nv-meta" / "dataset.yaml", (sample + fields).encode())
    record = {"q": ["What is it?"], "a": ["A dog.", "A cat."], "w": [0.3, 0.7]}
    write_tar(folder / "shard.tar", {".nv-meta/x.json": {}, "1.png": png(0), "1.json": record})
    return folder


CAT = Turn(Role.ASSISTANT, ("A cat.",))
ASKED = Turn(Role.USER, (0, "What is it?"))

# A literal record per format: how it is written, its format, and the sample that it is.
LITERAL: dict[str, tuple[Callable[[Path], Path], str, tuple[Turn, ...], str]] = {
    "llava array": (
        lambda d: write_json(d / "x.json", [llava("coco/a.png")]),
        "llava",
        (Turn(Role.USER, (0, "\nWhat is it?")), CAT),
        "coco",
    ),
    "llava lines": (
        lambda d: write_jsonl(d / "x", [llava("coco/a.png", "What<image> is it?")]),
        "llava",
        (Turn(Role.USER, ("What", 0, " is it?")), CAT),
        "coco",
    ),
    "llava text": (lambda d: write_json(d / "x.json", [llava(None, "Hi", model="")]), "llava", (Turn(Role.USER, ("Hi",)), CAT), "text"),
    "sharegpt4v": (
        lambda d: write_json(d / "x.json", [llava("sam/images/sa_544212.jpg", "<image>\nWhat is it?", id="sa_544212")]),
        "llava",
        (Turn(Role.USER, (0, "\nWhat is it?")), CAT),
        "sam",
    ),
    "allava": (
        lambda d: write_json(
            d / "x.json", [llava("allava_laion/images/100277305.jpeg", id="allava_laion_inst_0", url="https://example.org/a.jpeg")]
        ),
        "llava",
        (Turn(Role.USER, (0, "\nWhat is it?")), CAT),
        "allava_laion",
    ),
    "m4": (
        lambda d: write_json(d / "x.json", [llava(["dreamsim/ref.jpg", "dreamsim/left.jpg"], "<image>\n<image>\nWhat is it?", id="x")]),
        "llava",
        (Turn(Role.USER, (0, "\n", 1, "\nWhat is it?")), CAT),
        "dreamsim",
    ),
    "qwen-vl": (
        lambda d: write_jsonl(d / "x", [llava(["coco/a.png"], "<image>What is it?")]),
        "llava",
        (ASKED, CAT),
        "coco",
    ),
    "qwen-vl packed": (
        lambda d: write_json(d / "x.json", [[llava("coco/a.png", "<image>What is it?"), llava(None, "Hi")], [llava(None, "Hi")]]),
        "llava",
        (ASKED, CAT),
        "coco",
    ),
    "openai": (
        lambda d: write_jsonl(
            d / "x", [chat([{"type": "image_url", "image_url": {"url": data_url(png(0))}}, {"type": "text", "text": "What is it?"}])]
        ),
        "chat",
        (ASKED, CAT),
        "",
    ),
    "openai bare url": (
        lambda d: write_jsonl(
            d / "x",
            [
                chat(
                    [
                        {"type": "image_url", "image_url": data_url(png(0)), "text": None},
                        {"type": "text", "text": "What is it?", "image_url": None},
                    ]
                )
            ],
        ),
        "chat",
        (ASKED, CAT),
        "",
    ),
    "trl": (
        lambda d: write_jsonl(d / "x", [chat([{"type": "image"}, {"type": "text", "text": "What is it?"}], images=["coco/a.png"])]),
        "chat",
        (ASKED, CAT),
        "coco",
    ),
    "trl plain": (lambda d: write_jsonl(d / "x", [chat("What is it?", images=["coco/a.png"])]), "chat", (ASKED, CAT), "coco"),
    "ms-swift": (
        lambda d: write_jsonl(d / "x", [chat("<image>What is it?", images=["coco/a.png"], channel="chart")]),
        "chat",
        (ASKED, CAT),
        "chart",
    ),
    "ms-swift query": (
        lambda d: write_jsonl(d / "x", [{"query": "<image>What is it?", "response": "A cat.", "images": ["coco/a.png"]}]),
        "chat",
        (ASKED, CAT),
        "coco",
    ),
    "llama-factory": (
        lambda d: write_json(d / "x.json", [chat("<image>What is it?", images=["coco/a.png"])]),
        "chat",
        (ASKED, CAT),
        "coco",
    ),
    "llama-factory v1": (
        lambda d: write_jsonl(d / "x", [chat([{"type": "image_url", "value": "coco/a.png"}, {"type": "text", "value": "What is it?"}])]),
        "chat",
        (ASKED, CAT),
        "coco",
    ),
    "sharegpt": (
        lambda d: write_json(d / "x.json", [{**llava(None, "<image>What is it?"), "images": ["coco/a.png"]}]),
        "chat",
        (ASKED, CAT),
        "coco",
    ),
    "alpaca": (
        lambda d: write_json(
            d / "x.json", [{"instruction": "<image>What", "input": "is it?", "output": "A cat.", "images": ["coco/a.png"]}]
        ),
        "chat",
        (Turn(Role.USER, (0, "What\nis it?")), CAT),
        "coco",
    ),
    "finevision": (
        lambda d: write_parquet(d / "x", [fine(relevance_ratings=[5], relevance_min=5, visual_dependency_ratings=[None])]),
        "parquet",
        (ASKED, CAT),
        "ai2d",
    ),
    "docmatix": (
        lambda d: write_parquet(
            d / "x",
            [
                {
                    "images": [{"bytes": png(0), "path": None}] * 2,
                    "texts": [{"user": "What is it?", "assistant": "A cat.", "source": "PDFA key: 244"}],
                }
            ],
        ),
        "parquet",
        (Turn(Role.USER, (0, 1, "What is it?")), CAT),
        "PDFA",
    ),
    "cauldron": (
        lambda d: (
            write_parquet(
                d / "data" / "x.parquet",
                [
                    {
                        "images": [{"bytes": png(0), "path": None}],
                        "texts": [{"user": "What is it?", "assistant": "A cat.", "source": "clevr"}],
                    }
                ],
            ).parent
        ),
        "parquet",
        (ASKED, CAT),
        "clevr",
    ),
    "onevision": (
        lambda d: write_parquet(
            d / "x",
            [
                {
                    "id": "1",
                    "image": {"bytes": png(0), "path": "a.png"},
                    "conversations": llava(None, "<image>What is it?")["conversations"],
                    "data_source": "llavar",
                }
            ],
        ),
        "parquet",
        (ASKED, CAT),
        "llavar",
    ),
    "parquet chat": (
        lambda d: write_parquet(d / "x", [chat("<image>What is it?", images=[{"bytes": png(0), "path": None}])]),
        "parquet",
        (ASKED, CAT),
        "",
    ),
    "webdataset": (
        lambda d: write_tar(d / "x", {"a/1.png": png(0), "a/1.json": llava(None, "<image>What is it?")}),
        "webdataset",
        (ASKED, CAT),
        "a",
    ),
    "webdataset of captions": (
        lambda d: write_tar(d / "0" / "0.tar", {"1.png": png(0), "1.txt": b"A cat."}).parent.parent,
        "webdataset",
        (Turn(Role.USER, (0,)), CAT),
        "",
    ),
    "energon": (energon, "webdataset", (ASKED, CAT), ""),
    "tsv": (
        lambda d: write_tsv(
            d / "x",
            [
                {
                    "index": "1",
                    "image": data_url(png(0)).partition(",")[2],
                    "question": "What is it?",
                    "A": "A cat.",
                    "B": "A dog.",
                    "answer": "A",
                    "category": "k",
                }
            ],
        ),
        "tsv",
        (ASKED, CAT),
        "k",
    ),
}


def first_sample(path: Path, format_: str) -> Sample:
    row = open_rows(SourceSpec("s", format_, str(path))).get(0)
    assert row.sample is not None, (row.problem, row.detail)
    return row.sample


@pytest.mark.parametrize("name", LITERAL)
def test_literal_record(name: str, tmp_path: Path) -> None:
    make, format_, turns, subsource = LITERAL[name]
    path = make(tmp_path)
    assert detect_format(path) == format_
    sample = first_sample(path, format_)
    assert (sample.turns, sample.subsource) == (turns, subsource)
    assert len(sample.images) == sum(len(turn.image_places) for turn in turns)
    for ref in sample.images:
        assert ref == (ImageRef(data=png(0)) if ref.data else ImageRef(path=ref.path, root=str(tmp_path)))
        assert ref.data or f"{ref.path}".startswith(f"{subsource}/") or subsource == "chart"


def deep(n: int) -> bytes:
    return b'{"a":' * n + b"1" + b"}" * n


HOSTILE: dict[str, list[tuple[Any, Problem]]] = {
    "llava": [
        (b"\xff\xfe not text", Problem.BAD_ENCODING),
        (b'{"conversations": [{"from": "human", "value": "\xe9"}]}', Problem.BAD_ENCODING),
        (llava(None, "half \ud800"), Problem.BAD_ENCODING),
        (b"{", Problem.MALFORMED),
        (deep(100_000), Problem.MALFORMED),
        (b'{"a": 1' + b"0" * 5000 + b"}", Problem.MALFORMED),
        (b'{"image": "a", "image": "b"}', Problem.MALFORMED),
        (b"[1, 2]", Problem.MALFORMED),
        (b"null", Problem.MALFORMED),
        ({}, Problem.MALFORMED),
        ({"conversations": None}, Problem.MALFORMED),
        ({"conversations": [None]}, Problem.MALFORMED),
        (llava("a.png", None), Problem.MALFORMED),
        (llava("a.png", "<image>", 5), Problem.MALFORMED),
        (llava(7), Problem.MALFORMED),
        (llava(["a.png", None]), Problem.MALFORMED),
        (llava({"a": 1}), Problem.MALFORMED),
        ({"conversations": [{"from": "robot", "value": "x"}]}, Problem.MALFORMED),
        ({"conversations": []}, Problem.NO_ANSWER),
        (llava("a.png", "<image>", " \n"), Problem.NO_ANSWER),
        ({"conversations": [{"from": "human", "value": "x"}]}, Problem.NO_ANSWER),
        ({"conversations": [*llava(None, "x")["conversations"], {"from": "human", "value": "y"}]}, Problem.NO_ANSWER),
        ({"conversations": llava(None, "x")["conversations"][::-1]}, Problem.ROLE_ORDER),
        ({"conversations": [{"from": "human", "value": "x"}, *llava(None, "x")["conversations"]]}, Problem.ROLE_ORDER),
        (llava(None, "<image>\nwhat?"), Problem.PLACEHOLDER_MISMATCH),
        (llava("a.png", "<image><image>"), Problem.PLACEHOLDER_MISMATCH),
        (llava(["a.png", "b.png"], "<image>"), Problem.PLACEHOLDER_MISMATCH),
        (llava(["a.png", "b.png"], "none"), Problem.PLACEHOLDER_MISMATCH),
        (llava(None, "x", video="v.mp4"), Problem.UNSUPPORTED_MODALITY),
    ],
    "chat": [
        (chat("<image><image>x", images=["a.png"]), Problem.PLACEHOLDER_MISMATCH),
        (chat("<image>x", images=["a.png", "b.png"]), Problem.PLACEHOLDER_MISMATCH),
        (chat("<image>x"), Problem.PLACEHOLDER_MISMATCH),
        (chat([{"type": "image"}]), Problem.PLACEHOLDER_MISMATCH),
        (chat("x", [{"type": "image", "image": "a.png"}, "y"]), Problem.PLACEHOLDER_MISMATCH),
        (chat([{"type": "hologram"}]), Problem.MALFORMED),
        (chat([{"type": "text", "text": None}]), Problem.MALFORMED),
        (chat(None), Problem.MALFORMED),
        (chat("x", images=[3]), Problem.MALFORMED),
        (chat("x", images=[{"bytes": None, "path": None}]), Problem.MISSING_IMAGE),
        (chat("x", images=["data:image/png;base64,&&&"]), Problem.UNDECODABLE_IMAGE),
        (chat("x", images=["data:image/png,abc"]), Problem.UNDECODABLE_IMAGE),
        (chat([{"type": "video", "video": "a.mp4"}]), Problem.UNSUPPORTED_MODALITY),
        (chat("x", audios=["a.wav"]), Problem.UNSUPPORTED_MODALITY),
        (chat("x", ""), Problem.NO_ANSWER),
        ({"instruction": "x", "output": None}, Problem.MALFORMED),
        ({"instruction": "x", "output": "y", "history": [["q"]]}, Problem.MALFORMED),
        (with_loss({}, {"loss": False}), Problem.NO_ANSWER),
        (with_loss({}, {"loss_scale": 0.3}), Problem.UNSUPPORTED_LOSS),
        (with_loss({}, {"weight": "all"}), Problem.UNSUPPORTED_LOSS),
        (with_loss({"loss": True}, {}), Problem.UNSUPPORTED_LOSS),
        (
            {"messages": [{"role": "user", "content": "x"}, {"role": "system", "content": "x"}, {"role": "assistant", "content": "x"}]},
            Problem.ROLE_ORDER,
        ),
        (b"{]", Problem.MALFORMED),
    ],
    "webdataset": [
        ({"json": b"{"}, Problem.MALFORMED),
        ({"json": {"caption": "x"}}, Problem.MISSING_IMAGE),
        ({"txt": b"x"}, Problem.MISSING_IMAGE),
        ({"png": png(0)}, Problem.MALFORMED),
        ({"png": png(0), "json": {"width": 3}}, Problem.MALFORMED),
        ({"png": png(0), "txt": b"\xff"}, Problem.BAD_ENCODING),
        ({"png": png(0), "txt": b""}, Problem.NO_ANSWER),
        ({"json": llava("a.png")}, Problem.MISSING_IMAGE),
        ({"png": png(0), "json": llava(None, "<image><image>")}, Problem.PLACEHOLDER_MISMATCH),
        ({"png": png(0), "json": {"question": "?", "answers": []}}, Problem.NO_ANSWER),
        ({"png": png(0), "json": {"question": "?", "answers": ["a"], "answer_weights": [1, 2]}}, Problem.MALFORMED),
        ({"mp4": b"x", "txt": b"x"}, Problem.UNSUPPORTED_MODALITY),
    ],
    "parquet": [
        (fine(None), Problem.MALFORMED),
        (fine("x", None), Problem.MALFORMED),
        (fine("x", ""), Problem.NO_ANSWER),
        (fine(texts=[]), Problem.NO_ANSWER),
        (fine(texts=None), Problem.MALFORMED),
        (fine(images=[{"bytes": None, "path": None}]), Problem.MISSING_IMAGE),
        (fine(images=[None]), Problem.MALFORMED),
    ],
}
GOOD = {"llava": llava(None, "fine"), "chat": chat("fine"), "parquet": fine("fine"), "webdataset": {"png": png(0), "txt": b"fine"}}


def write_hostile(format_: str, folder: Path) -> Path:
    records = [record for record, _ in HOSTILE[format_]]
    mixed = [GOOD[format_], *records, GOOD[format_]]
    if format_ == "webdataset":
        return write_tar(folder / "x", {f"{number:03}.{field}": data for number, row in enumerate(mixed) for field, data in row.items()})
    return write_parquet(folder / "x", mixed) if format_ == "parquet" else write_jsonl(folder / "x", mixed)


@pytest.mark.parametrize("format_", HOSTILE)
def test_every_bad_record_is_a_row_with_its_problem(format_: str, tmp_path: Path) -> None:
    rows = list(open_rows(SourceSpec("s", format_, str(write_hostile(format_, tmp_path)))))
    assert rows[0].sample is not None
    assert rows[-1].sample is not None
    found = [row.problem for row in rows[1:-1]]
    assert found == [problem for _, problem in HOSTILE[format_]]


@pytest.mark.parametrize("format_", HOSTILE)
def test_get_equals_the_walk_and_both_are_repeatable(format_: str, tmp_path: Path) -> None:
    spec = SourceSpec("s", format_, str(write_hostile(format_, tmp_path)))
    rows = open_rows(spec)
    walked = list(rows)
    assert [row.number for row in walked] == list(range(len(rows)))
    assert [rows.get(number) for number in reversed(range(len(rows)))] == walked[::-1]
    assert list(open_rows(spec)) == walked


@pytest.mark.parametrize("name", reader_names())
def test_readers_say_who_they_are_and_never_raise_on_sniffing(name: str, tmp_path: Path) -> None:
    reader = find_reader(name)
    assert reader.name == name
    assert reader.version >= 1
    (tmp_path / "folder").mkdir()
    for path in (write(tmp_path / "noise", bytes(range(256)) * 9), write(tmp_path / "none", b""), tmp_path / "folder", tmp_path / "absent"):
        assert not reader.sniff(path)


@pytest.mark.parametrize("format_", ["llava", "chat", "parquet", "tsv", "webdataset"])
@pytest.mark.parametrize("data", [None, b"", b"[]", b"\n\n", b"\xef\xbb\xbf", b"PAR1"])
def test_an_unusable_file_is_one_clear_sentence(format_: str, data: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "x" if data is None else write(tmp_path / "x", data)
    if format_ in ("llava", "chat") and data == b"PAR1":
        return  # one line that is no JSON: a row with a problem
    with pytest.raises(SourceError) as caught:
        open_rows(SourceSpec("s", format_, str(path)))
    assert "\n" not in str(caught.value)
    assert any(cure in str(caught.value) for cure in ("--path", "columns", "download it again"))


def test_array_survives_what_breaks_a_parser(tmp_path: Path) -> None:
    good = b'{"conversations": [{"from": "human", "value": "a ] } , \\" b"}, {"from": "gpt", "value": "c"}]}'
    text = b"\xef\xbb\xbf [\r\n" + good + b",\r\n" + b'{"conversations": "\xff"}' + b",\n{oops}," + good + b",\n" + good[:-9]
    rows = list(open_rows(SourceSpec("s", "llava", str(write(tmp_path / "x.json", text)))))
    assert [row.problem for row in rows] == [None, Problem.BAD_ENCODING, Problem.MALFORMED, None, Problem.UNSPLIT]
    assert rows[0].sample is not None
    assert rows[0].sample.turns[0].text == 'a ] } , " b'


def test_lines_with_bom_blank_lines_and_crlf(tmp_path: Path) -> None:
    import json

    line = json.dumps(llava(None, "x")).encode()
    rows = open_rows(SourceSpec("s", "llava", str(write(tmp_path / "x.jsonl", b"\xef\xbb\xbf" + line + b"\r\n\r\n  \n" + line))))
    assert [row.problem for row in rows] == [None, None]


TALK = [("user", "a"), ("assistant", "wrong"), ("user", "b"), ("assistant", "right")]


@pytest.mark.parametrize("mark", [{"loss": False}, {"loss": 0}, {"loss_scale": 0.0}, {"weight": 0}])
@pytest.mark.parametrize("format_", ["chat", "parquet", "llava"])
def test_an_answer_without_loss_is_marked_and_is_another_row(format_: str, mark: dict[str, Any], tmp_path: Path) -> None:
    def record(**marked: Any) -> dict[str, Any]:
        names = ("from", "value") if format_ == "llava" else ("role", "content")
        turns = [{names[0]: role, names[1]: text, **(marked if text == "wrong" else {})} for role, text in TALK]
        return {"conversations" if format_ == "llava" else "messages": turns}

    def sample_of(name: str, record: dict[str, Any]) -> Sample:
        return first_sample((write_parquet if format_ == "parquet" else write_jsonl)(tmp_path / name, [record]), format_)

    plain, marked = sample_of("plain", record()), sample_of("marked", record(**mark))
    assert [turn.has_loss for turn in plain.turns] == [True] * 4
    assert [turn.has_loss for turn in marked.turns] == [True, False, True, True]
    assert plain.text_digest() != marked.text_digest()
    assert sample_of("null", record(**dict.fromkeys(mark))) == plain


def test_a_system_field_is_read_with_and_without_images(tmp_path: Path) -> None:
    text = {**llava(None, "Hi"), "system": "Be brief."}
    seen = {**llava(None, "<image>Hi"), "images": ["coco/a.png"], "system": "Be brief."}
    onevision = {**text, "id": "1", "data_source": "x"}
    for path in (
        write_json(tmp_path / "x.json", [text]),
        write_json(tmp_path / "y.json", [seen]),
        write_parquet(tmp_path / "z", [onevision]),
    ):
        turns = first_sample(path, detect_format(path)).turns
        assert turns[0] == Turn(Role.SYSTEM, ("Be brief.",)), path
        assert [turn.role for turn in turns] == [Role.SYSTEM, Role.USER, Role.ASSISTANT]


def test_literal_image_in_an_answer_is_text(tmp_path: Path) -> None:
    record = llava("a.png", "<image>\nWhich tag?", "Write <image> there")
    for format_, path in (
        ("llava", write_json(tmp_path / "x.json", [record])),
        ("chat", write_jsonl(tmp_path / "y", [chat("<image>Which tag?", "Write <image> there", images=["a.png"])])),
    ):
        sample = first_sample(path, format_)
        assert len(sample.images) == 1
        assert sample.turns[1].parts == ("Write <image> there",)
    content = [{"type": "text", "text": "Is <image> a tag?"}]
    assert first_sample(write_jsonl(tmp_path / "z", [chat(content)]), "chat").turns[0].parts == ("Is <image> a tag?",)


def test_row_without_an_image_in_every_spelling(tmp_path: Path) -> None:
    path = write_json(tmp_path / "x.json", [{**llava(None, "Hi"), "image": empty} for empty in (None, "", [])])
    assert [row.sample.images for row in open_rows(SourceSpec("s", "llava", str(path))) if row.sample] == [(), (), ()]


def test_many_images_stand_where_the_text_says(tmp_path: Path) -> None:
    sample = first_sample(write_json(tmp_path / "x.json", [llava(["a.png", "b.png"], "<image> or <image>?")]), "llava")
    assert sample.turns[0].parts == (0, " or ", 1, "?")
    assert [ref.path for ref in sample.images] == ["a.png", "b.png"]


def test_one_image_without_a_place_comes_first(tmp_path: Path) -> None:
    assert first_sample(write_json(tmp_path / "x.json", [llava("a.png", "What?")]), "llava").turns[0].parts == (0, "What?")


def test_shards_are_one_source_and_row_groups_do_not_show(tmp_path: Path) -> None:
    for shard in range(3):
        write_parquet(
            tmp_path / "data" / f"train-{shard}.parquet", [fine(f"{shard} {row}", id=f"{shard}-{row}") for row in range(7)], row_group=2
        )
    rows = open_rows(SourceSpec("s", "parquet", str(tmp_path)))
    assert [row.sample.id for row in rows if row.sample] == [f"{shard}-{row}" for shard in range(3) for row in range(7)]
    assert rows.get(9).sample == list(rows)[9].sample


@pytest.mark.parametrize("format_", ["llava", "chat"])
def test_json_shards_in_a_folder_are_one_source_in_the_order_of_their_names(format_: str, tmp_path: Path) -> None:
    def record(name: str) -> dict[str, Any]:
        return llava("a.png", id=name) if format_ == "llava" else chat("Hi", id=name)

    write_jsonl(tmp_path / "2.jsonl", [record("c"), record("d")])
    write_json(tmp_path / "1.json", [record("a"), record("b")])
    write_json(tmp_path / "3.json", [])
    write_json(tmp_path / "4.json", [record("e")])
    with pytest.raises(SourceError, match=r"3\.json holds no records"):
        detect_format(tmp_path)
    (tmp_path / "3.json").unlink()
    assert detect_format(tmp_path) == format_
    rows = open_rows(SourceSpec("s", format_, str(tmp_path)))
    assert [row.sample.id for row in rows if row.sample] == ["a", "b", "c", "d", "e"]
    assert [rows.get(number) for number in range(len(rows))] == list(rows)
    write_json(tmp_path / "5.json", {"license": "MIT"})  # type: ignore[arg-type]
    with pytest.raises(SourceError, match="not all of one format"):
        detect_format(tmp_path)


def test_data_a_folder_down_is_pointed_at(tmp_path: Path) -> None:
    """ALLaVA as published: the JSON lies beside the images that its paths begin with, one folder below."""
    write(tmp_path / "allava_laion" / "images" / "1.jpeg", png(0))
    write_json(tmp_path / "allava_laion" / "ALLaVA-Caption.json", [llava("allava_laion/images/1.jpeg")])
    with pytest.raises(SourceError, match=r"allava_laion holds ALLaVA-Caption\.json; give --path .*/allava_laion, .* with --images"):
        detect_format(tmp_path)
    rows = open_rows(SourceSpec("s", detect_format(tmp_path / "allava_laion"), str(tmp_path / "allava_laion"), image_root=str(tmp_path)))
    assert [image.path for row in rows if row.sample for image in row.sample.images] == ["allava_laion/images/1.jpeg"]


def test_damaged_parquet_page_costs_its_row_group_only(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = write_parquet(tmp_path / "x", [fine(f"Question {row} " * 50) for row in range(4)], row_group=2)
    group = pq.ParquetFile(path).metadata.row_group(1)
    chunk = next(group.column(i) for i in range(group.num_columns) if group.column(i).path_in_schema.endswith("user"))
    data = bytearray(path.read_bytes())
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    data[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(bytes(data))
    rows = open_rows(SourceSpec("s", "parquet", str(path)))
    assert [row.problem for row in rows] == [None, None, Problem.MALFORMED, Problem.MALFORMED]
    assert [rows.get(n).problem for n in (3, 0)] == [Problem.MALFORMED, None]


def test_unknown_format_is_named_with_a_guess(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="did you mean 'llava'"):
        find_reader("lava")
    with pytest.raises(SourceError, match="No reader understands"):
        detect_format(write(tmp_path / "x", b"hello"))
    with pytest.raises(SourceError, match="is empty"):
        detect_format(write(tmp_path / "y", b""))
    for nothing in (b"[]", b"\n \n", b"\xef\xbb\xbf[ ]\n"):
        with pytest.raises(SourceError, match=r"holds no records \(0 rows\)"):
            detect_format(write(tmp_path / "z.json", nothing))


def test_importing_is_light() -> None:
    import subprocess
    import sys

    heavy = "{'torch', 'pyarrow', 'pandas', 'numpy', 'PIL', 'transformers'}"
    names = "sampling check split catalogue easy_vqa benchmark_data formats.parquet formats.tsv formats.chat"
    modules = ", ".join("sources." + name for name in names.split(" "))
    code = f"import sys, {modules}; found = {heavy} & set(sys.modules); assert not found, found"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_keys_end_at_the_first_dot_and_images_keep_the_order_of_the_tar(tmp_path: Path) -> None:
    pages = {"d/7.page.0.png": png(0), "d/7.page.1.png": png(1), "d/7.v2.json": llava(None, "<image><image>Same?")}
    others = {"d/sub/7.png": png(2), "d/sub/7.txt": b"deep", "d/folder.x/": b"", "noext": b"x"}
    rows = open_rows(SourceSpec("s", "webdataset", str(write_tar(tmp_path / "x.tar", pages | others))))
    first, second = (row.sample for row in rows)
    assert first is not None
    assert second is not None
    assert [ref.data for ref in first.images] == [png(0), png(1)]
    assert (first.subsource, second.subsource) == ("d", "d")
    assert second.turns[1].text == "deep"


def test_a_tar_that_is_cut_off_or_broken_keeps_its_good_rows(tmp_path: Path) -> None:
    members = {f"{n}.{kind}": data for n in range(4) for kind, data in (("png", png(n)), ("txt", b"x%d" % n))}
    whole = write_tar(tmp_path / "whole.tar", members).read_bytes()
    cut = write(tmp_path / "cut.tar", whole[: whole.index(png(3)) + 10])
    rows = list(open_rows(SourceSpec("s", "webdataset", str(cut))))
    assert [row.problem for row in rows[:3]] == [None] * 3
    assert all(row.problem is not None for row in rows[3:])
    assert rows[3:]
    header = whole.index(b"2.png")
    broken = write(tmp_path / "broken.tar", whole[:header] + b"\xff" * 400 + whole[header + 400 :])
    rows = list(open_rows(SourceSpec("s", "webdataset", str(broken))))
    assert [row.problem for row in rows] == [None, None, Problem.UNSPLIT]
    assert "broken.tar" in rows[2].detail


def test_shards_of_tars_are_one_source_and_its_fingerprint_follows_their_bytes(tmp_path: Path) -> None:
    for shard in range(3):
        write_tar(tmp_path / f"{shard}.tar", {f"{n}.{kind}": data for n in range(2) for kind, data in (("png", png(n)), ("txt", b"x"))})
    spec = SourceSpec("s", "webdataset", str(tmp_path))
    assert len(open_rows(spec)) == 6
    before = fingerprint(spec)
    write(tmp_path / "0_stats.json", b"{}")
    assert fingerprint(spec) == before
    write_tar(tmp_path / "2.tar", {"0.png": png(9), "0.txt": b"y"})
    assert fingerprint(spec) != before


def test_images_of_a_row_stand_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    pages = {f"k.{n}.png": png(n) for n in (0, 1, 10, 2)}
    path = write_tar(tmp_path / "x.tar", pages | {"k.json": llava(None, "<image><image><image><image>?")})
    assert [ref.data for ref in first_sample(path, "webdataset").images] == [png(n) for n in (0, 1, 2, 10)]


def test_a_tar_reaches_no_file_outside_itself(tmp_path: Path) -> None:
    record = chat([{"type": "image_url", "image_url": {"url": "secret.png"}}, {"type": "text", "text": "?"}])
    rows = open_rows(SourceSpec("s", "webdataset", str(write_tar(tmp_path / "x.tar", {"1.json": record}))))
    assert rows.get(0).problem is Problem.MISSING_IMAGE


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "described", ["made: 2024-99-99", "[" * 100_000, BOMB + "field_map: {image: *i}", "field_map: [1]", "x" * 2_000_000]
)
def test_a_hostile_energon_folder_is_read_or_refused(described: str, tmp_path: Path) -> None:
    write(tmp_path / ".nv-meta" / "dataset.yaml", described.encode())
    write_tar(tmp_path / "x.tar", {"1.png": png(0), "1.txt": b"A cat."})
    told = ""
    try:
        rows = len(open_rows(SourceSpec("s", "webdataset", str(tmp_path))))
    except SourceError as error:
        rows, told = 0, str(error)
    assert rows == 1 or (told and "\n" not in told)


def test_chained_long_names_do_not_stop_a_run(tmp_path: Path) -> None:
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 5
    link = header.tobuf(tarfile.GNU_FORMAT) + b"name\0".ljust(512, b"\0")
    path = write(tmp_path / "x.tar", link * 3000)
    assert [row.problem for row in open_rows(SourceSpec("s", "webdataset", str(path)))] == [Problem.UNSPLIT]
