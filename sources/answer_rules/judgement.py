"""What a rule says of one generated answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Judgement:
    """`score` is between 0 and 1; `parsed` says whether the answer could be read at all, which a wrong one can."""

    score: float
    parsed: bool


def written(prediction: str) -> bool:
    """Say whether there is an answer: what every rule for free text can read."""
    return bool(prediction.strip())
