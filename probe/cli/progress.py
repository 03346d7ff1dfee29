"""Progress of a study on standard error: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from db.values import StudyProgress

PLAIN_EVERY_S = 15.0


@contextmanager
def study_progress(workers: int) -> Iterator[Callable[[StudyProgress], None]]:
    """Give a function that shows where a study stands, with an estimate of the time left."""
    if sys.stderr.isatty():
        with _bar(workers) as show:
            yield show
    else:
        yield _plain(workers)


@contextmanager
def _bar(workers: int) -> Iterator[Callable[[StudyProgress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("probes", total=None, left="")
        estimate = _TimeLeft()

        def show(state: StudyProgress) -> None:
            total = state.waiting + state.running + state.done + state.failed
            failed = f", {state.failed} failed" if state.failed else ""
            description = f"{state.done}/{total} probes{failed}"
            progress.update(task, description=description, total=total, completed=state.done + state.failed, left=estimate(state))

        yield show


def _plain(workers: int) -> Callable[[StudyProgress], None]:
    last, estimate = -PLAIN_EVERY_S, _TimeLeft()

    def show(state: StudyProgress) -> None:
        nonlocal last
        left = estimate(state)
        ended = not state.waiting and not state.running
        if ended or time.monotonic() - last >= PLAIN_EVERY_S:
            last = time.monotonic()
            total = state.waiting + state.running + state.done + state.failed
            print(f"{state.done}/{total} probes done, {state.running} running, {state.failed} failed {left}".rstrip(), file=sys.stderr)

    return show


class _TimeLeft:
    """Time left from the pace since the first probe that finished: what came before it, starts and images, does not come again."""

    def __init__(self) -> None:
        self._before: int | None = None
        self._start: tuple[float, int] | None = None

    def __call__(self, state: StudyProgress) -> str:
        finished = state.done + state.failed
        self._before = finished if self._before is None else self._before
        if self._start is None and finished > self._before:
            self._start = (time.monotonic(), finished)
        began, before = self._start or (0.0, finished)
        if finished <= before or not (state.waiting or state.running):
            return ""
        seconds = (time.monotonic() - began) / (finished - before) * (state.waiting + state.running)
        return f"about {seconds / 60:.1f} min left" if seconds >= 60 else f"about {seconds:.0f} s left"
