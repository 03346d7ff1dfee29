"""The options by which `probe optimize` is told what to confirm a mixture against, and what is printed of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from probe.cli.output import estimate_json, interval
from probe.errors import UsageError

if TYPE_CHECKING:
    from probe.manifest.document import Manifest
    from probe.study.baselines import Against

F = TypeVar("F", bound=Callable[..., Any])
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def confirmation_options(command: F) -> F:
    """Add `--baseline`, `--leave-out`, `--source-cap` and `--outside` to a command."""
    options = (
        click.option("--baseline", "baselines", multiple=True, metavar="NAME=a=.5,b=.5", help="Confirm against this mixture too; repeat."),
        click.option(
            "--leave-out",
            multiple=True,
            metavar="NAME",
            help="A baseline to leave out: base, uniform, uniform_without_hurts, proportional, capped, best_single.",
        ),
        click.option("--source-cap", type=click.IntRange(1), default=None, help="Rows of a source in `capped`.  [default: the median]"),
        click.option("--outside", multiple=True, metavar="B", help="A benchmark kept out of the objective, only watched; repeat."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def against_of(options: dict[str, Any]) -> Against:
    """Return what the options say of the confirmation list.

    Raises:
        UsageError: a baseline is not of the form NAME=a=.5,b=.5.
    """
    from probe.study.baselines import Against

    own = tuple(_named_mixture(text) for text in options["baselines"])
    return Against(tuple(options["leave_out"]), own, options["source_cap"] or 0)


def _named_mixture(text: str) -> tuple[str, Any]:
    from probe.study.base import parse_shares

    name, equals, shares = text.partition("=")
    if not equals or not _NAME.fullmatch(name) or "=" not in shares:
        raise UsageError(f"--baseline {text!r} is not of the form NAME=a=.5,b=.5.")
    return name, parse_shares(f"--baseline {name}", shares)


def outside_lines(doc: Manifest) -> Sequence[str]:
    """Return what was seen on benchmarks outside the objective, one line each; none where there was none."""
    lines = []
    for entry in doc.outside:
        told = ", ".join(f"{name} {interval(one.gain)}{' (lost)' if one.lost else ''}" for name, one in entry.gains.items())
        lines.append(f"  {entry.name} ({entry.capability}, {entry.metric}): against {told}")
    return (
        [f"Outside the objective, confirmation items and fresh seeds, no claim ({doc.study.level:.0%} intervals):", *lines] if lines else []
    )


def outside_json(doc: Manifest) -> list[dict[str, Any]]:
    """Return the same as objects."""
    return [
        {
            "benchmark": entry.name,
            "capability": entry.capability,
            "metric": entry.metric,
            "gain": {name: {**(estimate_json(one.gain) or {}), "lost": one.lost} for name, one in entry.gains.items()},
        }
        for entry in doc.outside
    ]


def fidelity_line(doc: Manifest) -> str:
    """Say how well the proxy agrees with full scale, or how to learn it."""
    from probe.study.fidelity import nothing_recorded

    return doc.fidelity.said if doc.fidelity else nothing_recorded(doc.study.name)


def fidelity_entry_json(doc: Manifest) -> dict[str, Any] | None:
    """Return the same as an object; null where no full-scale result is recorded."""
    found = doc.fidelity
    if found is None:
        return None
    estimates = {"agreement": estimate_json(found.agreement), "rank": estimate_json(found.rank)}
    return {"outcomes": found.outcomes, "pairs": found.pairs, "said": found.said, **estimates}
