"""The image files of a source as they were when it was indexed, and whether they still are.

Up to so many files all are looked at. Of more, the times of their folders (which change when a file is added, removed or replaced)
and a random sample of files; where a folder was touched, all files again. A file rewritten in place outside the sample is not
noticed here; it is when it is drawn, for then its bytes are hashed.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import numpy as np

from sources.columns import Array, append, blocks, column
from sources.image_bytes import image_status, safe_path
from sources.images import IMAGE_POLICY
from sources.problems import RowError
from sources.sample import ImageRef

ALL_LOOKED_AT = 500_000
_SAMPLE = 20_000
_MOST_FOLDERS = 200_000  # with more of them there is no short cut


def add_files(folder: Path, paths: bytes, ends: Array, sizes: Array, times: Array) -> None:
    """Add paths (UTF-8, one behind the other, each up to its end) with the sizes and times (ns) of their files."""
    text = folder / "paths"
    base = text.stat().st_size if text.exists() else 0
    with text.open("ab") as handle:
        handle.write(paths)
    append(folder / "path_ends", ends.astype(np.int64) + base)
    append(folder / "path_sizes", sizes.astype(np.int64))
    append(folder / "path_times", times.astype(np.int64))


def join_folders(known: dict[str, int], more: dict[str, int]) -> None:
    """Add folders with their times; of one seen at two times nothing is believed."""
    for name, time in more.items():
        if len(known) <= _MOST_FOLDERS:
            known[name] = time if known.get(name, time) == time else -1


def files_unchanged(folder: Path, root: str, folders: dict[str, int]) -> bool:
    """Say whether a source's image files still have their sizes and times."""
    ends = column(folder / "path_ends", np.int64)
    if len(ends) > ALL_LOOKED_AT and len(folders) <= _MOST_FOLDERS and _folders_unchanged(root, folders):
        places = np.array(sorted(random.sample(range(len(ends)), _SAMPLE)))
        return all(_same(folder, root, ends, places[start:stop]) for start, stop in blocks(len(places), 64))
    return all(_same(folder, root, ends, np.arange(start, stop)) for start, stop in blocks(len(ends)))


def size_and_time(ref: ImageRef, folders: dict[str, int]) -> tuple[int, int, RowError | None]:
    """Return an image file's size and time (ns), -1 and why for one that cannot be used."""
    try:
        status = image_status(ref, IMAGE_POLICY.max_file_bytes, folders)
    except RowError as error:
        size, time = _of_unusable(ref)
        return size, time, error
    return status.st_size, status.st_mtime_ns, None


def _of_unusable(ref: ImageRef) -> tuple[int, int]:
    try:
        status = os.stat(safe_path(ref))
    except (OSError, ValueError, RowError):
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _folders_unchanged(root: str, folders: dict[str, int]) -> bool:
    try:
        return all(os.stat(os.path.join(root, name)).st_mtime_ns == time for name, time in folders.items())
    except OSError:
        return False


def _same(folder: Path, root: str, ends: Array, places: Array) -> bool:
    sizes, times = column(folder / "path_sizes", np.int64), column(folder / "path_times", np.int64)
    held: dict[str, int] = {}
    with (folder / "paths").open("rb") as handle:
        for place, path in _paths(handle, ends, places):
            size, time, _ = size_and_time(ImageRef(path=path, root=root), held)
            if (size, time) != (int(sizes[place]), int(times[place])):
                return False
    return True


def _paths(handle: Any, ends: Array, places: Array) -> Any:
    for place in places.tolist():
        start = int(ends[place - 1]) if place else 0
        handle.seek(start)
        yield place, handle.read(int(ends[place]) - start).decode("utf-8", "surrogatepass")
