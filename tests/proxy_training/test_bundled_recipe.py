"""The recipe is the same however often it is interrupted, and has seen nothing of easy-VQA."""

import json
import re
from pathlib import Path

import pytest
import torch

from proxy_training.bundled.architecture import TinyShape, make_model
from proxy_training.bundled.folder import read_card
from proxy_training.bundled.lessons import make_lesson
from proxy_training.bundled.packing import Packer
from proxy_training.bundled.recipe import build_tiny
from proxy_training.bundled.tokenizer import learn_tokenizer, world_texts
from proxy_training.bundled.training import Schedule
from sources.canonical import hash_bytes
from sources.world.drawing import scene_array
from sources.world.questions import Skill
from sources.world.scene import SceneKind, make_scene
from sources.world.streams import PRETRAINING, TRAINING, generator, scene_with_question

SHORT = Schedule(steps=6, rows=2, length=128, captions_until=0.2, questions_from=0.4)


class StoppedError(Exception):
    pass


def stop_at(last: int):
    def progress(step: int, steps: int, losses: dict[str, float]) -> None:
        if step == last:
            raise StoppedError

    return progress


def plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).strip()


@pytest.mark.slow
def test_an_interrupted_build_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = build_tiny(tmp_path / "whole", schedule=SHORT, held_out_items=2)
    with pytest.raises(StoppedError):
        build_tiny(tmp_path / "parts", schedule=SHORT, checkpoint_every=2, held_out_items=2, progress=stop_at(4))
    parts = build_tiny(tmp_path / "parts", schedule=SHORT, checkpoint_every=2, held_out_items=2)
    assert whole.weights == parts.weights
    assert read_card(tmp_path / "parts")["steps"] == 6
    assert not list(tmp_path.glob(".*")), "a finished build leaves no state behind"


def test_the_seed_alone_decides_the_weights_and_the_lessons() -> None:
    tokenizer = learn_tokenizer(0)
    assert tokenizer.get_vocab() == learn_tokenizer(0).get_vocab()
    first, again, other = (make_model(tokenizer, TinyShape(), seed).lm_head.weight for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    packer = Packer(tokenizer, 16, 128)
    one, same, next_step = (make_lesson(packer, 0, step, 4, 0.5, 0.5) for step in (7, 7, 8))
    assert (one.images == same.images).all()
    assert (one.rows.ids == same.rows.ids).all()
    assert (one.images != next_step.images).any()


def test_captions_come_first_and_questions_after() -> None:
    schedule = Schedule()
    assert schedule.questions(0) == 0
    assert schedule.questions(schedule.steps - 1) == schedule.question_share
    assert schedule.rate(schedule.steps - 1) < schedule.rate(schedule.warm_up)
    assert schedule.easy(0) > schedule.easy(schedule.steps // 2) > schedule.easy(schedule.steps - 1) == 0


def test_no_question_of_easy_vqa_is_in_the_world() -> None:
    easy_vqa = pytest.importorskip("easy_vqa")
    data = Path(easy_vqa.__file__).parent / "data"
    theirs = {plain(row[0]) for split in ("train", "test") for row in json.loads((data / split / "questions.json").read_text())}
    assert len(theirs) == 107
    ours = {
        plain(scene_with_question(generator(space, 0, number, skill.value), skill)[1].text)
        for space in (PRETRAINING, TRAINING)
        for skill in (Skill.COLOUR, Skill.SHAPE, Skill.SIZE, Skill.COUNT, Skill.PRESENCE)
        for number in range(1500)
    }
    assert len(ours) > 1000
    assert not ours & theirs


def test_no_text_of_the_lessons_is_a_question_of_easy_vqa() -> None:
    easy_vqa = pytest.importorskip("easy_vqa")
    questions = json.loads((Path(easy_vqa.__file__).parent / "data" / "train" / "questions.json").read_text())
    theirs = {plain(row[0]) for row in questions}
    assert not {plain(text) for text, _ in zip(world_texts(0), range(8000), strict=False)} & theirs


def test_no_image_of_easy_vqa_is_in_the_world() -> None:
    easy_vqa = pytest.importorskip("easy_vqa")
    from PIL import Image

    files = sorted((Path(easy_vqa.__file__).parent / "data").glob("t*/images/*.png"))[::10]
    theirs = {hash_bytes(Image.open(file).convert("RGB").tobytes()) for file in files}
    ours = {hash_bytes(scene_array(make_scene(generator(PRETRAINING, 0, n), SceneKind.THINGS)).tobytes()) for n in range(500)}
    assert not ours & theirs
