"""Columns of numbers and 16-byte hashes in files: written in pieces, sorted and numbered a bucket of hashes at a time.

What grows with the rows of a source lies on disk; a step holds one block of a column, or one bucket of it, in memory.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
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


def temporary_mask(n: int) -> Array:
    """Return a writable column of `n` times false in a temporary file, which goes with it."""
    if not n:
        return np.empty(0, dtype=bool)
    with tempfile.TemporaryFile(prefix="probe-mask-") as file:
        file.truncate(n)
        return np.memmap(file, dtype=bool, mode="r+")


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
    held = column(hashes, HASH)
    for places in _buckets(held):
        distinct, at = _distinct(held, places)
        for start, stop in blocks(len(places)):
            block = places[start:stop]
            number[block] = base + np.searchsorted(distinct, held[block])
        append(table, distinct)
        if first is not None:
            append(first, at)
        base += len(distinct)
    return base


def repeats(hashes: Path) -> Iterator[tuple[int, int, int]]:
    """Yield (place, how many equal hashes stand before it, place of the first) for every entry that is not the first of its kind."""
    held = column(hashes, HASH)
    for places in _buckets(held):
        values = held[places]
        order = np.argsort(values, kind="stable")
        ranked = values[order]
        begins = np.flatnonzero(np.concatenate(([True], ranked[1:] != ranked[:-1])))
        first = np.repeat(begins, np.diff(np.append(begins, len(ranked))))
        before = np.arange(len(ranked)) - first
        for at in np.flatnonzero(before):
            yield int(places[order[at]]), int(before[at]), int(places[order[first[at]]])


def count_distinct(hashes: Path) -> int:
    """Return how many distinct hashes a column holds."""
    held = column(hashes, HASH)
    return sum(len(_distinct(held, places)[0]) for places in _buckets(held))


def sorted_digest(hashes: Array, chosen: Array | None = None) -> str:
    """Return `hash_bytes` of the sorted hashes of a column, or of the chosen places of it."""
    digest = hashlib.blake2b(digest_size=HASH_BYTES)
    for places in _buckets(hashes, chosen):
        values = np.sort(hashes[places if chosen is None else chosen[places]])
        framed = np.empty((len(values), 8 + HASH_BYTES), dtype=np.uint8)
        framed[:, :8] = np.frombuffer(HASH_BYTES.to_bytes(8, "little"), dtype=np.uint8)
        framed[:, 8:] = np.frombuffer(values.tobytes(), dtype=np.uint8).reshape(-1, HASH_BYTES)
        digest.update(framed.tobytes())
    return digest.hexdigest()


def smallest_distinct(hashes: Path, reasons: Array | None, most: int) -> Array:
    """Return the smallest distinct hashes of a column, at most so many; entries with a reason other than 0 do not count."""
    all_of, held = column(hashes, HASH), np.empty(0, dtype=HASH)
    for start, stop in blocks(_size(hashes)):
        block = all_of[start:stop]
        values = block if reasons is None else block[reasons[start : start + len(block)] == 0]
        held = np.unique(np.concatenate((held, values)))[:most]
    return held


def find_hash(table: Array, wanted: bytes) -> int | None:
    """Return the place of a hash in a sorted column."""
    place = int(np.searchsorted(table, np.array(wanted, dtype=HASH)))
    return place if place < len(table) and Hashes(table)[place] == wanted else None


def _size(hashes: Path) -> int:
    return hashes.stat().st_size // HASH_BYTES if hashes.exists() else 0


def _distinct(hashes: Array, places: Array) -> tuple[Array, Array]:
    """Return the distinct hashes at some places, sorted, and the first place of each; equal ones may be many."""
    distinct, first = np.empty(0, dtype=HASH), np.empty(0, dtype=np.int64)
    for start, stop in blocks(len(places)):
        block = places[start:stop]
        distinct, at = np.unique(np.concatenate((distinct, hashes[block])), return_index=True)
        first = np.concatenate((first, block))[at]
    return distinct, first


def _buckets(hashes: Array, chosen: Array | None = None) -> Iterator[Array]:
    """Yield the places of the hashes of each bucket (places in `chosen` where given), buckets in the order of hashes, places in theirs.

    Where there is more than one bucket the places lie in a temporary file, brought into order in two passes.
    """
    n = len(hashes) if chosen is None else len(chosen)
    count = -(-n // _BUCKET)
    if count < 2:
        yield from [np.arange(n)] * count
        return

    def parts() -> Iterator[tuple[int, Array]]:
        for start, stop in blocks(n):
            yield start, _bucket_of(hashes[start:stop] if chosen is None else hashes[chosen[start:stop]], count)

    sizes = sum((np.bincount(part, minlength=count) for _, part in parts()), np.zeros(count, dtype=np.int64))
    ends = np.cumsum(sizes)
    filled = ends - sizes
    with tempfile.TemporaryFile(prefix="probe-buckets-") as file:
        file.truncate(n * 8)
        order = np.memmap(file, dtype=np.int64, mode="r+")
        for start, part in parts():
            sorted_places = start + np.argsort(part, kind="stable")
            for bucket, some in enumerate(np.split(sorted_places, np.cumsum(np.bincount(part, minlength=count))[:-1])):
                order[filled[bucket] : filled[bucket] + len(some)] = some
                filled[bucket] += len(some)
        for stop, size in zip(ends.tolist(), sizes.tolist(), strict=True):
            yield np.asarray(order[stop - size : stop])


def _bucket_of(hashes: Array, count: int) -> Array:
    """Return which of `count` equal ranges of their first four bytes each hash is in."""
    heads = np.ascontiguousarray(hashes).view(">u4").reshape(-1, HASH_BYTES // 4)[:, 0]
    return ((heads.astype(np.uint64) * np.uint64(count)) >> np.uint64(32)).astype(np.int64)
