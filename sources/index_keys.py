"""The third pass: which rows are usable, what each is called, and which belong together; over columns, no data is read.

A row's key hashes its text, its images' names and how often the same stood before; rows that share an image, also through other
rows, share a group, whose key is the smallest of those images' names.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from sources.columns import (
    HASH,
    HASH_BYTES,
    Array,
    Hashes,
    append,
    blocks,
    column,
    count_distinct,
    hashes_of,
    new_column,
    number_distinct,
    repeats,
    split_hashes,
)
from sources.index_rows import Reasons, malformed_rows, parts_of
from sources.parts import Progress, Tick, part_file, run_parts, write_part
from sources.problems import Problem

_ROWS_A_PART = 50_000
_HEX_FRAME = (2 * HASH_BYTES).to_bytes(8, "little")  # as `canonical.hash_bytes` frames a hash in hex
_TEXT_FRAME = (5 + 2 * HASH_BYTES).to_bytes(8, "little") + b"text:"


@dataclass(slots=True)
class RowFacts:
    """What the usable rows are together."""

    names: list[str]  # of strata that have a usable row, in the order of rows
    excluded: Counter[Problem]
    examples: dict[Problem, list[tuple[int, str]]]
    images_per_row: Counter[int]
    distinct_images: int
    duplicate_images: int
    duplicate_rows: int


def name_rows(
    reasons: Reasons, names: list[str], folder: Path, columns: Path, into: Path, total: int, jobs: int, progress: Progress | None
) -> RowFacts:
    """Write the columns `numbers`, `strata`, `counts` (of images), `keys`, `group_of` and `groups` of the usable rows into a folder.

    And `repeats`: pairs of a usable row that is a copy and the first one of its kind; and `excluded.jsonl`: the other rows.
    """
    _mark_rows(columns)
    number_distinct(columns / "names", columns / "name_of", columns / "name_table")
    _join_images(columns)
    _hash_rows(folder, columns, jobs, progress)
    usable = column(columns / "usable", np.int64)
    duplicates = _number_repeats(columns, into)
    number_distinct(columns / "row_groups", into / "group_of", into / "groups")
    kept = _copy_usable(columns, into, usable, names)
    excluded, examples = _write_excluded(reasons, names, folder, columns, into, total)
    per_row: Counter[int] = Counter()
    counts = column(columns / "counts", np.int32)
    for start, stop in blocks(len(usable)):
        values, times = np.unique(counts[usable[start:stop]], return_counts=True)
        per_row.update(dict(zip(values.tolist(), times.tolist(), strict=True)))
    distinct, others = _count_images(columns)
    return RowFacts(kept, excluded, examples, per_row, distinct, others, duplicates)


def _row_blocks(columns: Path) -> Iterator[tuple[int, int, Array, Array]]:
    """Yield blocks of rows: start, stop, how many images each has, and the images of their places."""
    counts, images = column(columns / "counts", np.int32), column(columns / "place_images", np.int32)
    at = 0
    for start, stop in blocks(len(counts)):
        block = np.array(counts[start:stop])
        n = int(block.sum())
        yield start, stop, block, np.array(images[at : at + n])
        at += n


def _mark_rows(columns: Path) -> None:
    """Write each row's reason (its first bad image's, 0 for none), the usable rows, and where the images of each begin."""
    why, used = column(columns / "reasons", np.int32), new_column(columns / "used", np.uint8, len(column(columns / "ids", HASH)))
    at = 0
    for start, stop, counts, images in _row_blocks(columns):
        ends = np.cumsum(counts)
        row = np.repeat(np.arange(stop - start), counts)
        found = why[images] if len(images) else np.empty(0, dtype=np.int32)
        bad_at = np.flatnonzero(found)
        rows, first = np.unique(row[bad_at], return_index=True)
        reasons = np.zeros(stop - start, dtype=np.int32)
        reasons[rows] = found[bad_at[first]]
        append(columns / "row_reasons", reasons)
        usable = np.flatnonzero(reasons == 0)
        append(columns / "usable", start + usable)
        append(columns / "begins", at + ends[usable] - counts[usable])
        if len(images):
            used[images[reasons[row] == 0]] = 1
        at += int(counts.sum())


def _join_images(columns: Path) -> None:
    """Join the images of each usable row: `roots` is the smallest name joined to each name, by number. Names are numbered in order."""
    n = len(column(columns / "name_table", HASH))
    roots = new_column(columns / "roots", np.int32, n)
    for start, stop in blocks(n):
        roots[start:stop] = np.arange(start, stop)
    counts, begins, usable = (
        column(columns / name, kind) for name, kind in (("counts", np.int32), ("begins", np.int64), ("usable", np.int64))
    )
    images, name_of = column(columns / "place_images", np.int32), column(columns / "name_of", np.int32)
    several = False
    parent = roots.data

    def find(name: int) -> int:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for start, stop in blocks(len(usable)):
        n_images = counts[usable[start:stop]]
        for at in np.flatnonzero(n_images > 1):
            several = True
            begin = int(begins[start + at])
            joined = [find(name) for name in name_of[images[begin : begin + int(n_images[at])]].tolist()]
            low = min(joined)
            for name in joined:
                parent[find(name)] = low
    for start, stop in blocks(n) if several else ():
        roots[start:stop] = [find(name) for name in range(start, stop)]


def _hash_rows(folder: Path, columns: Path, jobs: int, progress: Progress | None) -> None:
    usable = column(columns / "usable", np.int64)
    sizes = [stop - start for start, stop in blocks(len(usable), _ROWS_A_PART)]

    def work(number: int, file: Path, tick: Tick) -> None:
        write_part(file, _hashed(columns, number * _ROWS_A_PART, number * _ROWS_A_PART + sizes[number]))

    run_parts(folder, "keys", sizes, work, jobs, progress)
    for number in range(len(sizes)):
        with np.load(part_file(folder, "keys", number)) as part:
            for name in ("contents", "row_keys", "row_groups"):
                append(columns / name, part[name])


def _hashed(columns: Path, start: int, stop: int) -> dict[str, Array]:
    usable = np.array(column(columns / "usable", np.int64)[start:stop])
    begins = column(columns / "begins", np.int64)[start:stop].tolist()
    counts = column(columns / "counts", np.int32)[usable].tolist()
    texts = split_hashes(column(columns / "texts", HASH)[usable].tobytes())
    images, name_of = column(columns / "place_images", np.int32), column(columns / "name_of", np.int32)
    roots, table = column(columns / "roots", np.int32), Hashes(column(columns / "name_table", HASH))
    contents, keys, groups = bytearray(), bytearray(), bytearray()
    low, high = (begins[0], begins[-1] + counts[-1]) if begins else (0, 0)
    held = name_of[images[low:high]] if high > low else np.empty(0, dtype=np.int32)
    names = split_hashes(table.column[held].tobytes()) if len(held) else []
    joined = split_hashes(table.column[roots[held]].tobytes()) if len(held) else []
    for text, begin, count in zip(texts, begins, counts, strict=True):
        digest = text.hex().encode()
        framed = _HEX_FRAME + digest
        at = begin - low
        content = blake2b(framed + b"".join(_HEX_FRAME + name.hex().encode() for name in names[at : at + count]), digest_size=HASH_BYTES)
        group = _HEX_FRAME + joined[at].hex().encode() if count else _TEXT_FRAME + digest
        contents += content.digest()
        keys += row_key(content.digest(), 0)
        groups += blake2b(group, digest_size=HASH_BYTES).digest()
    return {"contents": hashes_of(contents), "row_keys": hashes_of(keys), "row_groups": hashes_of(groups)}


def row_key(content: bytes, before: int) -> bytes:
    """Return the key of a row by its content and how often the same stood before: `hash_bytes` of both as text."""
    count = str(before).encode()
    framed = _HEX_FRAME + content.hex().encode() + len(count).to_bytes(8, "little") + count
    return blake2b(framed, digest_size=HASH_BYTES).digest()


def _number_repeats(columns: Path, into: Path) -> int:
    (columns / "row_keys").touch()
    (columns / "row_keys").replace(into / "keys")
    keys, contents = column(into / "keys", HASH, writable=True), Hashes(column(columns / "contents", HASH))
    found = 0
    with (into / "repeats").open("wb") as file:
        for place, before, first in repeats(columns / "contents"):
            keys[place] = row_key(contents[place], before)
            file.write(np.array([place, first], dtype=np.int64).tobytes())
            found += 1
    return found


def _copy_usable(columns: Path, into: Path, usable: Array, names: list[str]) -> list[str]:
    numbers, strata = column(columns / "numbers", np.int64), column(columns / "strata", np.int32)
    counts = column(columns / "counts", np.int32)
    new_of: dict[int, int] = {}
    for start, stop in blocks(len(usable)):
        block = strata[usable[start:stop]]
        seen, first = np.unique(block, return_index=True)
        for stratum in seen[np.argsort(first)].tolist():
            new_of.setdefault(stratum, len(new_of))
        renumbered = np.zeros(len(names), dtype=np.int32)
        renumbered[list(new_of)] = list(new_of.values())
        append(into / "numbers", numbers[usable[start:stop]])
        append(into / "counts", counts[usable[start:stop]])
        append(into / "strata", renumbered[block])
    return [names[stratum] for stratum in new_of]


def _write_excluded(
    reasons: Reasons, names: list[str], folder: Path, columns: Path, into: Path, total: int
) -> tuple[Counter[Problem], dict[Problem, list[tuple[int, str]]]]:
    """Write every excluded row with its reason and its part of the source, in the order of rows; one that is no sample has no part."""
    from sources.row_index import note_excluded

    numbers, why = column(columns / "numbers", np.int64), column(columns / "row_reasons", np.int32)
    strata = column(columns / "strata", np.int32)
    excluded: Counter[Problem] = Counter()
    examples: dict[Problem, list[tuple[int, str]]] = {}
    at = 0
    with (into / "excluded.jsonl").open("w", encoding="ascii") as file:
        for part, size in enumerate(parts_of(total)):
            malformed = malformed_rows(folder, part)
            stop = at + size - len(malformed)
            block = why[at:stop]
            bad = np.flatnonzero(block)
            rows: list[tuple[int, Problem, str, str | None]] = [
                (int(numbers[at + i]), *reasons[int(block[i])], names[strata[at + i]]) for i in bad
            ]
            rows += [(number, Problem(name), detail, None) for number, name, detail in malformed]
            for number, problem, detail, name in sorted(rows, key=lambda row: row[0]):
                note_excluded(excluded, examples, problem, number, detail)
                file.write(json.dumps([number, problem.value, detail, name]) + "\n")
            at = stop
    return excluded, examples


def _count_images(columns: Path) -> tuple[int, int]:
    """Return how many distinct images the usable rows hold, and how many more have the name of another."""
    names, used, held = column(columns / "names", HASH), column(columns / "used", np.uint8), columns / "used_names"
    n = 0
    held.touch()
    for start, stop in blocks(len(names)):
        mask = used[start:stop].astype(bool)
        n += int(mask.sum())
        append(held, names[start:stop][mask])
    distinct = count_distinct(held)
    return distinct, n - distinct
