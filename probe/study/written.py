"""Groups, sizes and phases as the user writes them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from probe.errors import UsageError
from probe.study.base import parse_shares
from probe.study.request import Groups
from sources.mixture import Phase


def parse_groups(texts: Sequence[str]) -> Groups:
    """Return the groups of `NAME=S1,S2` values.

    Raises:
        UsageError: one is written otherwise, or two have one name.
    """
    groups: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, equals, members = text.partition("=")
        slugs = tuple(dict.fromkeys(slug.strip() for slug in members.split(",") if slug.strip()))
        if not equals or not name.strip() or not slugs:
            raise UsageError(f"--group {text!r} is no group such as documents=docvqa,chartqa.")
        if name.strip() in groups:
            raise UsageError(f"--group names {name.strip()!r} twice.")
        groups[name.strip()] = slugs
    return tuple(groups.items())


def parse_sizes(text: str | None) -> tuple[int, ...]:
    """Return the budgets of a `--sizes` value.

    Raises:
        UsageError: one is no whole number of at least 1.
    """
    sizes = [_number("--sizes", part, "250,500,1000") for part in text.split(",")] if text else []
    if any(size < 1 or size != int(size) for size in sizes):
        raise UsageError(f"--sizes {text}: sizes are whole numbers of at least 1, such as 250,500,1000.")
    return tuple(int(size) for size in sizes)


def parse_phases(texts: Sequence[str], shares: str | None) -> tuple[Phase, ...]:
    """Return phases in order, each with its share of the budget; equal shares where none are given.

    Raises:
        UsageError: a phase or a share is written otherwise, or they are not as many.
    """
    mixtures = [parse_shares("--phase", text) for text in texts]
    given = [_number("--phase-share", part, "0.5,0.5") for part in shares.split(",")] if shares else [1.0] * len(mixtures)
    if len(given) != len(mixtures):
        raise UsageError(f"--phase-share gives {len(given)} shares for {len(mixtures)} phases: one for each --phase, in their order.")
    if not all(share > 0 for share in given):
        raise UsageError(f"--phase-share {shares}: every phase needs a positive share.")
    return tuple(Phase(mixture, share / math.fsum(given)) for mixture, share in zip(mixtures, given, strict=True))


def _number(option: str, text: str, example: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"{option}: {text.strip()!r} is no number; write it as {example}.")
    return number
