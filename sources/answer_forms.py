"""In what form a source asks for answers, seen from its questions and answers: closed choices, short answers, or open text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from sources.sample import Role, Sample

SHORT_WORDS = 3
_OPTIONS = re.compile(r"^\s*\(?([A-Z])[).:]\s*\S", re.MULTILINE)


def answer_form(question: str, answer: str) -> str:
    """Return `choice` where the question lists lettered options, `short` for an answer of up to three words, else `open`."""
    if {"A", "B"} <= set(_OPTIONS.findall(question)):
        return "choice"
    return "short" if len(answer.split()) <= SHORT_WORDS else "open"


def form_of(samples: Iterable[Sample]) -> str:
    """Return the form of most answers; ties go to the earlier word.

    Raises:
        ValueError: there is no question with an answer.
    """
    counts: Counter[str] = Counter()
    for sample in samples:
        for asked, said in zip(sample.turns, sample.turns[1:], strict=False):
            if said.role is Role.ASSISTANT:
                counts[answer_form(asked.text, said.text)] += 1
    if not counts:
        raise ValueError("there is no question with an answer")
    return min(counts, key=lambda form: (-counts[form], form))
