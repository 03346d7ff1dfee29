"""Whatever JSON a record is, a reader gives a sample or a `RowError`, and a sample is well formed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.formats import chat, llava, open_rows, parquet
from sources.formats.json_records import JsonRecords
from sources.problems import RowError, SourceError
from sources.sample import Role, Sample
from sources.spec import SourceSpec

KEYS = st.sampled_from(
    [
        "id",
        "image",
        "images",
        "conversations",
        "messages",
        "from",
        "value",
        "role",
        "content",
        "type",
        "text",
        "image_url",
        "url",
        "path",
        "bytes",
        "texts",
        "user",
        "assistant",
        "source",
        "instruction",
        "input",
        "output",
        "history",
        "system",
        "video",
        "audios",
        "channel",
        "data_source",
        "query",
        "response",
        "objects",
        "pdf",
        "relevance_ratings",
    ]
)
WORDS = st.sampled_from(
    [
        "",
        "<image>",
        "<image>x",
        "human",
        "gpt",
        "user",
        "assistant",
        "system",
        "text",
        "image",
        "image_url",
        "a/b.png",
        "/root/b.png",
        "file:///root/b.png",
        "https://example.org/b.png",
        "<bbox>",
        "data:,x",
        "\ud800",
        "\0",
    ]
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), WORDS, st.binary(max_size=3))
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)), max_leaves=12
)
TURN = st.fixed_dictionaries({"role": WORDS, "content": ANYTHING}) | st.fixed_dictionaries({"from": WORDS, "value": ANYTHING})
TURNS = st.lists(TURN | ANYTHING, max_size=4)
RECORD = st.dictionaries(KEYS, ANYTHING, max_size=5).flatmap(
    lambda record: st.sampled_from(("messages", "conversations", "texts", "x")).flatmap(
        lambda name: TURNS.map(lambda turns: {**record, name: turns})
    )
)


def rated(record: dict[str, Any], number: int, root: str) -> Sample:
    return parquet.read_record(record, number, root, 3)


@pytest.mark.parametrize("read", [llava.read_record, chat.read_record, parquet.read_record, rated])
@given(record=RECORD)
@settings(max_examples=100, deadline=None)
def test_any_record(read: Any, record: dict[str, Any]) -> None:
    try:
        sample = read(record, 0, "/root")
    except RowError:
        return
    spoken = [turn.role for turn in sample.turns if turn.role is not Role.SYSTEM]
    assert spoken == [Role.USER, Role.ASSISTANT] * (len(spoken) // 2)
    assert [place for turn in sample.turns for place in turn.image_places] == list(range(len(sample.images)))
    assert (sample.id + sample.subsource + "".join(turn.text for turn in sample.turns)).encode()


@given(data=st.binary(max_size=60) | st.text('[]{}",:\\ \n01a', max_size=40).map(str.encode))
@settings(max_examples=150, deadline=None)
def test_any_bytes(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = Path(tmp_path_factory.getbasetemp() / "fuzz")
    path.write_bytes(data)
    for format_ in ("llava", "chat", "parquet", "tsv"):
        try:
            rows = open_rows(SourceSpec("s", format_, str(path)))
        except SourceError:
            continue
        walked = list(rows)
        assert len(walked) == len(rows) > 0
        assert all((row.sample is None) != (row.problem is None) for row in walked)


@given(records=st.lists(st.dictionaries(st.text(max_size=4), ANYTHING, max_size=2), min_size=1, max_size=5), indent=st.integers(0, 2))
@settings(max_examples=60, deadline=None)
def test_array_and_lines_split_as_json_does(records: list[dict[str, Any]], indent: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    import json

    def plain(value: Any) -> Any:
        return json.loads(json.dumps(value, default=lambda b: b.hex(), allow_nan=True).replace("NaN", "0").replace("Infinity", "0"))

    records = plain(records)
    path = Path(tmp_path_factory.getbasetemp() / "array")
    for text in (json.dumps(records, indent=indent or None), "\n".join(json.dumps(record) for record in records)):
        path.write_text(text)
        read = JsonRecords([path])
        assert list(read) == records
        assert [read.get(n) for n in range(len(read))] == records
