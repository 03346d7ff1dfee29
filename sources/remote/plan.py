"""Which rows of a sharded source are drawn: seeded, from all shards and from many places in them, never from their heads.

Row groups are cut into parts of like size, a large one into several whose rows are picked from all of it. The parts of each shard
stand in a seeded order, the shards take turns in proportion to their parts, and the draw is a prefix of that. So every row is as
likely as any other (but for a part's remainder), and every shard gives its share to within one part.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sources.ordering import seeded_key, stratified

PLACES = 32  # from so many row groups at least, where there are: rows that lie side by side are alike


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of one row group of one shard, by their numbers within it, ascending."""

    shard: int
    group: int
    rows: Sequence[int]


def plan_blocks(groups: Sequence[Sequence[int]], rows: int, seed: str) -> list[Block]:
    """Return the blocks of a draw of `rows` rows, sorted; all where there are no more. `groups`: the sizes of each shard's row groups."""
    total = sum(map(sum, groups))
    if rows <= 0 or rows >= total:
        return [Block(s, g, range(n)) for s, sizes in enumerate(groups) for g, n in enumerate(sizes) if n]
    largest = max(1, rows // PLACES)
    orders: dict[tuple[int, int], list[int]] = {}
    drawn: dict[tuple[int, int], list[int]] = {}
    left = rows
    for shard, group, part, parts in _ordered_parts(groups, largest, seed):
        if (shard, group) not in orders:
            orders[shard, group] = _shuffled(groups[shard][group], (seed, shard, group))
        taken = orders[shard, group][part::parts][:left]
        drawn.setdefault((shard, group), []).extend(taken)
        left -= len(taken)
        if not left:
            break
    return [Block(shard, group, tuple(sorted(numbers))) for (shard, group), numbers in sorted(drawn.items())]


def pick_shards(count: int, most: int, seed: str) -> list[int]:
    """Return at most `most` of `count` shards, picked by seed, ascending."""
    return sorted(shard_order(count, seed)[:most])


def shard_order(count: int, seed: str) -> list[int]:
    """Return all shards in a seeded order."""
    return sorted(range(count), key=lambda shard: seeded_key(0, seed, "shard", shard))


def _ordered_parts(groups: Sequence[Sequence[int]], largest: int, seed: str) -> Iterator[tuple[int, int, int, int]]:
    """Yield shard, row group, part, and how many parts that group has."""
    waiting = []
    for shard, sizes in enumerate(groups):
        parts = [(shard, g, p, math.ceil(n / largest)) for g, n in enumerate(sizes) for p in range(math.ceil(n / largest))]
        waiting.append(sorted(parts, key=lambda part: seeded_key(0, seed, "part", *part), reverse=True))
    ties = [seeded_key(0, seed, "tie", shard) for shard in range(len(groups))]
    for shard in stratified([len(parts) for parts in waiting], ties):
        yield waiting[shard].pop()


def _shuffled(n: int, seed: tuple[str, int, int]) -> list[int]:
    return sorted(range(n), key=lambda row: seeded_key(0, *seed, row))
