"""JSON records on disk: the byte span of each, found once, and single records parsed on demand.

A file is one JSON array (`[{...}, {...}]`), one of packed lists (`[[{...}, {...}], [{...}]]`, of Qwen-VL) or JSON lines, a source is
one file or several. A record that is broken costs that record only, in an array too: see `sources.formats.json_array`.
"""

from __future__ import annotations

import bisect
import json
import mmap
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from sources.formats.json_array import Data, Span, array_spans
from sources.offsets import Offsets
from sources.problems import Problem, RowError, SourceError

MAX_RECORD_BYTES = 256 * 1024 * 1024
_HEAD_BYTES = 16 * 1024 * 1024  # of a sniff: more than one record with its images inside
_LET_GO_BYTES = 8 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"
_PACKED = re.compile(rb"\s*+\[\s*+\{")


class JsonRecords:
    """The records of some files by number, file after file. Two integers a record are kept, in `Offsets`."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files
        self._starts, self._stops = Offsets(), Offsets()
        self._ends: list[int] = []  # records up to the end of each file
        self._rests: set[int] = set()  # which are no records but what could not be split
        for file in files:
            for span in _file_spans(file):
                if span.rest:
                    self._rests.add(len(self._starts))
                self._starts.append(span.start)
                self._stops.append(span.end)
            self._ends.append(len(self._starts))
        if not self._ends[-1]:
            raise SourceError(no_records_message(files[0]))

    def __len__(self) -> int:
        return self._ends[-1]

    def __iter__(self) -> Iterator[dict[str, Any] | RowError]:
        return self.walk(0, len(self))

    def walk(self, start: int, stop: int) -> Iterator[dict[str, Any] | RowError]:
        """Walk some records in order."""
        for place, end in enumerate(self._ends):
            begin = self._ends[place - 1] if place else 0
            if begin < stop and start < end:
                with self._files[place].open("rb") as file:
                    for number in range(max(start, begin), min(stop, end)):
                        yield self._record(file, number)

    def get(self, number: int) -> dict[str, Any] | RowError:
        """Return one record, or why it is none."""
        with self._files[bisect.bisect_right(self._ends, number)].open("rb") as file:
            return self._record(file, number)

    def _record(self, file: BinaryIO, number: int) -> dict[str, Any] | RowError:
        start, end = self._starts[number], self._stops[number]
        try:
            file.seek(start)
            return parse_record(file.read(min(end - start, MAX_RECORD_BYTES + 1)))
        except RowError as error:
            if number in self._rests:
                return RowError(Problem.UNSPLIT, f"the last {end - start} bytes of {Path(file.name).name}: {error.detail}")
            return error
        except OSError as error:
            return RowError(Problem.MALFORMED, str(error))


def first_records(path: Path, count: int = 50) -> list[dict[str, Any]]:
    """Return the good ones among a JSON file's first records, for a sniff; empty if it is no such file."""
    records: list[dict[str, Any]] = []
    head = _head(path)
    for span in islice(_spans(head), count):
        try:
            records.append(parse_record(head[span.start : span.end]))
        except RowError:
            continue
    return records


def has_no_records(path: Path) -> bool:
    """Say whether a file holds nothing, or nothing but an empty array."""
    return next(iter(_spans(_head(path))), None) is None


def no_records_message(path: Path) -> str:
    """Return the sentence for a file without a record."""
    return f"{path} holds no records (0 rows); check that the download finished, or give another --path"


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
        record = _DECODER.decode(text)
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


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError:
        return b""


def _file_spans(path: Path) -> Iterator[Span]:
    try:
        with path.open("rb") as file:
            if not file.seek(0, 2):
                return  # which cannot be mapped
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                yield from _letting_go(data)
    except FileNotFoundError as error:
        raise SourceError(f"There is no file {path}; give the data file with --path") from error
    except OSError as error:
        cure = "give the file that holds the records" if path.is_dir() else "check its permissions"
        raise SourceError(f"{path} cannot be read ({error.strerror}); {cure}") from error


def _letting_go(data: mmap.mmap) -> Iterator[Span]:
    """Yield the spans of a mapped file, which would otherwise come to be resident as a whole."""
    let_go = 0
    for span in _spans(data):
        yield span
        if span.start - let_go >= _LET_GO_BYTES and hasattr(mmap, "MADV_DONTNEED"):
            start = span.start - span.start % mmap.PAGESIZE
            data.madvise(mmap.MADV_DONTNEED, let_go, start - let_go)
            let_go = start


def _spans(data: Data) -> Iterator[Span]:
    start = len(_BOM) if data[:3] == _BOM else 0
    first = re.compile(rb"\S").search(data, start)
    if first is None:
        return iter(())
    if first.group() != b"[":
        return _unpacked(data, _line_spans(data, start))
    packed = _PACKED.match(data, first.end())  # its bracket is no record's: a broken first record then costs itself only
    return _unpacked(data, array_spans(data, packed.end() - 1 if packed else first.end()))


def _unpacked(data: Data, spans: Iterable[Span]) -> Iterator[Span]:
    """Yield the records of packed lists in the place of the lists."""
    for span in spans:
        if not _PACKED.match(data, span.start, span.end):
            yield span
            continue
        packed = data[span.start : span.end]
        for inner in array_spans(packed, packed.index(b"[") + 1):
            yield Span(span.start + inner.start, span.start + inner.end)


def _line_spans(data: Data, start: int) -> Iterator[Span]:
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        if data[start:end].strip():
            yield Span(start, end)
        start = end + 1
