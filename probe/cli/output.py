"""How listings are printed: a table for people, `--json` and `--csv` for programs."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from sources.estimate import Estimate

F = TypeVar("F", bound=Callable[..., Any])


def listing_options(command: F) -> F:
    """Add `--json` and `--csv` to a command; they arrive as the argument `form` (`table`, `json` or `csv`)."""
    command = click.option("--csv", "form", flag_value="csv", help="Print CSV.")(command)
    command = click.option("--json", "form", flag_value="json", help="Print JSON.")(command)
    return click.option("--table", "form", flag_value="table", default="table", hidden=True)(command)


def print_json(value: Any) -> None:
    """Print one JSON value."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_listing(rows: Sequence[Mapping[str, Any]], form: str, *, empty: str, columns: Sequence[str] | None = None) -> None:
    """Print rows of equal keys; `empty` is the sentence for people when there are none."""
    if form == "json":
        print_json(list(rows))
        return
    names = list(columns or (rows[0] if rows else ()))
    if form == "csv":
        writer = csv.DictWriter(sys.stdout, names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    elif not rows:
        click.echo(empty)
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


def interval(estimate: Estimate | None, digits: int = 3) -> str:
    """Return `+0.123 [+0.100, +0.146]`, or a dash."""
    if estimate is None:
        return "-"
    return f"{estimate.value:+.{digits}f} [{estimate.low:+.{digits}f}, {estimate.high:+.{digits}f}]"


def estimate_json(estimate: Estimate | None) -> dict[str, float | int] | None:
    """Return an estimate as the object that all JSON output uses."""
    if estimate is None:
        return None
    return {"value": estimate.value, "stderr": estimate.stderr, "low": estimate.low, "high": estimate.high, "n": estimate.n}


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    return str(value)


def _is_number(cell: str) -> bool:
    return cell.replace(",", "").replace(".", "", 1).replace("-", "", 1).isdigit() or cell == "-"
