"""Columns of numbers and 16-byte hashes in files: written in pieces, sorted and numbered a bucket of hashes at a time.

What grows with the rows of a source lies on disk; a step holds one block of a column, or one bucket of it, in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

HASH = np.dtype("S16")
HASH_BYTES = 16
BLOCK = 1 << 16
_BUCKET = 200_000  # hashes sorted at once


class Hashes(Sequence[bytes]):
    """A column of hashes as a sequence of 16 bytes each."""

    def __init__(self, column: Array) -> None:
        self.column = column

    def __len__(self) -> int:
        return len(self.column)

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> Hashes: ...
    def __getitem__(self, place: int | slice) -> bytes | Hashes:
        if isinstance(place, slice):
            return Hashes(self.column[place])
        return bytes(self.column[place]).ljust(HASH_BYTES, b"\0")  # numpy cuts zero bytes off the end

    def __iter__(self) -> Iterator[bytes]:
        for start, stop in blocks(len(self.column)):
            yield from split_hashes(self.column[start:stop].tobytes())


def split_hashes(data: bytes) -> list[bytes]:
    """Return the hashes that stand one behind the other."""
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def hashes_of(data: bytes | bytearray) -> Array:
    """Return the hashes that stand one behind the other as a column."""
    return np.frombuffer(bytes(data), dtype=HASH)


def blocks(n: int, size: int = 0) -> Iterator[tuple[int, int]]:
    """Yield the borders of blocks that cover `n` entries."""
    size = size or BLOCK
    return ((start, min(start + size, n)) for start in range(0, n, size))


def append(file: Path, values: Array) -> None:
    """Add values to the end of a column's file."""
    with file.open("ab") as handle:
        handle.write(np.ascontiguousarray(values).tobytes())


def column(file: Path, dtype: npt.DTypeLike, writable: bool = False) -> Array:
    """Return a column's file as an array that lies on disk; one that is not there or empty is an array of nothing."""
    if not file.exists() or not file.stat().st_size:
        return np.empty(0, dtype=dtype)
    return np.memmap(file, dtype=dtype, mode="r+" if writable else "r")


def new_column(file: Path, dtype: npt.DTypeLike, n: int) -> Array:
    """Return a writable column of `n` zeros."""
    with file.open("wb") as handle:
        handle.truncate(n * np.dtype(dtype).itemsize)
    return column(file, dtype, writable=True)


def number_distinct(hashes: Path, ids: Path, table: Path, first: Path | None = None) -> int:
    """Number the distinct hashes of a column in their order; return how many there are.

    `ids` (int32) gets each entry's number, `table` the distinct hashes, `first` (int64) the place where each first stands.
    """
    n = _size(hashes)
    number = new_column(ids, np.int32, n)
    table.unlink(missing_ok=True)
    table.touch()
    if first is not None:
        first.unlink(missing_ok=True)
    base = 0
    for places, values in _buckets(hashes, n):
        distinct, at, inverse = np.unique(values, return_index=True, return_inverse=True)
        number[places] = (base + inverse).astype(np.int32)
        append(table, distinct)
        if first is not None:
            append(first, places[at])
        base += len(distinct)
    return base


def repeats(hashes: Path) -> Iterator[tuple[int, int]]:
    """Yield (place, how many equal hashes stand before it) for every entry that is not the first of its kind."""
    for places, values in _buckets(hashes, _size(hashes)):
        order = np.argsort(values, kind="stable")
        ranked = values[order]
        begins = np.flatnonzero(np.concatenate(([True], ranked[1:] != ranked[:-1])))
        before = np.arange(len(ranked)) - np.repeat(begins, np.diff(np.append(begins, len(ranked))))
        for at in np.flatnonzero(before):
            yield int(places[order[at]]), int(before[at])


def count_distinct(hashes: Path) -> int:
    """Return how many distinct hashes a column holds."""
    return sum(len(np.unique(values)) for _, values in _buckets(hashes, _size(hashes)))


def sorted_digest(hashes: Array, chosen: Array | None = None) -> str:
    """Return `hash_bytes` of the sorted hashes of a column, or of the chosen places of it."""
    digest = hashlib.blake2b(digest_size=HASH_BYTES)
    n = len(hashes) if chosen is None else len(chosen)
    for low, high in _borders(n):
        values = np.sort(np.concatenate([_between(block, low, high)[1] for _, block in _blocks_of(hashes, chosen)] or [hashes[:0]]))
        framed = np.empty((len(values), 8 + HASH_BYTES), dtype=np.uint8)
        framed[:, :8] = np.frombuffer(HASH_BYTES.to_bytes(8, "little"), dtype=np.uint8)
        framed[:, 8:] = np.frombuffer(values.tobytes(), dtype=np.uint8).reshape(-1, HASH_BYTES)
        digest.update(framed.tobytes())
    return digest.hexdigest()


def smallest_distinct(hashes: Path, wanted: Array | None, most: int) -> Array:
    """Return the smallest distinct hashes of a column, at most so many; `wanted` (a mask) says which entries count."""
    held = np.empty(0, dtype=HASH)
    for start, block in _blocks_of(column(hashes, HASH), None):
        values = block if wanted is None else block[wanted[start : start + len(block)].astype(bool)]
        held = np.unique(np.concatenate((held, values)))[:most]
    return held


def find_hash(table: Array, wanted: bytes) -> int | None:
    """Return the place of a hash in a sorted column."""
    place = int(np.searchsorted(table, np.array(wanted, dtype=HASH)))
    return place if place < len(table) and Hashes(table)[place] == wanted else None


def _size(hashes: Path) -> int:
    return hashes.stat().st_size // HASH_BYTES if hashes.exists() else 0


def _buckets(hashes: Path, n: int) -> Iterator[tuple[Array, Array]]:
    """Yield the places and values of the hashes of each bucket, buckets in the order of hashes, places in theirs."""
    for low, high in _borders(n):
        found = [(start, *_between(block, low, high)) for start, block in _blocks_of(column(hashes, HASH), None)]
        yield np.concatenate([start + at for start, at, _ in found]), np.concatenate([values for _, _, values in found])


def _borders(n: int) -> list[tuple[int, int]]:
    """Return ranges of the first four bytes of hashes, so many that about `_BUCKET` of `n` hashes are in each."""
    count = max(1, -(-n // _BUCKET))
    edges = [round(bucket * 2**32 / count) for bucket in range(count + 1)]
    return list(pairwise(edges)) if n else []


def _blocks_of(hashes: Array, chosen: Array | None) -> Iterator[tuple[int, Array]]:
    for start, stop in blocks(len(hashes) if chosen is None else len(chosen), 1 << 20):
        yield start, np.asarray(hashes[start:stop] if chosen is None else hashes[chosen[start:stop]])


def _between(block: Array, low: int, high: int) -> tuple[Array, Array]:
    if (low, high) == (0, 2**32):
        return np.arange(len(block)), np.array(block)
    heads = np.ascontiguousarray(block).view(">u4").reshape(-1, HASH_BYTES // 4)[:, 0]
    places = np.flatnonzero((heads >= low) & (heads < high))
    return places, block[places]
