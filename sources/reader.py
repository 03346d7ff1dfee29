"""What a format reader is: a sniff, and rows that can be walked in order or fetched by number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from sources.problems import Problem
from sources.sample import Sample
from sources.spec import SourceSpec


@dataclass(frozen=True, slots=True)
class Row:
    """One record: its number in the source (from 0, file order), and a sample or the problem that excludes it."""

    number: int
    sample: Sample | None
    problem: Problem | None = None
    detail: str = ""


class Rows(Protocol):
    """The records of one opened source. Numbers are stable as long as the files are."""

    def __len__(self) -> int:
        """Return the number of records, bad ones included."""
        ...

    def __iter__(self) -> Iterator[Row]:
        """Walk all records in file order without holding them in memory. Never raises for a bad record."""
        ...

    def get(self, number: int) -> Row:
        """Return one record."""
        ...


def walk(rows: Rows, start: int, stop: int) -> Iterator[Row]:
    """Walk the records `start` to `stop`: with the format's own `walk(start, stop)` where it has one, else one by one."""
    own = getattr(rows, "walk", None)
    if own is not None:
        return cast("Iterator[Row]", own(start, stop))
    return iter(rows) if (start, stop) == (0, len(rows)) else map(rows.get, range(start, stop))


class Reader(Protocol):
    """A format. `version` is raised when the same bytes would be read into other samples.

    A reader may have `options`, the names of the options that it takes; then any other is refused when a source is added.
    """

    name: str
    version: int

    def sniff(self, path: Path) -> bool:
        """Say from the data itself, never from the extension, whether this reader understands a file or folder."""
        ...

    def files(self, path: Path) -> list[Path]:
        """Return the files at a path that hold a source's records, in their order; empty if there are none."""
        ...

    def open(self, spec: SourceSpec) -> Rows:
        """Open a source.

        Raises:
            SourceError: it cannot be used at all (missing, empty, not this format); the message holds the cure.
        """
        ...
