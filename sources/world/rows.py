"""One row of a world source as a value, made from its number alone: a scene, what is asked of it, and the defects planted in it."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from sources.world.captions import CaptionLength
from sources.world.defects import another_caption, is_struck, wrong_answer
from sources.world.options import WorldOptions
from sources.world.questions import Question, Skill
from sources.world.scene import Scene
from sources.world.streams import generator, more_questions, scene_with_caption, scene_with_question

_MISMATCH, _NOISE, _DUPLICATE = "mismatched", "label noise", "duplicated"


@dataclass(frozen=True, slots=True)
class WorldRow:
    """A row and the truth about it: `shown` is drawn, `told` is what the turns are about; they differ where images are mismatched."""

    topic: Skill | CaptionLength
    shown: Scene
    told: Scene
    turns: tuple[tuple[str, str], ...]  # question, answer as given
    questions: tuple[Question, ...] = ()  # with the true answers; none for captions
    noisy: bool = False
    copy_of: int | None = None


def make_row(options: WorldOptions, number: int) -> WorldRow:
    """Make one row; the same options and number always give the same row."""
    original = _original(options, number)
    if original != number:
        return replace(make_row(options, original), copy_of=original)
    row = _true_row(options, number, "")
    if is_struck(options.label_noise, _stream(options, number, _NOISE)):
        row = _with_noise(options, number, row)
    if is_struck(options.mismatched, _stream(options, number, _MISMATCH)):
        row = replace(row, shown=_true_row(options, number, _MISMATCH).shown)
    return row


def _true_row(options: WorldOptions, number: int, variant: str) -> WorldRow:
    topic = _stream(options, number, "topic").choice(options.topics)
    rng = _stream(options, number, f"{topic.value}{variant}")
    if isinstance(topic, CaptionLength):
        scene, prompt, text = scene_with_caption(rng, topic)
        return WorldRow(topic, scene, scene, ((prompt, text),))
    scene, first = scene_with_question(rng, topic)
    questions = more_questions(rng, scene, topic, first, options.per_image)
    return WorldRow(topic, scene, scene, tuple((q.text, q.answer) for q in questions), tuple(questions))


def _with_noise(options: WorldOptions, number: int, row: WorldRow) -> WorldRow:
    rng = _stream(options, number, "wrong answer")
    if isinstance(row.topic, CaptionLength):
        prompt, truth = row.turns[0]
        return replace(row, noisy=True, turns=((prompt, another_caption(rng, row.told, row.topic, truth)),))
    return replace(row, noisy=True, turns=tuple((q.text, wrong_answer(rng, q)) for q in row.questions))


def _original(options: WorldOptions, number: int) -> int:
    """Follow a duplicate to the row that it copies; row 0 is never one."""
    while number > 0 and is_struck(options.duplicated, _stream(options, number, _DUPLICATE)):
        number = _stream(options, number, "copied from").randrange(number)
    return number


def _stream(options: WorldOptions, number: int, purpose: str) -> random.Random:
    return generator(options.space, options.seed, number, purpose)
