"""Punctuation taken out of an answer, as the official VQA evaluation does it (https://visualqa.org/evaluation.html)."""

from __future__ import annotations

import re

_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_LONE_FULL_STOP = re.compile(r"(?<!\d)\.(?!\d)")
MOST_FULL_STOPS = 32  # the official script passes a flag where the number of replacements goes, and published scores hold that


def without_punctuation(text: str) -> str:
    """Return the text with each mark dropped where it stands beside a space, else made a space; lone full stops are dropped."""
    number = _COMMA_IN_NUMBER.search(text) is not None
    found = text
    for mark in _MARKS:
        drop = number or f"{mark} " in text or f" {mark}" in text
        found = found.replace(mark, "" if drop else " ")
    return _LONE_FULL_STOP.sub("", found, count=MOST_FULL_STOPS)
