"""Planted defects: answers that are wrong, captions of something else, and who is struck by them."""

from __future__ import annotations

import random

from sources.world.captions import CaptionLength, caption
from sources.world.questions import Question
from sources.world.scene import Scene, make_scene

_TRIES = 50


def is_struck(share: float, rng: random.Random) -> bool:
    """Say whether a row has a defect that strikes a share of all rows."""
    return rng.random() < share


def wrong_answer(rng: random.Random, question: Question) -> str:
    """Return one of the question's other choices."""
    return rng.choice([choice for choice in question.choices if choice != question.answer])


def another_caption(rng: random.Random, scene: Scene, length: CaptionLength, truth: str) -> str:
    """Return a caption of the same length that says something else than the true one: another scene of the same kind told."""
    for _ in range(_TRIES):
        text = caption(rng, make_scene(rng, scene.kind), length)
        if text != truth:
            return text
    raise AssertionError("every other scene had the same caption")
