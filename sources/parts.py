"""Work in numbered parts, each of which leaves a file: over several processes, resumable, the same whatever their number."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sources.problems import SourceError
from sources.whole_files import write_whole

Progress = Callable[[int, int], None]
Tick = Callable[[int], None]  # so many more are done
Work = Callable[[int, Path, Tick], None]  # a part's number, the file it writes, and its tick


def part_file(folder: Path, name: str, number: int) -> Path:
    """Return the file of one part."""
    return folder / f"{name}-{number:06d}.npz"


def run_parts(folder: Path, name: str, sizes: list[int], work: Work, jobs: int = 1, progress: Progress | None = None) -> None:
    """Do every part that has no file yet. `sizes` says how much each part is, for the progress.

    Processes are forked, so that what is open stays open; where that is not safe (other threads run) all is done in this one.

    Raises:
        SourceError: a process ended before its parts were done; what is finished is kept.
    """
    waiting = [number for number in range(len(sizes)) if not part_file(folder, name, number).exists()]
    total = sum(sizes)
    done = total - sum(sizes[number] for number in waiting)
    tell = progress or (lambda done, total: None)
    tell(done, total)
    if jobs < 2 or len(waiting) < 2 or not can_fork():
        for number in waiting:
            before = done

            def tick(more: int) -> None:
                nonlocal done
                done += more
                tell(done, total)

            _do(folder, name, number, work, tick)
            done = before + sizes[number]
            tell(done, total)
    elif waiting:
        _fork(folder, name, waiting, work, min(jobs, len(waiting)), lambda more: tell(done + more, total))
        tell(total, total)


def can_fork() -> bool:
    """Say whether this process can be forked safely: a system that has it, and no other thread that may hold a lock."""
    return sys.platform.startswith("linux") and threading.active_count() == 1


def default_jobs() -> int:
    """Return how many processes this process may use, 8 at most: by then disks are the limit."""
    return max(1, min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1))


def write_part(file: Path, arrays: dict[str, Any]) -> None:
    """Write a part's arrays, whole or not at all."""
    import numpy as np

    def write(path: Path) -> None:
        with path.open("wb") as handle:  # by its name alone, numpy would add an ending
            np.savez(handle, **arrays)

    write_whole(file, write)


def _do(folder: Path, name: str, number: int, work: Work, tick: Tick) -> None:
    work(number, part_file(folder, name, number), tick)


def _fork(folder: Path, name: str, waiting: list[int], work: Work, jobs: int, tell: Tick) -> None:
    context = multiprocessing.get_context("fork")
    counts = context.Array("q", jobs, lock=False)  # each process writes its own
    parent = os.getpid()

    def run(worker: int) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends us

        def tick(more: int) -> None:
            counts[worker] += more
            if os.getppid() != parent:
                os._exit(1)  # nobody waits for this any more

        try:
            for number in waiting[worker::jobs]:
                _do(folder, name, number, work, tick)
                tick(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)

    processes = [context.Process(target=run, args=(worker,), daemon=True) for worker in range(jobs)]
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        for process in processes:
            process.start()
        while any(process.is_alive() for process in processes):
            next(process for process in processes if process.is_alive()).join(0.3)
            if any(process.exitcode for process in processes):
                break
            tell(sum(counts))
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()
            process.join()
    failed = [process.exitcode for process in processes if process.exitcode]
    if failed:
        raise SourceError(
            f"A process that reads the source ended early (exit code {failed[0]}); what is finished is kept: "
            "run the same command again, with --jobs 1 if memory is short"
        )
