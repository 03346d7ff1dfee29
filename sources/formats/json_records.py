"""JSON records on disk: the byte span of each, found once, and single records parsed on demand.

A file is one JSON array (`[{...}, {...}]`) or JSON lines. A record that is broken costs that record only: the array is
split by its brackets, not by parsing it, so bad UTF-8 or a missing comma in one element leaves the others readable.
"""

from __future__ import annotations

import json
import mmap
import re
from array import array
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from sources.problems import Problem, RowError, SourceError

MAX_RECORD_BYTES = 256 * 1024 * 1024
_HEAD_BYTES = 16 * 1024 * 1024  # of a sniff: more than one record with its images inside
_BOM = b"\xef\xbb\xbf"
# A whole string, or one structural byte. Possessive, so that hostile input cannot make it backtrack.
_TOKEN = re.compile(rb'"(?>[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
_STRING = rb'"(?>[^"\\]++|\\.)*+"'


def _nested(depth: int) -> bytes:
    inner = rb"|" + _nested(depth - 1) if depth else b""
    return rb'[\[{](?>[^"{}\[\]]++|' + _STRING + inner + rb")*+[\]}]"


# A whole element and what follows it in one match, for elements nested as ordinary records are: 20 times as fast as by token.
_ELEMENT = re.compile(rb"\s*+(" + _nested(5) + rb")\s*+([,\]])", re.DOTALL)


class JsonRecords:
    """The records of one file by number. Holds two integers a record."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._starts, self._ends = _spans(path)
        if not self._starts:
            raise SourceError(f"{path} holds no records (0 rows); check that the download finished, or give another --path")

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[dict[str, Any] | RowError]:
        with self.path.open("rb") as file:
            for start, end in zip(self._starts, self._ends, strict=True):
                yield _record_at(file, start, end)

    def get(self, number: int) -> dict[str, Any] | RowError:
        """Return one record, or why it is none."""
        with self.path.open("rb") as file:
            return _record_at(file, self._starts[number], self._ends[number])


def first_records(path: Path, count: int = 50) -> list[dict[str, Any]]:
    """Return the good ones among a JSON file's first records, for a sniff; empty if it is no such file."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return []
    records: list[dict[str, Any]] = []
    for start, end in islice(_record_spans(head), count):
        try:
            records.append(parse_record(head[start:end]))
        except RowError:
            continue
    return records


def parse_record(data: bytes) -> dict[str, Any]:
    """Return one JSON object.

    Raises:
        RowError: not UTF-8, not JSON, not an object, nested too deeply, or a key stands twice.
    """
    if len(data) > MAX_RECORD_BYTES:
        raise RowError(Problem.MALFORMED, f"a record of {len(data)} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RowError(Problem.BAD_ENCODING, f"byte {error.start} of the record is not UTF-8") from error
    try:
        record = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise RowError(Problem.MALFORMED, str(error) or type(error).__name__) from error
    if not isinstance(record, dict):
        raise RowError(Problem.MALFORMED, f"a record is an object, this is a {type(record).__name__}")
    return record


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return record


def _record_at(file: Any, start: int, end: int) -> dict[str, Any] | RowError:
    try:
        file.seek(start)
        return parse_record(file.read(min(end - start, MAX_RECORD_BYTES + 1)))
    except RowError as error:
        return error
    except OSError as error:
        return RowError(Problem.MALFORMED, str(error))


def _spans(path: Path) -> tuple[array[int], array[int]]:
    starts, ends = array("q"), array("q")
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for start, end in _record_spans(data):
                starts.append(start)
                ends.append(end)
    except FileNotFoundError as error:
        raise SourceError(f"There is no file {path}; give the data file with --path") from error
    except ValueError:  # mmap's word for an empty file
        return starts, ends
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror}); check its permissions") from error
    return starts, ends


def _record_spans(data: mmap.mmap | bytes) -> Iterator[tuple[int, int]]:
    start = len(_BOM) if data[:3] == _BOM else 0
    first = re.compile(rb"\S").search(data, start)
    if first is None:
        return iter(())
    return _array_spans(data, first.start()) if first.group() == b"[" else _line_spans(data, start)


def _line_spans(data: mmap.mmap | bytes, start: int) -> Iterator[tuple[int, int]]:
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        if data[start:end].strip():
            yield start, end
        start = end + 1


def _array_spans(data: mmap.mmap | bytes, opening: int) -> Iterator[tuple[int, int]]:
    start, delimiter = opening + 1, b","
    while delimiter == b",":
        element = _ELEMENT.match(data, start)
        if element:
            end, delimiter, following = element.end(1), element.group(2), element.end()
        else:
            end, delimiter = _element_end(data, start)
            following = end + 1
        if delimiter == b"," or data[start:end].strip():
            yield start, end
        start = following


def _element_end(data: mmap.mmap | bytes, start: int) -> tuple[int, bytes]:
    """Return where an element ends, however deep or broken it is, and what ends it: a comma, a bracket, or the file."""
    depth = 0
    for token in _TOKEN.finditer(data, start):
        byte = data[token.start() : token.start() + 1]
        if byte in b"[{":
            depth += 1
        elif byte in b"]}":
            depth -= 1
        if depth < 0 or (depth == 0 and byte == b","):
            return token.start(), byte
    return len(data), b""
