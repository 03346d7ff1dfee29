"""Whole numbers that are appended and then looked up: the last few in memory, the others in a temporary file that is mapped.

So the places of ten million records take no memory of a process that the system could not have back.
"""

from __future__ import annotations

import mmap
import tempfile
import weakref
from array import array
from typing import BinaryIO

_MOST_HELD = 1 << 17  # in memory


class Offsets:
    """64-bit integers in the order in which they were appended. The file has no name and ends with its process."""

    def __init__(self) -> None:
        self._held = array("q")
        self._kept = 0  # in the file
        self._file: BinaryIO | None = None
        self._mapped: memoryview | None = None

    def __len__(self) -> int:
        return self._kept + len(self._held)

    def append(self, number: int) -> None:
        """Add one at the end."""
        self._held.append(number)
        if len(self._held) == _MOST_HELD:
            self._keep()

    def __getitem__(self, place: int) -> int:
        """Return one, counted from the beginning."""
        if place >= self._kept:
            return self._held[place - self._kept]
        if place < 0:
            raise IndexError(place)
        if self._mapped is None and self._file is not None:
            self._mapped = memoryview(mmap.mmap(self._file.fileno(), self._kept * self._held.itemsize, access=mmap.ACCESS_READ)).cast("q")
        assert self._mapped is not None
        return int(self._mapped[place])

    def _keep(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="probe-offsets-")  # noqa: SIM115
            weakref.finalize(self, self._file.close)
        self._held.tofile(self._file)
        self._file.flush()
        self._kept += len(self._held)
        self._held, self._mapped = array("q"), None
