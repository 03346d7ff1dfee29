"""Files fetched whole: JSON and TSV, which cannot be read in parts, and tars, which are picked by seed until there are rows enough."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from sources.problems import SourceError
from sources.remote.listing import Listing, RemoteFile, file_system, is_url, reachable
from sources.remote.plan import shard_order
from sources.remote.tasks import Progress, StoppedError, Task, run_tasks
from sources.spec import SourceSpec

_PIECE = 8 << 20  # bytes asked for at a time, and lost at most by an interruption


def whole_tasks(spec: SourceSpec, files: tuple[RemoteFile, ...]) -> list[Task]:
    """Return what is to be fetched, a file a file."""
    return [Task(local_name(file.name), file.size, partial(_fetch, spec, file)) for file in files]


def fetch_tars(
    spec: SourceSpec, listing: Listing, data: Path, rows: int, seed: str, count: Callable[[], int], progress: Progress | None
) -> None:
    """Fetch whole tars in a seeded order until `count` says that there are `rows` rows; all of them where `rows` is 0.

    Raises:
        SourceError: one cannot be fetched.
    """
    for task in whole_tasks(spec, listing.beside):  # what describes the tars is small and comes first
        (data / ".nv-meta").mkdir(exist_ok=True)
        run_tasks([Task(Path(task.name).name.removeprefix(".nv-meta--"), task.bytes, task.make)], data / ".nv-meta", progress)
    order = [listing.files[i] for i in shard_order(len(listing.files), seed)]
    if not rows:
        run_tasks(whole_tasks(spec, tuple(order)), data, progress)
        return
    for number in range(1, len(order) + 1):
        run_tasks(whole_tasks(spec, tuple(order[:number])), data, progress)
        if count() >= rows:
            return


def local_name(name: str) -> str:
    """Return the name that a file has in a pool: its path within the source, kept apart from others and free of surprises."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name.replace("/", "--")).lstrip(".") or "file"


def _fetch(spec: SourceSpec, file: RemoteFile, path: Path, stop: threading.Event) -> None:
    path.unlink(missing_ok=True) if path.is_symlink() else None
    if not is_url(file.url):
        path.symlink_to(os.path.realpath(file.url))
    elif file.url.startswith("hf://"):
        from sources.remote.hub import download_file

        path.symlink_to(os.path.realpath(download_file(spec, file.name)))
    else:
        _fetch_url(file, path, stop)


def _fetch_url(file: RemoteFile, path: Path, stop: threading.Event) -> None:
    """Fetch a file in pieces, from where an earlier try ended."""
    fs, place = file_system(file.url)
    with open(path, "ab") as out, reachable(file.url):
        while (start := out.tell()) < file.size:
            if stop.is_set():
                raise StoppedError
            piece = fs.cat_file(place, start=start, end=min(start + _PIECE, file.size))
            if not piece or start + len(piece) > file.size:
                raise SourceError(f"{file.url} does not give the bytes that it was asked for; download it and give it with --path")
            out.write(piece)
