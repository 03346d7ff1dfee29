"""Where randomness comes from: one generator per purpose, seed and row, so that a row never needs the rows before it."""

from __future__ import annotations

import random

from sources.world.captions import CaptionLength, caption, caption_prompt
from sources.world.questions import Question, Skill, ask
from sources.world.scene import Scene, SceneKind, make_scene

TRAINING, HELD_OUT, PRETRAINING = "training", "held-out", "pre-training"  # spaces of scenes that never meet
_SCENE_TRIES = 200


def generator(space: str, seed: int, number: int, purpose: str = "") -> random.Random:
    """Return the generator of one row's one purpose; spaces, seeds, rows and purposes are independent of each other."""
    return random.Random(f"world/{space}/{seed}/{number}/{purpose}")


def scene_with_question(rng: random.Random, skill: Skill) -> tuple[Scene, Question]:
    """Draw scenes until one gives a question of the skill."""
    for _ in range(_SCENE_TRIES):
        scene = make_scene(rng, skill.scene_kind)
        question = ask(rng, scene, skill)
        if question:
            return scene, question
    raise AssertionError(f"no scene gave a {skill.value} question in {_SCENE_TRIES} tries")


def more_questions(rng: random.Random, scene: Scene, skill: Skill, first: Question, count: int) -> list[Question]:
    """Return up to `count` different questions of a skill about a scene, the first one given."""
    asked = [first]
    for _ in range(6 * count):
        question = ask(rng, scene, skill) if len(asked) < count else None
        if question and question.text not in {other.text for other in asked}:
            asked.append(question)
    return asked


def scene_with_caption(rng: random.Random, length: CaptionLength) -> tuple[Scene, str, str]:
    """Draw a scene of any kind; return it with a request for a caption and the caption."""
    kind = rng.choice((SceneKind.THINGS, SceneKind.THINGS, SceneKind.THINGS, SceneKind.WORD, SceneKind.CHART))
    scene = make_scene(rng, kind)
    return scene, caption_prompt(rng, length), caption(rng, scene, length)
