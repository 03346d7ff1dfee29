"""VQA soft accuracy over annotators (VQAv2, TextVQA, VizWiz): right as far as three other annotators say the same.

Antol et al. 2015, VQA (https://arxiv.org/abs/1505.00468), and its evaluation's normalisation (https://visualqa.org/evaluation.html).
The mean over annotators of min(1, others who gave the answer / 3); with fewer than four annotators nothing scores 1.
"""

from __future__ import annotations

from sources.answer_rules.judgement import Judgement, written
from sources.answer_rules.punctuation import without_punctuation
from sources.answer_rules.vqa_words import plain_words
from sources.benchmark import Item

FULL_AGREEMENT = 3
FEWEST_ANNOTATORS = FULL_AGREEMENT + 1  # with whom an answer can score 1


def vqa(item: Item, prediction: str) -> Judgement:
    """Judge by agreement with the annotators."""
    said = normalised(prediction)
    same = [normalised(answer) == said for answer in item.accepted()]
    agreements = [min(1.0, (sum(same) - own) / FULL_AGREEMENT) for own in same]
    return Judgement(sum(agreements) / len(agreements), written(prediction))


def normalised(answer: str) -> str:
    """Return an answer in the official evaluation's normal form."""
    return plain_words(without_punctuation(answer.replace("\n", " ").replace("\t", " ").strip()))
