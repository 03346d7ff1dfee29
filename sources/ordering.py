"""The order of a draw: a seeded permutation that is stratified, grouped, and a function of the rows' content alone."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator, Sequence


def seeded_key(seed: int, *parts: bytes | str | int) -> int:
    """Return a 64-bit number that a seed and some parts decide: the one source of chance in draws and splits."""
    digest = hashlib.blake2b(digest_size=8)
    for part in (seed, *parts):
        data = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return int.from_bytes(digest.digest(), "little")


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


class RowOrder:
    """The rows of a source as draws see them: by stratum and group, whatever the seed.

    `strata[i]`, `groups[i]` and `keys[i]` belong to row i, `names` to strata.
    """

    def __init__(self, strata: Sequence[int], names: Sequence[str], groups: Sequence[bytes], keys: Sequence[bytes]) -> None:
        self._names = names
        self._keys = keys
        self._rows: list[dict[bytes, list[int]]] = [{} for _ in names]  # stratum -> group -> its rows
        for index, (stratum, group) in enumerate(zip(strata, groups, strict=True)):
            self._rows[stratum].setdefault(group, []).append(index)

    def permutation(self, seed: int, turn: int) -> Iterator[int]:
        """Yield the indices of all rows: strata in proportion, inside one the groups in random order, a group's rows together.

        `turn` is the pass. Only content enters. A prefix costs a hash a group, and a hash for each row of the groups it reaches.
        """
        ties = [seeded_key(seed, turn, b"stratum", name) for name in self._names]
        sizes = [sum(map(len, groups.values())) for groups in self._rows]
        positions = [self._of_stratum(groups, seed, turn) for groups in self._rows]
        for stratum in stratified(sizes, ties):
            yield next(positions[stratum])

    def _of_stratum(self, groups: dict[bytes, list[int]], seed: int, turn: int) -> Iterator[int]:
        for _, group in sorted((seeded_key(seed, turn, b"group", group), group) for group in groups):
            rows = groups[group]
            if len(rows) == 1:
                yield rows[0]
            else:
                yield from sorted(rows, key=lambda index: (seeded_key(seed, turn, b"row", self._keys[index]), index))
