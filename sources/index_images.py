"""The second pass: what the images of a source are called, and which of them cannot be used.

An image's name is the hash of its bytes, whatever path it lies at, as long as no more than `HASHED_IMAGES` lie at paths. Of more,
reading all would take days: then an image at a path is called by its path and its file's size. Up to `FULL_DECODE_IMAGES` distinct
images all are decoded; of more, those with the smallest names, so that nothing but the images decides which.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sources.canonical import hash_bytes
from sources.columns import (
    HASH,
    HASH_BYTES,
    Array,
    append,
    blocks,
    column,
    hashes_of,
    new_column,
    number_distinct,
    smallest_distinct,
    split_hashes,
    temporary_mask,
)
from sources.images import check_image, decode_image, read_image_bytes
from sources.index_rows import INLINE, Reasons, RowsRead
from sources.parts import Progress, Tick, part_file, run_parts, write_part
from sources.problems import RowError
from sources.reader import Rows
from sources.sample import ImageRef

HASHED_IMAGES = 500_000
IMAGES_A_PART = 1000


@dataclass(frozen=True, slots=True)
class ImagesRead:
    """How images were named and checked. Those whose name is up to `decoded_to` were decoded, all if it is None.

    Columns by image, images in the order of their identities: `ids`, `names`, `reasons` (0: good), `rows` and `places` where each
    first stands; `place_images` is the image of each place in a row, `by_row` the images in the order in which they first stand.
    """

    n: int
    by_path: bool  # images at paths are named by path and size
    decoded_to: bytes | None
    decoded: int  # distinct images that were decoded
    decoded_bad: int  # ... and could not be
    undecoded: int


def image_at(rows: Rows, row: int, place: int) -> ImageRef:
    """Return the image at a place of a row; one without bytes where the row is not what it was."""
    sample = rows.get(row).sample
    return sample.images[place] if sample and place < len(sample.images) else ImageRef()


def name_images(
    rows: Rows, read: RowsRead, folder: Path, columns: Path, files: Path, full_decode: int, jobs: int, progress: Progress | None
) -> ImagesRead:
    """Name and check the images that `index_rows.join_parts` found, into columns in `columns`; `folder` keeps finished parts."""
    n = number_distinct(columns / "place_ids", columns / "place_images", columns / "ids", columns / "first")
    _place_images(columns, n)
    at_path = _at_path(columns)
    hashed = n <= full_decode or int(np.count_nonzero(at_path)) <= HASHED_IMAGES
    _begin(columns, files, n, by_path=not hashed)
    if not hashed or n > full_decode:
        _known_reasons(columns, only_inline=at_path if hashed else None)
    if hashed:
        wanted = np.arange(n, dtype=np.int64) if n <= full_decode else np.flatnonzero(at_path)  # at most HASHED_IMAGES
        _read_images(rows, read.reasons, folder, "images", columns, wanted, n <= full_decode, jobs, progress)
    if n <= full_decode:
        reasons = column(columns / "reasons", np.int32)
        return ImagesRead(n, False, None, n, int(np.count_nonzero(reasons)), 0)
    return _decode_some(rows, read.reasons, folder, columns, n, not hashed, full_decode, jobs, progress)


def _place_images(columns: Path, n: int) -> None:
    """Say of each image in which row and place it first stands, and list images in that order."""
    first, ids = column(columns / "first", np.int64), column(columns / "place_images", np.int32)
    numbers, ends = column(columns / "numbers", np.int64), _row_ends(columns)
    for start, stop in blocks(n):
        at = first[start:stop]
        row = np.searchsorted(ends, at, side="right")
        append(columns / "rows", numbers[row])
        append(columns / "places", (at - np.where(row > 0, ends[row - 1], 0)).astype(np.int32))
    for start, stop in blocks(len(ids)):
        block = ids[start:stop]
        append(columns / "by_row", block[first[block] == np.arange(start, stop)])


def _row_ends(columns: Path) -> Array:
    """Write and return the column of how many places there are up to the end of each row."""
    counts, before = column(columns / "counts", np.int32), 0
    for start, stop in blocks(len(counts)):
        ends = before + np.cumsum(counts[start:stop], dtype=np.int64)
        append(columns / "row_ends", ends)
        before = int(ends[-1])
    return column(columns / "row_ends", np.int64)


def _at_path(columns: Path) -> Array:
    first, paths = column(columns / "first", np.int64), column(columns / "place_paths", np.int64)
    found = temporary_mask(len(first))
    for start, stop in blocks(len(first)):
        found[start:stop] = paths[first[start:stop]] != INLINE
    return found


def _begin(columns: Path, files: Path, n: int, by_path: bool) -> None:
    """Name images by their identities; with `by_path`, those at paths by their files' sizes too."""
    new_column(columns / "reasons", np.int32, n)
    ids, first, paths = column(columns / "ids", HASH), column(columns / "first", np.int64), column(columns / "place_paths", np.int64)
    sizes = column(files / "path_sizes", np.int64)
    for start, stop in blocks(n):
        names = np.array(ids[start:stop])
        if by_path:
            path = paths[first[start:stop]]
            held = split_hashes(names.tobytes())
            names = hashes_of(
                b"".join(
                    one if at == INLINE else bytes.fromhex(hash_bytes(b"path and size", one, b"%d" % sizes[at]))
                    for one, at in zip(held, path.tolist(), strict=True)
                )
            )
        append(columns / "names", names)


def _known_reasons(columns: Path, only_inline: Array | None) -> None:
    """Take over what the first pass found bad: all of it, or of images inside rows only."""
    ids, reasons = column(columns / "ids", HASH), column(columns / "reasons", np.int32, writable=True)
    bad, why = column(columns / "bad_ids", HASH), column(columns / "bad_reasons", np.int32)
    for start, stop in blocks(len(bad)):
        places = np.searchsorted(ids, bad[start:stop])
        taken = np.ones(len(places), dtype=bool) if only_inline is None else ~only_inline[places]
        reasons[places[taken]] = why[start:stop][taken]


def _read_images(
    rows: Rows, reasons: Reasons, folder: Path, stage: str, columns: Path, wanted: Array, decode: bool, jobs: int, progress: Progress | None
) -> None:
    """Read the wanted images' bytes for their names, and their pixels or their header for what is wrong."""
    name, why = column(columns / "names", HASH, writable=True), column(columns / "reasons", np.int32, writable=True)
    for ids, names, found in check_images(rows, folder, stage, columns, wanted, decode, jobs, progress):
        name[ids] = names
        why[ids] = [reasons.number(*reason) if reason else 0 for reason in found]


def check_images(
    rows: Rows, folder: Path, stage: str, columns: Path, wanted: Array, decode: bool, jobs: int, progress: Progress | None
) -> CheckedImages:
    """Read images, in parts that are kept; give the images, their names by bytes, and what is wrong with each, part by part."""
    mask = temporary_mask(len(column(columns / "ids", HASH)))
    for start, stop in blocks(len(wanted)):
        mask[wanted[start:stop]] = True
    order, numbers = column(columns / "by_row", np.int32), folder / f"{stage}-work"
    numbers.unlink(missing_ok=True)
    for start, stop in blocks(len(order)):
        block = order[start:stop]
        append(numbers, block[mask[block]])
    work_list = column(numbers, np.int32)
    at_row, at_place = column(columns / "rows", np.int64), column(columns / "places", np.int32)
    sizes = [stop - start for start, stop in blocks(len(work_list), IMAGES_A_PART)]

    def work(number: int, file: Path, tick: Tick) -> None:
        names, found = bytearray(), []
        ids = np.array(work_list[number * IMAGES_A_PART : (number + 1) * IMAGES_A_PART])
        for done, image in enumerate(ids, 1):
            name, reason = _checked(image_at(rows, int(at_row[image]), int(at_place[image])), decode)
            names += name
            found.append(reason)
            if done % 100 == 0:
                tick(100)
        said = np.frombuffer(json.dumps(found).encode(), dtype=np.uint8)
        write_part(file, {"ids": ids, "names": hashes_of(names), "said": said})

    run_parts(folder, stage, sizes, work, jobs, progress)
    return CheckedImages(folder, stage, len(sizes))


@dataclass(frozen=True, slots=True)
class CheckedImages:
    """Images with their names by bytes and what is wrong with each, as the parts' files hold them: read as they are asked for."""

    folder: Path
    stage: str
    parts: int

    def __iter__(self) -> Iterator[tuple[Array, Array, list[tuple[str, str] | None]]]:
        for number in range(self.parts):
            with np.load(part_file(self.folder, self.stage, number)) as part:
                yield part["ids"], part["names"], [tuple(why) if why else None for why in json.loads(part["said"].tobytes())]


def _checked(ref: ImageRef, decode: bool) -> tuple[bytes, tuple[str, str] | None]:
    try:
        data = read_image_bytes(ref)
        if decode:
            decode_image(data)
        else:
            check_image(ImageRef(data=data), decode=False)
    except RowError as error:
        return bytes(HASH_BYTES), (error.problem.value, error.detail[:200])
    return bytes.fromhex(hash_bytes(data)), None


def _decode_some(
    rows: Rows,
    reasons: Reasons,
    folder: Path,
    columns: Path,
    n: int,
    by_path: bool,
    most: int,
    jobs: int,
    progress: Progress | None,
) -> ImagesRead:
    """Decode the images of the smallest names; one that cannot be is bad under each of its identities."""
    names, why = column(columns / "names", HASH), column(columns / "reasons", np.int32, writable=True)
    distinct = _count_good(columns)
    chosen = smallest_distinct(columns / "names", why, most)
    ids = _ids_named(names, why, chosen)
    bad: dict[bytes, int] = {}
    for found, _, problems in check_images(rows, folder, "sample", columns, ids, True, jobs, progress):
        for image, problem in zip(found, problems, strict=True):
            if problem:
                bad[bytes(names[image])] = reasons.number(*problem)
    for start, stop in blocks(n) if bad else ():
        block = names[start:stop]
        for at in np.flatnonzero(np.isin(block, np.array(list(bad), dtype=HASH)) & (why[start:stop] == 0)):
            why[start + at] = bad[bytes(block[at])]
    everything = len(chosen) == distinct
    last = None if everything else bytes(chosen[-1]).ljust(HASH_BYTES, b"\0")
    return ImagesRead(n, by_path, last, len(chosen), len(bad), distinct - len(chosen))


def _count_good(columns: Path) -> int:
    """Return how many distinct names the images have that nothing is known against."""
    from sources.columns import count_distinct

    names, why, good = column(columns / "names", HASH), column(columns / "reasons", np.int32), columns / "good"
    good.unlink(missing_ok=True)
    for start, stop in blocks(len(names)):
        append(good, names[start:stop][why[start:stop] == 0])
    return count_distinct(good)


def _ids_named(names: Array, why: Array, chosen: Array) -> Array:
    """Return one good image of each chosen name."""
    found: dict[bytes, int] = {}
    for start, stop in blocks(len(names)):
        block = names[start:stop]
        for at in np.flatnonzero(np.isin(block, chosen) & (why[start:stop] == 0)):
            found.setdefault(bytes(block[at]), start + int(at))
    return np.array(sorted(found.values()), dtype=np.int64)
