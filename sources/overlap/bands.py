"""Hashes near a hash without comparing all pairs: multi-index hashing (Norouzi, Punjani and Fleet 2012).

A hash of 64 bits is cut into four bands of 16. Two hashes that differ in at most 11 bits differ in at most 2 bits of one band, so every
one within `RADIUS` is found among those whose band is one of 137 neighbours; each is then compared in full.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

RADIUS = 10  # bits; pHash differs by even numbers only, because half of its bits are set
_BANDS, _BITS, _FLIPS = 4, 16, 2
_AT_ONCE = 2_000_000  # candidates


class BandedIndex:
    """Hashes [n], found by nearness. Takes 24 bytes a hash."""

    def __init__(self, hashes: NDArray[np.uint64]) -> None:
        self._hashes = hashes
        self._order: list[NDArray[np.uint32]] = []
        self._starts: list[NDArray[np.int64]] = []
        for band in range(_BANDS):
            keys = _band(hashes, band)
            self._order.append(np.argsort(keys, kind="stable").astype(np.uint32))
            self._starts.append(np.concatenate([[0], np.cumsum(np.bincount(keys, minlength=1 << _BITS))]))

    def near(self, queries: NDArray[np.uint64], radius: int = RADIUS) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return all pairs (place in `queries`, place in the index) whose hashes differ in at most `radius` bits, sorted.

        Raises:
            ValueError: the bands do not guarantee so wide a radius.
        """
        if radius >= _BANDS * (_FLIPS + 1):
            raise ValueError(f"a radius of {radius} bits is more than the bands guarantee")
        n = max(1, len(self._hashes))
        found = np.unique(np.concatenate([np.zeros(0, np.int64), *(q * n + i for q, i in self._found(queries, radius))]))
        return found // n, found % n

    def _found(self, queries: NDArray[np.uint64], radius: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        for band in range(_BANDS):
            keys = _band(queries, band)
            starts, order = self._starts[band], self._order[band]
            for first in range(0, len(queries), 4096):
                probes = keys[first : first + 4096, None] ^ _NEIGHBOURS
                begin, length = starts[probes], starts[probes + 1] - starts[probes]
                ends = np.cumsum(length.sum(1))
                at = 0
                while at < len(probes):  # as many queries as the candidates of which fit into memory
                    until = max(at + 1, int(np.searchsorted(ends, (ends[at - 1] if at else 0) + _AT_ONCE, "right")))
                    query, place = _spread(begin[at:until], length[at:until])
                    index = order[place].astype(np.int64)
                    query += first + at
                    near = np.bitwise_count(queries[query] ^ self._hashes[index]) <= radius
                    yield query[near], index[near]
                    at = until


def _band(hashes: NDArray[np.uint64], band: int) -> NDArray[np.int64]:
    return ((hashes >> np.uint64(_BITS * band)) & np.uint64((1 << _BITS) - 1)).astype(np.int64)


def _spread(begin: NDArray[np.int64], length: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the query and the place of every element of ranges [queries, probes]."""
    flat = length.ravel()
    query = np.repeat(np.repeat(np.arange(len(length)), length.shape[1]), flat)
    offset = np.arange(len(query)) - np.repeat(np.cumsum(flat) - flat, flat)
    return query, np.repeat(begin.ravel(), flat) + offset


def _neighbours() -> NDArray[np.int64]:
    flips = [bits for count in range(_FLIPS + 1) for bits in combinations(range(_BITS), count)]
    return np.array([sum(1 << bit for bit in bits) for bits in flips], np.int64)


_NEIGHBOURS = _neighbours()
