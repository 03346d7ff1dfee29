"""The order of a draw: a seeded permutation that is stratified, grouped, and a function of the rows' content alone."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

_SORTED_FIRST = 4096  # groups


def seeded_key(seed: int, *parts: bytes | str | int) -> int:
    """Return a 64-bit number that a seed and some parts decide: the one source of chance in draws and splits."""
    return int.from_bytes(_state((seed, *parts)).digest(), "little")


def _state(parts: Sequence[bytes | str | int]) -> hashlib.blake2b:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest


def stratified(sizes: Sequence[int], ties: Sequence[int]) -> Iterator[int]:
    """Yield stratum numbers, each as often as its size, so that every prefix is stratified.

    In every prefix of n, stratum s stands fewer than 1 time off n * sizes[s] / sum(sizes). Its k-th turn may come no earlier
    and no later than that allows; among those that may come, the most urgent does (earliest deadline first, which is
    feasible because the shares sum to one: Baruah et al. 1996, "Proportionate progress"). Equal deadlines go by `ties`.
    """
    total = sum(sizes)
    waiting = [(1, stratum, 1) for stratum, size in enumerate(sizes) if size]  # earliest slot, stratum, turn
    heapq.heapify(waiting)
    ready: list[tuple[int, int, int, int]] = []  # last slot, tie, stratum, turn
    for slot in range(1, total + 1):
        while waiting and waiting[0][0] <= slot:
            _, stratum, turn = heapq.heappop(waiting)
            heapq.heappush(ready, (-(-turn * total // sizes[stratum]), ties[stratum], stratum, turn))
        _, _, stratum, turn = heapq.heappop(ready)
        yield stratum
        if turn < sizes[stratum]:
            heapq.heappush(waiting, (turn * total // sizes[stratum] + 1, stratum, turn + 1))


def seeded_keys(seed: int, parts: Sequence[bytes | str | int], last: Iterable[bytes]) -> Array:
    """Return `seeded_key(seed, *parts, one)` for each of many, as uint64."""
    import numpy as np

    state = _state((seed, *parts))
    keys = bytearray()
    for one in last:
        digest = state.copy()
        digest.update(len(one).to_bytes(8, "little") + one)
        keys += digest.digest()
    return np.frombuffer(bytes(keys), dtype="<u8")


class RowOrder:
    """The rows of a source as draws see them: by stratum and group, whatever the seed.

    `strata[i]`, `groups[i]` and `keys[i]` belong to row i, `names` to strata.
    """

    def __init__(self, strata: Sequence[int], names: Sequence[str], groups: Sequence[bytes], keys: Sequence[bytes]) -> None:
        import numpy as np

        table = sorted(set(groups))
        number = {group: place for place, group in enumerate(table)}
        self._begin(np.asarray(strata), names, np.asarray([number[group] for group in groups]), table, keys)

    @classmethod
    def of_numbered(
        cls, strata: Array, names: Sequence[str], group_of: Array, table: Sequence[bytes], keys: Sequence[bytes], at: Array | None = None
    ) -> RowOrder:
        """Return the order of rows whose groups are numbered in their order; `keys[at[i]]` is the key of row i, `keys[i]` without `at`."""
        order = cls.__new__(cls)
        order._begin(strata, names, group_of, table, keys, at)
        return order

    def _begin(
        self, strata: Array, names: Sequence[str], group_of: Array, table: Sequence[bytes], keys: Sequence[bytes], at: Array | None = None
    ) -> None:
        import numpy as np

        self._names, self._table, self._keys, self._at = names, table, keys, at
        self._strata = []
        for stratum in range(len(names)):
            rows = np.flatnonzero(strata == stratum) if len(names) > 1 else np.arange(len(strata))
            rows = rows[np.argsort(group_of[rows], kind="stable")]
            held = group_of[rows]
            begins = np.flatnonzero(np.concatenate(([True], held[1:] != held[:-1]))) if len(held) else rows
            small = np.int32 if len(strata) < 2**31 else np.int64
            self._strata.append(_Stratum(rows.astype(small), begins.astype(small), held[begins].astype(small)))

    def permutation(self, seed: int, turn: int) -> Iterator[int]:
        """Yield the indices of all rows: strata in proportion, inside one the groups in random order, a group's rows together.

        `turn` is the pass. Only content enters. A prefix costs a hash a group, and a hash for each row of the groups it reaches.
        """
        ties = [seeded_key(seed, turn, b"stratum", name) for name in self._names]
        sizes = [len(stratum.rows) for stratum in self._strata]
        positions = [self._of_stratum(stratum, seed, turn) for stratum in self._strata]
        for stratum in stratified(sizes, ties):
            yield next(positions[stratum])

    def _of_stratum(self, stratum: _Stratum, seed: int, turn: int) -> Iterator[int]:
        keys = seeded_keys(seed, (turn, b"group"), (self._table[group] for group in stratum.groups.tolist()))
        for place in _ascending(keys):
            begin = stratum.begins[place]
            end = stratum.begins[place + 1] if place + 1 < len(stratum.begins) else len(stratum.rows)
            rows = stratum.rows[begin:end].tolist()
            if len(rows) == 1:
                yield rows[0]
            else:
                yield from sorted(rows, key=lambda index: (seeded_key(seed, turn, b"row", self._key(index)), index))

    def _key(self, index: int) -> bytes:
        return self._keys[index if self._at is None else int(self._at[index])]


@dataclass(frozen=True, slots=True)
class _Stratum:
    rows: Array  # by group, then in their order
    begins: Array  # of each group
    groups: Array


def _ascending(keys: Array) -> Iterator[int]:
    """Yield the places of random 64-bit keys from the smallest on; equal ones in order. Sorts only what is asked for."""
    import numpy as np

    low, width = 0, max(1, 2**64 * _SORTED_FIRST // max(1, len(keys)))
    while low < 2**64:
        high = min(2**64, low + width)
        places = np.flatnonzero((keys >= np.uint64(low)) & (keys <= np.uint64(high - 1)))
        yield from places[np.argsort(keys[places], kind="stable")].tolist()
        low, width = high, 2 * width
