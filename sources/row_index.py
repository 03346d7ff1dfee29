"""What an index of rows holds, and the folder that keeps it: written last and whole, believed while no image has changed.

    index-KEY/index.json                                   counts, names, examples
    index-KEY/numbers, strata, group_of, groups, keys      columns of the usable rows (`sources.columns`)
    index-KEY/counts, begins, place_images                 which images each usable row holds
    index-KEY/ids, names, reasons, rows, places, by_row    columns of the images, see `sources.index_images`
    index-KEY/paths, path_ends, path_sizes, path_times     image files as they were
    index-KEY/repeats                                      pairs: a usable row that is a copy, the first one of its kind
    index-KEY/excluded.jsonl                               [row, problem, detail, part] of every other row, in order

Nothing of it is a pickle.
"""

from __future__ import annotations

import json
import shutil
import weakref
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sources.canonical import hash_bytes
from sources.columns import HASH, HASH_BYTES, Array, Hashes, blocks, column, find_hash, temporary_mask
from sources.image_files import files_unchanged
from sources.images import read_image_bytes
from sources.problems import Problem
from sources.sample import ImageRef
from sources.subsources import subsource_slug
from sources.whole_files import write_whole_text

EXAMPLES = 5
_PLAIN = (
    "total",
    "content",
    "names",
    "distinct_images",
    "duplicate_images",
    "images",
    "by_path",
    "decoded_images",
    "decoded_bad",
    "undecoded_images",
    "duplicate_rows",
    "folders",
)


@dataclass(slots=True, eq=False, weakref_slot=True)
class RowIndex:
    """What the rows of a source are, in file order; columns lie on disk.

    Images are named by their bytes, whatever path they lie at; with `by_path` (very many) those at paths by path and size. Of very
    many images only some were decoded, those with the smallest names, up to `decoded_to`; None says that all were.
    """

    total: int
    content: str  # hash of all usable rows' keys
    numbers: Array
    strata: Array
    names: list[str]  # of strata
    group_of: Array  # rows that share an image, also through others, share a group
    groups: Hashes  # by number, in their order
    keys: Hashes  # content and how often it stood before
    excluded: Counter[Problem]
    examples: dict[Problem, list[tuple[int, str]]]
    images_per_row: Counter[int]
    image_ids: Array
    image_names: Hashes
    distinct_images: int  # by their names, of usable rows
    duplicate_images: int  # usable images with the name of another one under another path
    images: int  # broken ones too
    by_path: bool
    decoded_images: int
    decoded_bad: int
    undecoded_images: int
    decoded_to: bytes | None
    duplicate_rows: int
    folders: dict[str, int] = field(repr=False)
    folder: Path

    def image_hash(self, ref: ImageRef) -> str:
        """Return the hash of a usable image's bytes.

        Raises:
            RowError: it has to be read for that, and cannot be.
        """
        if ref.path is None:
            return ref.identity()
        place = None if self.by_path else find_hash(self.image_ids, path_key(ref.path))
        return hash_bytes(read_image_bytes(ref)) if place is None else self.image_names[place].hex()

    def first_place(self, image: int) -> tuple[int, int]:
        """Return the row and the place in it where an image first stands, by the image's number."""
        return int(column(self.folder / "rows", np.int64)[image]), int(column(self.folder / "places", np.int32)[image])

    def decoded_in(self, chosen: Array | None = None) -> Array:
        """Return the numbers of the good images in some usable rows (by place; None: all) that were decoded, in the order of rows."""
        why, names = column(self.folder / "reasons", np.int32), column(self.folder / "names", HASH)
        wanted = temporary_mask(len(why))
        counts, images = column(self.folder / "counts", np.int32), column(self.folder / "place_images", np.int32)
        begins = column(self.folder / "begins", np.int64)
        for start, stop in blocks(len(counts) if chosen is None else len(chosen)):
            rows = np.arange(start, stop) if chosen is None else chosen[start:stop]
            wanted[images[places_of(begins[rows], counts[rows])]] = True
        for start, stop in blocks(len(why)):
            wanted[start:stop] &= why[start:stop] == 0
            if self.decoded_to is not None:
                wanted[start:stop] &= names[start:stop] <= np.array(self.decoded_to, dtype=HASH)
        order = column(self.folder / "by_row", np.int32)
        found = [block[wanted[block]] for block in (order[start:stop] for start, stop in blocks(len(order)))]
        return np.concatenate([np.empty(0, dtype=np.int32), *found])

    def was_decoded(self, ref: ImageRef, digest: str) -> bool:
        """Say whether an image of these bytes was decoded when the index was made."""
        if self.decoded_to is None:
            return True
        return not (self.by_path and ref.path is not None) and bytes.fromhex(digest) <= self.decoded_to

    def excluded_rows(self, part: str | None = None) -> Iterator[tuple[int, Problem, str]]:
        """Yield number, problem and detail of every row that is not used, in the order of rows; of a part's (by name or slug) only.

        A row that is no sample belongs to no part.
        """
        slug = None if part is None else subsource_slug(part)
        with (self.folder / "excluded.jsonl").open(encoding="ascii") as file:
            for line in file:
                number, problem, detail, name = json.loads(line)
                if slug is None or (name is not None and subsource_slug(name) == slug):
                    yield number, Problem(problem), detail

    def excluded_in(self, part: str) -> tuple[Counter[Problem], dict[Problem, list[tuple[int, str]]]]:
        """Return how many rows of a part are not used, by problem, and the first few of each."""
        excluded: Counter[Problem] = Counter()
        examples: dict[Problem, list[tuple[int, str]]] = {}
        for number, problem, detail in self.excluded_rows(part):
            note_excluded(excluded, examples, problem, number, detail)
        return excluded, examples


def places_of(begins: Array, counts: Array) -> Array:
    """Return the places `begins[i]` to `begins[i] + counts[i]` of all rows i, one behind the other."""
    ends = np.cumsum(counts)
    places: Array = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(begins - (ends - counts), counts)
    return places


def path_key(path: str) -> bytes:
    """Return what tells an image at a path from others in its source, as 16 bytes."""
    return bytes.fromhex(hash_bytes(b"path", path.encode("utf-8", "surrogatepass")))


def note_excluded(
    excluded: Counter[Problem], examples: dict[Problem, list[tuple[int, str]]], problem: Problem, number: int, detail: str
) -> None:
    """Count a row that is not used, and keep the first few of each problem."""
    excluded[problem] += 1
    seen = examples.setdefault(problem, [])
    if len(seen) < EXAMPLES:
        seen.append((number, detail[:200]))


def write_index(folder: Path, facts: dict[str, Any]) -> None:
    """Write what is no column; the last file of an index."""
    plain = facts | {
        "excluded": {problem.value: count for problem, count in facts["excluded"].items()},
        "examples": {problem.value: rows for problem, rows in facts["examples"].items()},
        "images_per_row": list(facts["images_per_row"].items()),
        "decoded_to": facts["decoded_to"].hex() if facts["decoded_to"] is not None else None,
    }
    write_whole_text(folder / "index.json", json.dumps(plain))


def load_index(folder: Path, root: str) -> RowIndex | None:
    """Return a kept index; None if there is none, it is damaged, or an image's size or time is another."""
    try:
        held = json.loads((folder / "index.json").read_text(encoding="ascii"))
        if root and not files_unchanged(folder, root, held["folders"]):
            return None
        return _from_json(held, folder)
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None


def forget_with(index: RowIndex, folder: Path) -> None:
    """Remove a folder when the index is gone."""
    weakref.finalize(index, shutil.rmtree, folder, ignore_errors=True)


def _from_json(held: dict[str, Any], folder: Path) -> RowIndex:
    index = RowIndex(
        numbers=column(folder / "numbers", np.int64),
        strata=column(folder / "strata", np.int32),
        group_of=column(folder / "group_of", np.int32),
        groups=Hashes(column(folder / "groups", HASH)),
        keys=Hashes(column(folder / "keys", HASH)),
        excluded=Counter({Problem(name): count for name, count in held["excluded"].items()}),
        examples={Problem(name): [(number, detail) for number, detail in rows] for name, rows in held["examples"].items()},
        images_per_row=Counter(dict(held["images_per_row"])),
        image_ids=column(folder / "ids", HASH),
        image_names=Hashes(column(folder / "names", HASH)),
        decoded_to=None if held["decoded_to"] is None else bytes.fromhex(held["decoded_to"]).ljust(HASH_BYTES, b"\0"),
        folder=folder,
        **{name: held[name] for name in _PLAIN},
    )
    lengths = {len(index.numbers), len(index.strata), len(index.group_of), len(index.keys), held["usable"]}
    if len(lengths) > 1 or len(index.image_ids) != held["images"] or len(index.image_names) != held["images"]:
        raise ValueError("columns of unequal length")
    return index
