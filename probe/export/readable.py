"""What single trainers cannot read, beyond what none of them can (`probe.export.conversation.inexpressible`)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from probe.export.conversation import inexpressible
from probe.export.drawn_rows import Unreadable
from sources.sample import Sample


def readable_by(*checks: Unreadable) -> Unreadable:
    """Return a check that gives the first reason found, the one that holds for every trainer before all others."""

    def first_reason(sample: Sample) -> str:
        return next((reason for check in (inexpressible, *checks) if (reason := check(sample))), "")

    return first_reason


def any_image(sample: Sample) -> str:
    """Return a reason where there is an image."""
    return "it has an image, and this trainer trains on text only" if sample.images else ""


def literal(marks: Sequence[str]) -> Unreadable:
    """Return a check that a sample's text holds none of some marks, however they are capitalised."""
    pattern = re.compile("|".join(map(re.escape, marks)), re.IGNORECASE)

    def reason(sample: Sample) -> str:
        found = next((match for turn in sample.turns if (match := pattern.search(turn.text))), None)
        return f"the text holds a literal {found.group(0).lower()}, which this trainer takes for a place of its own" if found else ""

    return reason
