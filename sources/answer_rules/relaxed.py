"""Relaxed accuracy for charts (ChartQA): a number within 5 % of the right one, any other answer word for word.

Masry et al. 2022, ChartQA, section 5.1 (https://arxiv.org/abs/2203.10244), after Methani et al. 2020, PlotQA.
"""

from __future__ import annotations

from sources.answer_rules.judgement import Judgement, written
from sources.benchmark import Item

TOLERANCE = 0.05


def relaxed(item: Item, prediction: str) -> Judgement:
    """Judge by the nearest accepted answer; per cent are fractions, units are text."""
    said = prediction.strip()
    return Judgement(float(any(is_close(answer, said) for answer in item.accepted())), written(prediction))


def is_close(answer: str, said: str) -> bool:
    """Say whether what was said is the answer, or within the tolerance of it where both are numbers and the answer is not 0."""
    right, value = _number(answer), _number(said)
    if value is None or not right:
        return said.lower() == answer.lower()
    return abs(value - right) / abs(right) <= TOLERANCE


def _number(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100.0 if text.endswith("%") else float(text)
    except ValueError:
        return None
