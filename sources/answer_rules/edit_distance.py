"""ANLS for documents and infographics (DocVQA, InfoVQA): closeness to the nearest accepted answer by edit distance.

Biten et al. 2019, Scene Text VQA (https://arxiv.org/abs/1905.13648); Mathew et al. 2021, DocVQA (https://arxiv.org/abs/2007.00398).
"""

from __future__ import annotations

from sources.answer_rules.judgement import Judgement, written
from sources.benchmark import Item

THRESHOLD = 0.5  # below which an answer is taken for another one, and scores 0


def anls(item: Item, prediction: str) -> Judgement:
    """Judge by the average normalised Levenshtein similarity with the nearest accepted answer."""
    similarity = 1 - min(_distance(answer, prediction) for answer in item.accepted())
    return Judgement(similarity if similarity >= THRESHOLD else 0.0, written(prediction))


def _distance(answer: str, prediction: str) -> float:
    """Return the edits between the two in lower case and single spaces, over the length of the longer as it was written."""
    length = max(len(answer.upper()), len(prediction.upper()))
    return edits(_spaced(answer), _spaced(prediction)) / length if length else 0.0


def _spaced(text: str) -> str:
    return " ".join(text.strip().lower().split())


def edits(one: str, other: str) -> int:
    """Return the Levenshtein distance of two texts."""
    short, long = sorted((one, other), key=len)
    above = list(range(len(short) + 1))
    for row, char in enumerate(long, 1):
        line = [row]
        for column, own in enumerate(short):
            line.append(above[column] if char == own else 1 + min(above[column], above[column + 1], line[-1]))
        above = line
    return above[-1]
