"""The base mixture as the user writes it: `a=0.5,b=0.5`, or a manifest."""

from __future__ import annotations

import math
from pathlib import Path

from probe.errors import UsageError
from sources.mixture import Mixture

SUM_TOLERANCE = 0.01


def parse_base(text: str) -> Mixture:
    """Return the mixture of a `--base` value.

    Raises:
        UsageError: it is neither a manifest file nor a list of shares.
    """
    return _of_manifest(Path(text)) if _is_file(text) else parse_shares("--base", text, " a manifest file nor")


def parse_shares(option: str, text: str, other: str = "") -> Mixture:
    """Return the mixture of shares such as `a=0.5,b=0.5`; `other` is what else the option takes, for its message.

    Raises:
        UsageError: these are no shares, or they do not sum to 1.
    """
    weights: dict[str, float] = {}
    for part in text.split(","):
        slug, equals, share = part.strip().rpartition("=")
        if slug in weights:
            raise UsageError(f"{option} names {slug!r} twice.")
        try:
            weights[slug] = float(share)
        except ValueError:
            equals = ""
        if not equals or not slug:
            kinds = f"neither{other} shares" if other else "no list of shares"
            raise UsageError(f"{option} {text!r} is {kinds} such as a=0.5,b=0.5.")
    total = math.fsum(weights.values())
    if not abs(total - 1) <= SUM_TOLERANCE:
        raise UsageError(f"{option} {text}: its shares sum to {total:g} and must sum to 1, as in a=0.5,b=0.5.")
    try:
        return Mixture.of(weights)
    except ValueError as error:
        raise UsageError(f"{option}: {error}.") from None


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long for a name, or with a null byte
        return False


def _of_manifest(path: Path) -> Mixture:
    """Return a manifest's mixture over all its phases, each counted by its share."""
    from probe.manifest.write import read_manifest

    weights: dict[str, float] = {}
    for phase in read_manifest(path).phases:
        for slug, weight in dict(phase.weights).items():
            weights[slug] = weights.get(slug, 0.0) + phase.share * weight
    return Mixture.of(weights)
