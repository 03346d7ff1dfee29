"""What `tiny` is taught at each step: captions first, then questions of every skill with some captions between them.

A step's rows are a pure function of the seed and the step, so that a resumed run sees what an uninterrupted one would have seen.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from proxy_training.bundled.landmarks import landmarks
from proxy_training.bundled.packing import PackedRows, Packer, Talk
from sources.world.captions import CaptionLength, caption, caption_prompt
from sources.world.drawing import scene_array
from sources.world.names import made_up_name
from sources.world.questions import Skill, ask
from sources.world.scene import Scene, SceneKind, make_scene
from sources.world.streams import PRETRAINING, generator

_T = TypeVar("_T")

_KINDS = {SceneKind.THINGS: 0.76, SceneKind.WORD: 0.12, SceneKind.CHART: 0.12}
_SKILLS = {
    SceneKind.THINGS: {
        Skill.PRESENCE: 0.42,
        Skill.COLOUR: 0.14,
        Skill.SHAPE: 0.23,
        Skill.COUNT: 0.07,
        Skill.SIZE: 0.06,
        Skill.RELATION: 0.08,
    },
    SceneKind.WORD: {Skill.WORD: 0.7, Skill.PRESENCE: 0.1, Skill.COLOUR: 0.1, Skill.SHAPE: 0.1},
    SceneKind.CHART: {Skill.CHART: 1.0},
}
_MOST_TALKS = 5
_CHAINED_SHARE = 0.2
_CAPTION_AMONG_QUESTIONS = 0.2
_NAME_AMONG_QUESTIONS = 0.15


@dataclass(frozen=True, slots=True)
class Lesson:
    """One step's rows: images [rows, 64, 64, 3] of bytes, the packed conversations about them, and the landmarks in them."""

    images: NDArray[np.uint8]
    rows: PackedRows
    marks: NDArray[np.int64]


def make_lesson(packer: Packer, seed: int, step: int, rows: int, question_share: float, easy_share: float) -> Lesson:
    """Make one step's rows: a row holds questions, not only captions, with `question_share`, and one lone shape with `easy_share`."""
    rng = generator(PRETRAINING, seed, step)
    scenes, talks, chained = [], [], []
    for _ in range(rows):
        easy = rng.random() < easy_share
        scene = make_scene(rng, SceneKind.THINGS, most_things=1) if easy else make_scene(rng, _weighted(rng, _KINDS))
        asked = rng.random() < question_share
        scenes.append(scene)
        talks.append(_questions(rng, scene) if asked else _captions(rng, scene))
        chained.append(asked and rng.random() < _CHAINED_SHARE)
    images = np.stack([scene_array(scene) for scene in scenes])
    return Lesson(images, packer.pack(talks, chained), landmarks(scenes, math.isqrt(packer.image_tokens)))


def _captions(rng: random.Random, scene: Scene) -> list[Talk]:
    lengths = rng.sample(tuple(CaptionLength), len(CaptionLength))
    return [_caption(rng, scene, length) for length in lengths]


def _caption(rng: random.Random, scene: Scene, length: CaptionLength) -> Talk:
    return Talk(caption_prompt(rng, length), caption(rng, scene, length), f"caption-{length.value}")


def _questions(rng: random.Random, scene: Scene) -> list[Talk]:
    talks = []
    if rng.random() < _CAPTION_AMONG_QUESTIONS:
        talks.append(_caption(rng, scene, CaptionLength.SHORT))
    if rng.random() < _NAME_AMONG_QUESTIONS:
        name = made_up_name(rng)
        talks.append(Talk(f"repeat the name {name}.", name, "name"))
    while len(talks) < _MOST_TALKS:
        question = ask(rng, scene, _weighted(rng, _SKILLS[scene.kind]))
        if question:
            talks.append(Talk(question.text, question.answer, question.skill.value))
    rng.shuffle(talks)
    return talks


def _weighted(rng: random.Random, weights: dict[_T, float]) -> _T:
    names: Sequence[_T] = tuple(weights)
    return rng.choices(names, tuple(weights.values()))[0]
