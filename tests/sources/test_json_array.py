"""A broken element of a JSON array costs itself and nothing else."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making_sources import pair

from sources.formats.json_records import JsonRecords
from sources.problems import Problem, RowError
from tests.writing_files import write

Break = Callable[[bytes, float], bytes]


def _without(pattern: bytes) -> Break:
    """Take one match of a pattern out, chosen by a number from 0 to 1."""

    def broken(element: bytes, where: float) -> bytes:
        found = list(re.finditer(pattern, element))
        match = found[int(where * len(found))]
        return element[: match.start()] + element[match.end() :]

    return broken


def _inserted(text: bytes) -> Break:
    """Put something into the middle of a string."""

    def broken(element: bytes, where: float) -> bytes:
        found = list(re.finditer(rb'(?<=[a-z])(?=[a-z?."])', element))
        at = found[int(where * len(found))].start()
        return element[:at] + text + element[at:]

    return broken


BREAKS: dict[str, Break] = {
    "missing quote": _without(rb'"'),
    "missing bracket": _without(rb"[\[\]]"),
    "missing brace": _without(rb"[{}]"),
    "missing colon or comma": _without(rb"[:,]"),
    "truncated": lambda element, where: element[: 1 + int(where * (len(element) - 1))],
    "beheaded": lambda element, where: element[int(where * (len(element) - 1)) + 1 :],
    "bad escape": _inserted(b"\\q"),
    "half an escape": _inserted(b"\\u12"),
    "line break in a string": _inserted(b"\n"),
    "bad UTF-8": _inserted(b"\xff"),
    "quote in a string": _inserted(b'"'),
    "bracket and brace": _inserted(b'"}]}'),
    "closed twice": lambda element, _: element + b"}]}",
    "garbage behind": lambda element, _: element + b" oops",
    "not an object": lambda _, where: b"nul" if where < 0.5 else b"[[",
    "deep": lambda _, where: b'{"a":' * (3000 if where < 0.5 else 30),
}


def records(n: int, turns: int) -> list[dict[str, Any]]:
    made = [pair(f"coco/{number}.png", number, id=f"row {number}") for number in range(n)]
    for number, record in enumerate(made):
        record["conversations"] = record["conversations"] * turns
        if number % 3 == 2:  # text-only rows have other keys
            del record["image"]
    return made


def read(path: Path, elements: list[bytes], separator: bytes) -> list[Any]:
    return list(JsonRecords([write(path, b"[" + separator.join(elements) + b"]\n")]))


@pytest.mark.parametrize("kind", BREAKS)
@given(
    broken=st.sets(st.integers(0, 11), min_size=1, max_size=4),
    where=st.floats(0, 0.999),
    turns=st.integers(1, 3),
    indent=st.sampled_from([None, 1]),
    separator=st.sampled_from([b",", b", ", b",\n", b" ,\r\n"]),
)
@settings(max_examples=40, deadline=None)
def test_every_element_that_is_not_broken_is_read(
    kind: str,
    broken: set[int],
    where: float,
    turns: int,
    indent: int | None,
    separator: bytes,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    whole = records(12, turns)
    elements = [json.dumps(record, indent=indent).encode() for record in whole]
    elements = [BREAKS[kind](element, where) if number in broken else element for number, element in enumerate(elements)]
    found = read(Path(tmp_path_factory.getbasetemp()) / "broken.json", elements, separator)
    names = [record.get("id") for record in found if isinstance(record, dict) and "conversations" in record]
    good = [record["id"] for number, record in enumerate(whole) if number not in broken]
    assert [name for name in names if name in good] == good
    assert any(isinstance(record, RowError) for record in found) or len(names) == 12, "the damage left a record or is counted"


@pytest.mark.parametrize("place", [0, 50, 198])
def test_one_missing_quote_costs_one_row(place: int, tmp_path: Path) -> None:
    elements = [json.dumps(record).encode() for record in records(200, 2)]
    elements[place] = elements[place].replace(b'"id": "row', b'"id": row', 1)
    found = read(tmp_path / "lost.json", elements, b", ")
    assert [number for number, record in enumerate(found) if isinstance(record, RowError)] == [place]
    assert len(found) == 200


def test_what_cannot_be_split_is_a_problem_of_its_own(tmp_path: Path) -> None:
    elements = [json.dumps(record).encode() for record in records(20, 2)]
    path = write(tmp_path / "cut.json", (b"[" + b",".join(elements))[:-60])
    last = list(JsonRecords([path]))[-1]
    assert isinstance(last, RowError)
    assert last.problem is Problem.UNSPLIT
    assert "cut.json" in last.detail


def test_an_array_that_is_closed_too_early_goes_on(tmp_path: Path) -> None:
    one, two = (json.dumps(record).encode() for record in records(2, 1))
    for text in (b"[%b],%b]", b"[%b]\n[%b]", b"[%b %b", b"[,,%b,,%b,]"):
        assert [record["id"] for record in JsonRecords([write(tmp_path / "x.json", text % (one, two))])] == ["row 0", "row 1"]


def test_elements_larger_than_the_window_are_whole(tmp_path: Path) -> None:
    whole = records(6, 1)
    for size, record in zip((10, 100_000, 10, 3_000_000, 10, 700_000), whole, strict=True):
        record["conversations"][0]["value"] += "x, {" * (size // 4)
        record["conversations"] += [{"from": "human", "value": "y" * 50}, {"from": "gpt", "value": "z"}] * (size // 1000)
    for damage in (None, 0, 2):
        elements = [json.dumps(record).encode() for record in whole]
        if damage is not None:
            elements[damage] = elements[damage].replace(b"]", b"", 1)
        found = read(tmp_path / "large.json", elements, b",")
        assert [isinstance(record, RowError) for record in found] == [number == damage for number in range(6)]


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":' * 200_000,
        b'{"a":[0,' * 100_000,
        b'{"' * 1_000_000,
        b'[{"a": "' * 50_000,
        b',{"a":1' * 50_000,
        b'{"a":{"b":[1,2}' * 50_000,
    ],
    ids=["deep", "deep lists", "quotes", "strings", "no ends", "wrong ends"],
)
def test_hostile_arrays_take_linear_time(text: bytes, tmp_path: Path) -> None:
    good = json.dumps(records(1, 1)[0]).encode()
    began = time.process_time()
    found = list(JsonRecords([write(tmp_path / "x.json", b"[" + good + b"," + text)]))
    assert found[0]["id"] == "row 0"
    assert time.process_time() - began < 20


def test_every_second_element_without_its_end_takes_linear_time(tmp_path: Path) -> None:
    elements = [json.dumps(record).encode() for record in records(2000, 2)]
    elements = [element[:-2] if number % 2 else element for number, element in enumerate(elements)]
    began = time.process_time()
    found = read(tmp_path / "x.json", elements, b", ")
    assert sum(isinstance(record, dict) for record in found) == 1000
    assert time.process_time() - began < 20


def test_a_good_row_behind_two_broken_first_elements_is_read(tmp_path: Path) -> None:
    whole = records(12, 1)
    elements = [json.dumps(record).encode() for record in whole]
    elements = [BREAKS["bracket and brace"](element, 0.125) if number < 2 else element for number, element in enumerate(elements)]
    found = read(tmp_path / "broken.json", elements, b",")
    names = [record.get("id") for record in found if isinstance(record, dict) and "conversations" in record]
    assert names == [record["id"] for record in whole[2:]]


def test_an_array_that_begins_inside_a_record_loses_that_record_only(tmp_path: Path) -> None:
    whole = records(12, 2)
    elements = [json.dumps(record).encode() for record in whole]
    elements[0] = elements[0][elements[0].index(b'{"from"') :]  # begins with whole turns, as if they were records
    found = read(tmp_path / "broken.json", elements, b",")
    names = [record.get("id") for record in found if isinstance(record, dict) and "conversations" in record]
    assert names == [record["id"] for record in whole[1:]]
