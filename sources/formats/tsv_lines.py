"""The lines of a TSV by number: where each stands is found once, and a line is parsed when it is asked for.

So a table of images in base64 takes no memory for them. A quoted cell may go on over lines; a quote that is never closed costs its own
line only.
"""

from __future__ import annotations

import csv
import io
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, overload

from sources.offsets import Offsets
from sources.problems import SourceError

_FIELD_BYTES = 512 * 1024 * 1024
_FIELD_LIMIT_LOCK = threading.Lock()  # the csv module's limit is process-wide
_BOM = b"\xef\xbb\xbf"

Line = Mapping[str, str]  # column -> text


class TsvLines(Sequence[Line | None]):
    """A TSV's lines behind its header; one that csv cannot read is None."""

    def __init__(self, path: Path, note: Callable[[Line], None]) -> None:
        """Find the lines; `note` gets each that can be read while it passes by.

        Raises:
            OSError: the file cannot be read.
            SourceError: the first line names no columns `question` and `answer`.
        """
        self._path = path
        self._names: list[str] = []
        self._starts, self._ends = Offsets(), Offsets()
        with path.open("rb") as file:
            before = len(_BOM) if file.read(len(_BOM)) == _BOM else 0
        with _long_cells(), path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
            records = _Records(text)
            for start, cells in records.placed():
                if not self._names:
                    self._names = _header(cells or [], path)
                elif cells != []:
                    self._starts.append(before + start)
                    self._ends.append(before + records.at)
                    if line := self._named(cells):
                        note(line)

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, number: int) -> Line | None: ...
    @overload
    def __getitem__(self, number: slice) -> list[Line | None]: ...
    def __getitem__(self, number: int | slice) -> Line | list[Line | None] | None:
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        if number >= len(self):
            raise IndexError(number)
        with self._path.open("rb") as file:
            return self._line(file, number)

    def __iter__(self) -> Iterator[Line | None]:
        with self._path.open("rb") as file:
            for number in range(len(self)):
                yield self._line(file, number)

    def _line(self, file: BinaryIO, number: int) -> Line | None:
        start, end = self._starts[number], self._ends[number]
        file.seek(start)
        text = file.read(end - start).decode("utf-8", "surrogateescape")
        with _long_cells():
            return self._named(next(iter(_Records(io.StringIO(text, newline=""), len(self._names) - 1)), None))

    def _named(self, cells: list[str] | None) -> Line | None:
        return dict(zip(self._names, cells, strict=True)) if cells and len(cells) == len(self._names) else None


@contextmanager
def _long_cells() -> Iterator[None]:
    with _FIELD_LIMIT_LOCK:
        before = csv.field_size_limit(_FIELD_BYTES)
        try:
            yield
        finally:
            csv.field_size_limit(before)


class _Records:
    """The records of a TSV: cells, an empty list for an empty line, None for a line that cannot be read.

    A quoted cell may go on over lines. A quote that is never closed, or is closed by a stray one rows later, must not swallow the rows
    between: where a line that a cell went on to is a whole row by its tabs, only the line with the quote is given up.
    """

    def __init__(self, file: Iterable[str], tabs: int = 0) -> None:
        self._lines = iter(file)
        self._back: deque[str] = deque()  # read ahead and given back
        self._tabs = tabs  # of the header; 0: it comes first
        self.at = 0  # bytes read

    def __iter__(self) -> Iterator[list[str] | None]:
        first = not self._tabs
        while (line := self._next()) is not None:
            cells = self._record(line)
            if first and cells:
                self._tabs, first = len(cells) - 1, False
            yield cells

    def placed(self) -> Iterator[tuple[int, list[str] | None]]:
        """Yield each record with the place where it starts."""
        start = 0
        for cells in self:
            yield start, cells
            start = self.at

    def _next(self) -> str | None:
        line = self._back.popleft() if self._back else next(self._lines, None)
        self.at += _size(line) if line else 0
        return line

    def _give_back(self, lines: Sequence[str]) -> None:
        self._back.extendleft(reversed(lines))
        self.at -= sum(map(_size, lines))

    def _record(self, line: str) -> list[str] | None:
        if '"' not in line:
            bare = line.rstrip("\r\n")
            return bare.split("\t") if bare else []
        alone = list(csv.reader([line, "end"], delimiter="\t"))
        if len(alone) == 2:  # all quotes end with the line
            return alone[0]
        taken = [line]
        try:
            return next(csv.reader(self._going_on(taken), delimiter="\t", strict=True), [])
        except csv.Error:
            self._give_back(taken[1:])
            return None

    def _going_on(self, taken: list[str]) -> Iterator[str]:
        """Yield the lines that an open quote goes on to, and keep them in `taken`; stop before one that is a row by itself."""
        yield taken[0]
        in_first = "\t" not in taken[0].partition('"')[0]
        while (line := self._next()) is not None:
            if self._tabs and line.count("\t") == self._tabs and ('"' not in line or not in_first):
                self._give_back([line])
                return
            taken.append(line)
            yield line


def _size(line: str) -> int:
    return len(line.encode("utf-8", "surrogateescape"))


def _header(cells: list[str], path: Path) -> list[str]:
    names = [cell.strip() for cell in cells]
    if "answer" not in names:
        names = ["answer" if name == "answers" else name for name in names]
    if not {"question", "answer"} <= set(names) or len(set(names)) != len(names):
        found = ", ".join(name[:40] for name in names[:20]) or "none"
        raise SourceError(
            f"{path} is no VLMEvalKit TSV: its first line must name the columns question and answer, each once, between tabs; "
            f"it names {found}"
        )
    return names
