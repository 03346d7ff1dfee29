"""How listings are printed: a table for people, `--json` and `--csv` for programs."""

from __future__ import annotations

import csv
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from probe.commands import in_workspace
from probe.workspace import Workspace
from sources.estimate import Estimate

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

F = TypeVar("F", bound=Callable[..., Any])


def listing_options(command: F) -> F:
    """Add `--json` and `--csv` to a command; they arrive as the argument `form` (`table`, `json` or `csv`)."""
    command = click.option("--csv", "form", flag_value="csv", help="Print CSV.")(command)
    command = click.option("--json", "form", flag_value="json", help="Print JSON.")(command)
    return click.option("--table", "form", flag_value="table", default="table", hidden=True)(command)


def say(text: str, err: bool = False) -> None:
    """Print text for people; every `probe COMMAND` in it carries the options that lead to the workspace at hand."""
    context = click.get_current_context(silent=True)
    workspace = context.find_object(Workspace) if context else None
    click.echo(in_workspace(text, workspace) if workspace else text, err=err)


def print_json(value: Any) -> None:
    """Print one JSON value; a number that is none is null, and text that no UTF-8 can hold (from broken data) stays escaped."""
    value = _without_nan(value)
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    click.echo(text if _is_unicode(text) else json.dumps(value, indent=2, allow_nan=False))


def print_listing(rows: Sequence[Mapping[str, Any]], form: str, *, empty: str, columns: Sequence[str] | None = None) -> None:
    """Print rows of equal keys; `empty` is the sentence for people when there are none."""
    if form == "json":
        print_json(list(rows))
        return
    names = list(columns or (rows[0] if rows else ()))
    if form == "csv":
        writer = csv.DictWriter(sys.stdout, names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(_without_nan(row) for row in rows)
    elif not rows:
        say(empty)
    else:
        print_table(names, [[_cell(row.get(name)) for name in names] for row in rows])


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose cells are plain text, numbers to the right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for i, name in enumerate(columns):
        numeric = all(_is_number(row[i]) for row in rows)
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    wide = None if sys.stdout.isatty() else 200
    Console(width=wide, highlight=False).print(table)


def interval(estimate: Estimate | None, digits: int = 3, signed: bool = True) -> str:
    """Return `+0.123 [+0.100, +0.146]`, without plus signs unless `signed`; a dash where there is none, `[unknown]` for its ends."""
    if estimate is None or not math.isfinite(estimate.value):
        return "-"
    form = f"{'+' if signed else ''}.{digits}f"
    if not (math.isfinite(estimate.low) and math.isfinite(estimate.high)):
        return f"{estimate.value:{form}} [unknown]"
    return f"{estimate.value:{form}} [{estimate.low:{form}}, {estimate.high:{form}}]"


def number(value: float, digits: int = 3) -> str:
    """Return a number for people, a small one with two significant digits; `unknown` for one that is none."""
    if not math.isfinite(value):
        return "unknown"
    needed = 1 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:.{max(digits, needed)}f}"


def print_fields(fields: Mapping[str, Any], form: str) -> None:
    """Print one thing: a line a field that is not empty for people, an object for `--json`, one row for `--csv`."""
    if form == "json":
        print_json(fields)
    elif form == "csv":
        print_listing([fields], form, empty="")
    else:
        told = {name: value for name, value in fields.items() if value not in (None, "")}
        width = max(map(len, told), default=0)
        for name, value in told.items():
            say(f"{name:<{width}}  {_cell(value)}")


def plain(text: str) -> str:
    """Return text from data files without what would move a terminal's cursor, or could not be printed."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def plain_lines(text: str) -> str:
    """Return text of several lines as `plain` does, keeping its lines."""
    return "\n".join(map(plain, text.splitlines()))


def moment_text(stamp: str) -> str:
    """Return `2026-07-01 12:00` of a stored UTC time."""
    return stamp[:16].replace("T", " ")


def bytes_text(count: float) -> str:
    """Return a number of bytes for people, such as `1.5 MB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


@contextmanager
def counting(title: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function of (done, of) that shows long work on standard error: a bar on a terminal, a line every 15 seconds elsewhere."""
    if not sys.stderr.isatty():
        yield _plain_count(title)
        return
    from rich.console import Console
    from rich.progress import Progress

    # Without its own thread, so that what it shows the progress of can be forked.
    with Progress(console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task(title, total=None)
        yield _bar_count(bar, task)


def _bar_count(bar: RichProgress, task: TaskID) -> Callable[[int, int], None]:
    drawn, stage = 0.0, -1

    def show(done: int, of: int) -> None:
        nonlocal drawn, stage
        if of != stage:
            stage = of
            bar.reset(task, completed=done, total=of)
        if time.monotonic() - drawn >= 0.1 or done == of:
            drawn = time.monotonic()
            bar.update(task, completed=done, total=of, refresh=True)

    return show


def _plain_count(title: str) -> Callable[[int, int], None]:
    last = time.monotonic()
    begun, stage, already = last, -1, 0

    def show(done: int, of: int) -> None:
        nonlocal last, begun, stage, already
        now = time.monotonic()
        if of != stage or done < already:
            begun, stage, already = now, of, done
        if now - last >= 15:
            last = now
            click.echo(f"{title}: {done:,} of {of:,}{time_left(now - begun, done - already, of - done)}", err=True)

    return show


def time_left(elapsed: float, done: int, left: int) -> str:
    """Return `, about 3 min left`, at the pace so far; nothing where that is not known."""
    if done <= 0 or left <= 0:
        return ""
    seconds = elapsed * left / done
    return f", about {seconds / 60:.0f} min left" if seconds >= 90 else f", about {seconds:.0f} s left"


def estimate_json(estimate: Estimate | None) -> dict[str, float | int] | None:
    """Return an estimate as the object that all JSON output uses."""
    if estimate is None:
        return None
    return {"value": estimate.value, "stderr": estimate.stderr, "low": estimate.low, "high": estimate.high, "n": estimate.n}


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return value


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    return str(value)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_number(cell: str) -> bool:
    return cell.replace(",", "").replace(".", "", 1).replace("-", "", 1).isdigit() or cell == "-"
