"""Yes or no, as POPE, MME, HallusionBench and AMBER are read: the answer holds one of the two words and not the other.

Li et al. 2023, POPE (https://arxiv.org/abs/2305.10355); Fu et al. 2023, MME (https://arxiv.org/abs/2306.13394).
"""

from __future__ import annotations

from sources.answer_rules.judgement import Judgement
from sources.answer_rules.punctuation import without_punctuation
from sources.benchmark import Item


def yes_no(item: Item, prediction: str) -> Judgement:
    """Judge by the one of the two words that the answer holds; one with both or neither is wrong and unread."""
    said = said_word(prediction)
    return Judgement(float(said == item.answer.strip().lower()), said is not None)


def said_word(prediction: str) -> str | None:
    """Return `yes` or `no`, None where an answer says both or neither."""
    words = without_punctuation(prediction.lower()).split()
    said = [word for word in ("yes", "no") if word in words]
    return said[0] if len(said) == 1 else None
