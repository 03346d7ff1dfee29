"""Where the elements of a JSON array begin and end, also in an array that is broken.

    [{"id": 1, ...}, {"id: 2, ...}, {"id": 3, ...}]        three spans; the second is no JSON

An element is a span that parses. Where none does, the span goes on to the next object that parses and has the keys of a record
(of the ones before, not of a turn inside one), so a broken record costs itself only. Text is taken a window at a time.
"""

from __future__ import annotations

import json
import mmap
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Data = mmap.mmap | bytes
Keys = frozenset[str]

_MAX_ELEMENT_BYTES = 256 * 1024 * 1024
# While no record's keys are known, nothing tells a large element from one that lost its end; so much is looked at to learn them.
_FIRST_BYTES = 16 * 1024 * 1024
_LEAST_WINDOW = 64 * 1024
_KINDS_KEPT = 64  # of key sets
_MOST_FAILURES = 8  # of objects inside each other, all broken at the same place, before the search goes on behind it
_BETWEEN = re.compile(rb"[\s,]*+(?:\][\s,\[]*+)*+")
_LEADS_ON = re.compile(rb"\s*+(?:,\s*+\{|\]\s*+\Z)")  # what stands behind a whole record: another, or the end of the array
_OBJECT = re.compile(rb'\{(?=\s*+"(?:[^"\\]|\\.){0,200}+"\s*+:)')  # with a key: most of what cannot be an object is not tried
_SPACE = re.compile(rb"\s*+")
# Numbers as floats: Python refuses to make an int of thousands of digits, which is the record's own problem and not the array's.
_DECODER = json.JSONDecoder(parse_int=float)


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `start` to `end` of a file; `rest` says that no element was found behind a broken one, to the end of the file."""

    start: int
    end: int
    rest: bool = False


@dataclass(frozen=True, slots=True)
class _Parsed:
    end: int
    value: Any

    @property
    def keys(self) -> Keys:
        """The keys of an object; of anything else, none."""
        return frozenset(self.value) if isinstance(self.value, dict) else frozenset()


@dataclass(frozen=True, slots=True)
class _Failed:
    at: int
    cut: bool = False  # the window ended before the element did
    deep: bool = False  # nested deeper than Python can follow, at least to `at`


def array_spans(data: Data, start: int) -> Iterator[Span]:
    """Yield the elements of the array whose first byte behind `[` is at `start`."""
    return _Splitter(data).spans(start)


class _Splitter:
    def __init__(self, data: Data) -> None:
        self._data = data
        self._known: set[Keys] = set()
        self._in_pieces = False  # the array began with no object: what follows may be the turns of a broken record
        self._asked = False  # the objects behind the first broken element were asked for their keys
        self._largest = 0
        self._base, self._text = 0, ""

    def spans(self, at: int) -> Iterator[Span]:
        at = self._behind(at)
        while at < len(self._data):
            found = self._element(at)
            if found is None:
                end = self._next_record(at + 1)
                yield Span(at, len(self._data) if end is None else end, rest=end is None)
            else:
                end = found.end
                self._learn(found, at)
                yield Span(at, end)
            at = len(self._data) if end is None else self._behind(end)

    def _behind(self, at: int) -> int:
        """Return where the next element begins: behind commas, and behind a bracket that does not end the file."""
        between = _BETWEEN.match(self._data, at)
        return between.end() if between else at

    def _learn(self, found: _Parsed, at: int) -> None:
        self._largest = max(self._largest, found.end - at)
        self._in_pieces |= not found.keys and not self._known
        if found.keys and not self._in_pieces and len(self._known) < _KINDS_KEPT and _LEADS_ON.match(self._data, found.end):
            self._known.add(found.keys)

    def _element(self, at: int) -> _Parsed | None:
        """Return the element at a place; None where there is none, or one that swallows whole records."""
        size = self._window()
        while True:
            found = self._parse(at, size)
            if isinstance(found, _Parsed):
                return found if self._is_delimited(found.end) else None
            most = _MAX_ELEMENT_BYTES if self._known else _FIRST_BYTES
            if not found.cut or size >= most or self._record_inside(at + 1, at + size):
                return None
            size *= 4

    def _window(self) -> int:
        return max(_LEAST_WINDOW, 2 * self._largest)

    def _is_delimited(self, end: int) -> bool:
        space = _SPACE.match(self._data, end)
        behind = space.end() if space else end
        return self._data[behind : behind + 1] in (b",", b"]", b"{", b"")  # `{`: the comma is missing

    def _record_inside(self, start: int, stop: int) -> bool:
        return any(self._is_record(found.keys) for _, found in self._objects(start, stop, self._window()))

    def _next_record(self, start: int) -> int | None:
        """Return where the next object with a record's keys begins."""
        if not self._asked:
            self._known = self._known_and_guessed(start)
            self._asked, self._in_pieces = True, False
        for at, found in self._objects(start, len(self._data), self._window()):
            if self._is_record(found.keys):
                return at
        return None

    def _known_and_guessed(self, start: int) -> set[Keys]:
        """Return the keys of records as the complete objects behind the first broken element show them.

        To the ones learned come those that most bytes belong to. What is found inside objects of other keys is no record: an array
        that begins in the middle of a record begins with its turns.
        """
        known, self._known = self._known, set()  # nothing that was learned decides where an object may end
        sizes: Counter[Keys] = Counter()
        inside: set[Keys] = set()
        for at, found in self._objects(start, min(len(self._data), start + _FIRST_BYTES), self._window()):
            sizes[found.keys] += found.end - at
            inside |= _keys_inside(found.value) - {found.keys}
        most = [keys for keys, _ in sizes.most_common() if keys not in inside]
        return (known | set(most[:1])) - inside

    def _is_record(self, keys: Keys) -> bool:
        return any(2 * len(keys & known) > min(len(keys), len(known)) for known in self._known)

    def _objects(self, start: int, stop: int, size: int) -> Iterator[tuple[int, _Parsed]]:
        """Yield complete objects that begin from `start` to `stop`, none that is inside another complete one."""
        failed_at, failures = -1, 0
        while candidate := _OBJECT.search(self._data, start, stop):
            at = candidate.start()
            found = self._parse(at, size)
            if isinstance(found, _Failed) and found.cut and (stop == len(self._data) or not self._known):
                found = self._element(at) or found
            if isinstance(found, _Parsed):
                yield at, found
                start = found.end
                continue
            failures = failures + 1 if found.at == failed_at else 1
            failed_at = found.at
            start = max(at + 1, failed_at) if failures >= _MOST_FAILURES or found.deep else at + 1

    def _parse(self, at: int, size: int) -> _Parsed | _Failed:
        if not self._base <= at <= at + size <= self._base + len(self._text) and not self._holds_the_end(at):
            # Latin-1 has a character for every byte, so that places are the file's and bad UTF-8 stays a record's own problem.
            self._base, self._text = at, self._data[at : at + 2 * size].decode("latin-1")
        try:
            value, end = _DECODER.raw_decode(self._text, at - self._base)
        except json.JSONDecodeError as error:
            near_end = error.pos >= len(self._text) - 16 or error.msg.startswith("Unterminated string")
            return _Failed(self._base + error.pos, near_end and self._base + len(self._text) < len(self._data))
        except RecursionError:
            return _Failed(at + sys.getrecursionlimit() // 2, deep=True)
        return _Parsed(self._base + end, value)

    def _holds_the_end(self, at: int) -> bool:
        return self._base <= at and self._base + len(self._text) == len(self._data) and bool(self._text)


def _keys_inside(value: Any) -> set[Keys]:
    """Return the keys of all objects inside one."""
    found: set[Keys] = set()
    waiting = [value]
    while waiting:
        one = waiting.pop()
        members = one.values() if isinstance(one, dict) else one
        for member in members:
            if isinstance(member, dict):
                found.add(frozenset(member))
            if isinstance(member, dict | list):
                waiting.append(member)
    return found
