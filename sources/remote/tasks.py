"""Files fetched one by one, several at a time: each is written under a temporary name and renamed, so that a restart goes on."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from sources.problems import SourceError

Progress = Callable[[int, int], None]
AT_ONCE = 4  # hides the time of a request without holding many row groups in memory


class StoppedError(Exception):
    """Another file failed, or the user interrupted."""


@dataclass(frozen=True, slots=True)
class Task:
    """One file to be made: `make` writes a path it is given, about `bytes` are fetched for it, and it looks at the event now and then."""

    name: str
    bytes: int
    make: Callable[[Path, threading.Event], None]


def run_tasks(tasks: Sequence[Task], folder: Path, progress: Progress | None = None) -> None:
    """Make every file that is not in the folder yet; `progress` gets bytes (done, of all).

    Raises:
        SourceError: one cannot be fetched, or there is no room for them.
    """
    missing = [task for task in tasks if not (folder / task.name).exists()]
    total, done = sum(task.bytes for task in tasks), sum(task.bytes for task in tasks) - sum(task.bytes for task in missing)
    _check_room(folder, total - done)
    stop = threading.Event()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            waiting = {pool.submit(_run, task, folder, stop): task for task in missing}
            while waiting:
                finished, _ = wait(waiting, timeout=1.0, return_when=FIRST_EXCEPTION)
                for future in finished:
                    future.result()
                    done += waiting.pop(future).bytes
                if progress:
                    progress(done, total)
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def _run(task: Task, folder: Path, stop: threading.Event) -> None:
    if stop.is_set():
        raise StoppedError
    partial = folder / f".{task.name}.partial"
    task.make(partial, stop)
    partial.replace(folder / task.name)


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise SourceError(
            f"{folder} has {free / 1e9:.1f} GB left and {needed / 1e9:.1f} GB are to be fetched: draw less with --pool-rows, "
            "or take another place with --workspace"
        )
