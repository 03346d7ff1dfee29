"""Words in the official VQA evaluation's normal form: no articles, numbers up to ten as digits, apostrophes put back into contractions.

Published VQA scores are computed with exactly these contractions (https://visualqa.org/evaluation.html), the odd ones included.
"""

from __future__ import annotations

from collections.abc import Iterator

_ARTICLES = frozenset(("a", "an", "the"))
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS = {word: str(number) for number, word in enumerate(_NUMBERS)} | {"none": "0"}

_ENDINGS = {  # ending: what stands before it
    "n't": "ai are ca could did does do had has have is might must need ought sha should was were wo would",
    "'ve": "could might must not should they we what where who would you",
    "'d": "he how it someone something there they where who you",
    "'s": "he how somebody someone that there what when where who why",
    "'ll": "how it somebody someone something they what who why you y'all",
    "'re": "there they what why you",
    "n't've": "could had might should would",
    "'d've": "he it she somebody someone something there they we who you",
}
_OTHERS = ("'twas", "ma'am", "o'clock", "y'all")
_THEY_ALL = "y'all'd've"
_ODD = {"somebody'd": "somebodyd", **dict.fromkeys(("ow's'at", "'ows'at", "'ow'sat"), "'ow's'at")}


def plain_words(text: str) -> str:
    """Return the text in lower case, its words in their normal form, between single spaces."""
    words = (_DIGITS.get(word, word) for word in text.lower().split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def _contractions() -> dict[str, str]:
    words = [stem + ending for ending, stems in _ENDINGS.items() for stem in stems.split()]
    return {spelling: word for word in (*words, *_OTHERS, _THEY_ALL) for spelling in _misspelt(word)} | _ODD


def _misspelt(word: str) -> Iterator[str]:
    """Yield the word with any one of its apostrophes left out."""
    for place, char in enumerate(word):
        if char == "'":
            yield word[:place] + word[place + 1 :]


_CONTRACTIONS = _contractions()
