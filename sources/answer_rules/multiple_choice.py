"""Multiple choice: which option an answer names, by its letter or by its text; as MMBench's authors match answers without a judge.

Liu et al. 2024, MMBench, section 4.3 (https://arxiv.org/abs/2307.06281). An answer names an option if its letter, in upper case, is
the only option letter among its words and stands among the last five, or else if the option's text is the only one it contains.
"""

from __future__ import annotations

from sources.answer_rules.judgement import Judgement
from sources.benchmark import Item

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MARKS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_NO_ANSWER = "Failed to obtain answer via API"
_NONE_OF_THEM = "Z"
_LAST_WORDS = 5


def multiple_choice(item: Item, prediction: str) -> Judgement:
    """Judge by the option that is named; an answer that names none, or says that it refuses, is wrong and unread."""
    named = named_option(prediction, item.choices)
    return Judgement(float(named is not None and item.choices[named] == item.answer), named is not None)


def named_option(prediction: str, choices: tuple[str, ...]) -> int | None:
    """Return which choice an answer names, None where none or more than one."""
    letters = LETTERS[: len(choices)]
    letter = _by_letter(prediction, letters)
    if letter is not None:
        return letters.index(letter) if letter in letters else None
    return _by_text(prediction, choices)


def _by_letter(prediction: str, letters: str) -> str | None:
    """Return the letter that is named, `Z` of a refusal, None where the words say nothing."""
    if _NO_ANSWER in prediction:
        return None
    if any(refusal in prediction for refusal in _REFUSALS):
        return _NONE_OF_THEM
    words = prediction.translate(_MARKS).split()
    named = [letter for letter in letters if letter in words]
    if len(named) == 1:
        return named[0] if words.index(named[0]) > len(words) - _LAST_WORDS else None
    return _NONE_OF_THEM if not named and _NONE_OF_THEM in words else None


def _by_text(prediction: str, choices: tuple[str, ...]) -> int | None:
    text = prediction.lower()
    if len(text) > 2 * sum(map(len, choices)):
        return None
    named = [number for number, choice in enumerate(choices) if choice.lower() in text]
    return named[0] if len(named) == 1 else None
