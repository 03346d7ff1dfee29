"""Exact match (GQA, OCR-VQA): word for word one of the accepted answers, but for case and space around it.

Hudson & Manning 2019, GQA (https://arxiv.org/abs/1902.09506); Mishra et al. 2019, OCR-VQA.
"""

from __future__ import annotations

from sources.answer_rules.judgement import Judgement, written
from sources.benchmark import Item


def exact_match(item: Item, prediction: str) -> Judgement:
    """Judge by equality."""
    said = prediction.strip().lower()
    return Judgement(float(any(answer.strip().lower() == said for answer in item.accepted())), written(prediction))
