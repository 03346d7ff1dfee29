"""OCRBench: the answer holds one of the accepted ones.

Liu et al. 2024, OCRBench (https://arxiv.org/abs/2305.07895). In handwritten formulas spaces do not count and case does.
"""

from __future__ import annotations

from sources.answer_rules.judgement import Judgement, written
from sources.benchmark import Item

FORMULAS = "Handwritten Mathematical Expression Recognition"


def ocrbench(item: Item, prediction: str) -> Judgement:
    """Judge by containment."""
    plain = _formula if item.category == FORMULAS else _text
    said = plain(prediction)
    return Judgement(float(any(plain(answer) in said for answer in item.accepted())), written(prediction))


def _formula(text: str) -> str:
    return text.strip().replace("\n", " ").replace(" ", "")


def _text(text: str) -> str:
    return text.lower().strip().replace("\n", " ")
