"""The first pass over a source: every row read, and what the index needs of it written down, a part of the rows at a time.

Bytes inside a row are hashed while they pass by and their header is looked at; of an image at a path the file's size and time are.
"""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sources.columns import Array, append, hashes_of
from sources.image_files import add_files, join_folders, size_and_time
from sources.images import check_image
from sources.parts import Progress, Tick, part_file, run_parts, write_part
from sources.problems import Problem, RowError
from sources.reader import Row, Rows, walk
from sources.row_index import path_key
from sources.sample import ImageRef, Sample

ROWS_A_PART = 20_000
INLINE = -1
_TICK = 500
_MOST_REASONS = 10_000
Details = dict[str, tuple[str, str]]  # what (identity of an image) -> problem, detail


@dataclass(slots=True)
class _Part:
    bad: list[tuple[int, str, str]] = field(default_factory=list)
    numbers: array[int] = field(default_factory=lambda: array("q"))
    texts: bytearray = field(default_factory=bytearray)
    counts: array[int] = field(default_factory=lambda: array("i"))
    strata: array[int] = field(default_factory=lambda: array("i"))
    names: dict[str, int] = field(default_factory=dict)
    ids: bytearray = field(default_factory=bytearray)
    paths_of: array[int] = field(default_factory=lambda: array("q"))
    paths: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    sizes: array[int] = field(default_factory=lambda: array("q"))
    times: array[int] = field(default_factory=lambda: array("q"))
    folders: dict[str, int] = field(default_factory=dict)
    looked_at: set[bytes] = field(default_factory=set)
    bad_images: Details = field(default_factory=dict)  # by the hex of their identity

    def add(self, row: Row) -> None:
        if row.sample is None:
            self.bad.append((row.number, (row.problem or Problem.MALFORMED).value, row.detail[:200]))
            return
        sample: Sample = row.sample
        self.numbers.append(row.number)
        self.texts += bytes.fromhex(sample.text_digest())
        self.strata.append(self.names.setdefault(sample.subsource, len(self.names)))
        self.counts.append(len(sample.images))
        for ref in sample.images:
            path, identity = (INLINE, self._inline(ref)) if ref.path is None else self._path(ref, ref.path)
            self.ids += identity
            self.paths_of.append(path)

    def _inline(self, ref: ImageRef) -> bytes:
        identity = bytes.fromhex(ref.identity())
        if identity not in self.looked_at:
            self.looked_at.add(identity)
            try:
                check_image(ref, decode=False)
            except RowError as error:
                self._bad_image(identity, error)
        return identity

    def _path(self, ref: ImageRef, path: str) -> tuple[int, bytes]:
        if path not in self.paths:
            identity = path_key(path)
            self.paths[path] = (len(self.paths), identity)
            size, time, error = size_and_time(ref, self.folders)
            self.sizes.append(size)
            self.times.append(time)
            if error:
                self._bad_image(identity, error)
        return self.paths[path]

    def _bad_image(self, identity: bytes, error: RowError) -> None:
        self.bad_images[identity.hex()] = (error.problem.value, error.detail[:200])

    def write(self, file: Path) -> None:
        encoded = [path.encode("utf-8", "surrogatepass") for path in self.paths]
        write_part(
            file,
            {
                "numbers": np.array(self.numbers, dtype=np.int64),
                "texts": hashes_of(self.texts),
                "counts": np.array(self.counts, dtype=np.int32),
                "strata": np.array(self.strata, dtype=np.int32),
                "place_ids": hashes_of(self.ids),
                "place_paths": np.array(self.paths_of, dtype=np.int64),
                "paths": np.frombuffer(b"".join(encoded), dtype=np.uint8),
                "path_ends": np.cumsum([len(path) for path in encoded], dtype=np.int64),
                "path_sizes": np.array(self.sizes, dtype=np.int64),
                "path_times": np.array(self.times, dtype=np.int64),
                "said": _text({"bad": self.bad, "names": list(self.names), "folders": self.folders, "bad_images": self.bad_images}),
            },
        )


def parts_of(total: int) -> list[int]:
    """Return how many rows each part has."""
    return [min(ROWS_A_PART, total - start) for start in range(0, total, ROWS_A_PART)]


def read_rows(rows: Rows, folder: Path, jobs: int, progress: Progress | None) -> None:
    """Read all rows into the files of their parts."""

    def work(number: int, file: Path, tick: Tick) -> None:
        part = _Part()
        start = number * ROWS_A_PART
        for row in walk(rows, start, min(start + ROWS_A_PART, len(rows))):
            part.add(row)
            if (row.number + 1) % _TICK == 0:
                tick(_TICK)
        part.write(file)

    run_parts(folder, "rows", parts_of(len(rows)), work, jobs, progress)


class Reasons:
    """Why images cannot be used, each told once and numbered from 1; 0 is no reason."""

    def __init__(self) -> None:
        self.told: list[tuple[Problem, str]] = []
        self._number: dict[tuple[Problem, str], int] = {}

    def number(self, problem: str, detail: str) -> int:
        """Return a reason's number. Of very many different ones only the first are kept in words, then the class alone."""
        reason = (Problem(problem), detail if len(self.told) < _MOST_REASONS else "")
        if reason not in self._number:
            self.told.append(reason)
            self._number[reason] = len(self.told)
        return self._number[reason]

    def __getitem__(self, number: int) -> tuple[Problem, str]:
        return self.told[number - 1]


@dataclass(slots=True)
class RowsRead:
    """What the parts of a source say together; the columns lie in the folder that they were joined in."""

    names: list[str]  # of strata
    folders: dict[str, int]  # of images, with their times
    reasons: Reasons


def join_parts(folder: Path, total: int, into: Path, image_files: Path) -> RowsRead:
    """Join the parts into columns: `numbers`, `texts`, `counts`, `strata` a row; `place_ids`, `place_paths` an image of a row.

    Images that cannot be used are `bad_ids` with `bad_reasons`; `image_files` gets what is known of the files.
    """
    read = RowsRead([], {}, Reasons())
    stratum_of: dict[str, int] = {}
    n_paths = 0
    for number in range(len(parts_of(total))):
        with np.load(part_file(folder, "rows", number)) as part:
            said = json.loads(part["said"].tobytes())
            for name in ("numbers", "texts", "counts", "place_ids"):
                append(into / name, part[name])
            append(into / "place_paths", np.where(part["place_paths"] >= 0, part["place_paths"] + n_paths, INLINE))
            local = np.array([stratum_of.setdefault(name, len(stratum_of)) for name in said["names"]], dtype=np.int32)
            append(into / "strata", local[part["strata"]] if len(local) else part["strata"])
            add_files(image_files, part["paths"].tobytes(), part["path_ends"], part["path_sizes"], part["path_times"])
            n_paths += len(part["path_ends"])
        join_folders(read.folders, said["folders"])
        append(into / "bad_ids", hashes_of(bytes.fromhex("".join(said["bad_images"]))))
        append(into / "bad_reasons", np.array([read.reasons.number(*why) for why in said["bad_images"].values()], dtype=np.int32))
    read.names = list(stratum_of)
    return read


def malformed_rows(folder: Path, part: int) -> list[tuple[int, str, str]]:
    """Return number, problem and detail of the rows of a part that are no samples."""
    with np.load(part_file(folder, "rows", part)) as held:
        return [(number, problem, detail) for number, problem, detail in json.loads(held["said"].tobytes())["bad"]]


def _text(value: Any) -> Array:
    return np.frombuffer(json.dumps(value).encode(), dtype=np.uint8)
