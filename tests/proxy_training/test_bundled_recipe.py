"""The recipe is the same however often it is interrupted, and has seen nothing of easy-VQA."""

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from proxy_training.bundled.architecture import TinyShape, make_model
from proxy_training.bundled.folder import read_card
from proxy_training.bundled.lessons import make_lesson
from proxy_training.bundled.packing import Packer
from proxy_training.bundled.recipe import build_tiny
from proxy_training.bundled.tokenizer import learn_tokenizer, world_texts
from proxy_training.bundled.training import Schedule
from sources.world.captions import CaptionLength
from sources.world.drawing import scene_array
from sources.world.questions import Skill
from sources.world.scene import COLOURS, Colour, Scene, SceneKind, Thing, make_scene
from sources.world.streams import PRETRAINING, TRAINING, generator, scene_with_caption, scene_with_question

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


def easy_vqa_folder() -> Path:
    return Path(pytest.importorskip("easy_vqa").__file__).parent / "data"


@pytest.fixture(scope="module")
def their_questions() -> set[str]:
    files = (easy_vqa_folder() / split / "questions.json" for split in ("train", "test"))
    found = {plain(row[0]) for file in files for row in json.loads(file.read_text())}
    assert len(found) == 107
    return found


@pytest.mark.parametrize("skill", Skill)
def test_no_question_of_easy_vqa_is_asked_in_the_world(skill: Skill, their_questions: set[str]) -> None:
    ours = {
        plain(scene_with_question(generator(space, 0, number, skill.value), skill)[1].text)
        for space in (PRETRAINING, TRAINING)
        for number in range(1500)
    }
    assert len(ours) >= 4
    assert not ours & their_questions


@pytest.mark.parametrize("length", CaptionLength)
def test_no_request_for_a_caption_and_no_caption_is_a_question_of_easy_vqa(length: CaptionLength, their_questions: set[str]) -> None:
    made = [scene_with_caption(generator(PRETRAINING, 0, number, length.value), length)[1:] for number in range(1500)]
    ours = {plain(text) for pair in made for text in pair}
    assert len(ours) > 100
    assert not ours & their_questions


def test_no_text_of_the_lessons_is_a_question_of_easy_vqa(their_questions: set[str]) -> None:
    assert not {plain(text) for text, _ in zip(world_texts(0), range(8000), strict=False)} & their_questions


def test_the_recipe_reads_nothing_of_easy_vqa() -> None:
    """A process that sees no such package, and opens no file under its folder, makes the lessons all the same."""
    folder = easy_vqa_folder()
    code = f"""
import sys
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
from proxy_training.bundled.lessons import make_lesson
from proxy_training.bundled.packing import Packer
from proxy_training.bundled.tokenizer import learn_tokenizer
import proxy_training.bundled.recipe
packer = Packer(learn_tokenizer(0), 16, 128)
for step in range(3):
    make_lesson(packer, 0, step, 8, 0.5, 0.5)
assert opened, "the hook sees what is opened"
assert not [name for name in opened if name.startswith({str(folder)!r})]
assert not {{"easy_vqa", "sources.easy_vqa"}} & set(sys.modules), sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def colours_of(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    codes = np.unique(pixels.reshape(-1, 3).astype(np.int64) @ (65536, 256, 1))
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)


def ground_and_paint(pixels: NDArray[np.uint8]) -> tuple[Colour, Colour]:
    """The colour of the first pixel, and the one furthest from it."""
    ground = pixels[0, 0].astype(int)
    colours = colours_of(pixels)
    paint = colours[np.abs(colours - ground).sum(1).argmax()]
    return (int(ground[0]), int(ground[1]), int(ground[2])), (int(paint[0]), int(paint[1]), int(paint[2]))


def is_of_quarters(pixels: NDArray[np.uint8]) -> bool:
    """Say whether each pixel is ground, paint, or a mix of them in quarters, as the world's drawing at twice the size makes them."""
    ground, paint = (np.array(colour, float) for colour in ground_and_paint(pixels))
    mixes = ground + (paint - ground) * np.arange(5)[:, None] / 4
    return bool((np.abs(colours_of(pixels)[:, None] - mixes).max(-1).min(1) <= 1).all())


def fewest_differing_pixels(pixels: NDArray[np.uint8]) -> int:
    """Redraw an upright box with the world's pen at every size and place near by; an impossible paint differs everywhere."""
    ground, paint = ground_and_paint(pixels)
    if not any(max(abs(a - b) for a, b in zip(paint, colour, strict=True)) <= 22 for colour in COLOURS.values()):
        return pixels.shape[0] * pixels.shape[1]
    rows, columns = np.nonzero((pixels != pixels[0, 0]).any(-1))
    x, y = int(columns.min() + columns.max()) // 2, int(rows.min() + rows.max()) // 2
    longest = int(max(np.ptp(rows), np.ptp(columns))) + 1
    radii = range(longest // 2 - 2, int(longest / 2 / 0.85) + 3)  # a square's half side is .85 of its radius, a longer box's all
    places = itertools.product(("square", "brick", "pillar"), radii, range(x - 1, x + 3), range(y - 1, y + 3))
    scenes = (Scene((Thing(shape, "red", "small", left, top, radius, paint),), None, (), ground) for shape, radius, left, top in places)
    return min(int((scene_array(scene) != pixels).any(-1).sum()) for scene in scenes)


def test_no_image_of_easy_vqa_can_be_drawn_by_the_world() -> None:
    """By construction, not by luck: every image with one shape, of all of easy-VQA and against every scene the world can make."""
    from PIL import Image

    files = sorted(easy_vqa_folder().glob("t*/images/*.png"))
    assert len(files) == 5000
    theirs = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    lone = [scene_array(make_scene(generator(PRETRAINING, 0, number), SceneKind.THINGS, most_things=1)) for number in range(500)]
    assert all(is_of_quarters(pixels) for pixels in lone)
    boxes = [pixels for pixels in theirs if is_of_quarters(pixels)]
    assert len(boxes) < 150, "all others have edges that the world's pen does not make"
    assert min(map(fewest_differing_pixels, boxes)) > 10
