"""The worlds of `decisions.py`: sources and benchmarks made from a seed alone, in words that no proxy has been taught.

A world names what is in its scenes (colours, shapes, sizes, numbers, heights of bars) by words of a lexicon, drawn by
its seed: so every proxy can see, and must learn to say. What is planted is in `PLAN`; which task plays which part, the sizes and the
shares of noise are drawn too. Sources are LLaVA JSON with their images beside it, as a user would have them.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sources.benchmark import BenchmarkSpec, Item
from sources.sample import ImageRef
from sources.spec import SourceSpec
from sources.world.captions import CaptionLength
from sources.world.drawing import scene_png
from sources.world.scene import COLOURS, LEXICON, SHAPES, SIZES, Scene, SceneKind, make_scene
from sources.world.streams import scene_with_caption

TASKS = ("colour", "shape", "size", "count", "chart")
ITEMS = 240  # a task
ANSWERS = 2  # a task; with four, mixtures of all tasks teach a probe next to nothing, and its order is not that of full scale
WORLD_VERSION = 2  # raised when the same seed would make another world


@dataclass(frozen=True, slots=True)
class Part:
    """What one source holds: tasks by place in the world's own order of them, its usual number of rows, and what is wrong with it."""

    name: str
    tasks: tuple[int, ...]
    rows: int
    role: str
    noise: float = 0.0  # share of rows with another answer, drawn
    shifted: bool = False  # every answer is the next word of its task: wrong throughout, and always in the same way
    mismatched: bool = False  # the image is another one
    half: int | None = None  # only every other answer of the task, from this place on


PLAN = (
    Part("broad", (0, 1, 2, 3, 4), 3000, "good", noise=0.25),
    Part("clean-a", (0,), 1200, "good"),
    Part("clean-b", (1,), 900, "good"),
    Part("twin-a", (2,), 800, "redundant"),
    Part("twin-b", (2,), 800, "redundant"),
    Part("half-a", (3,), 600, "complementary", half=0),
    Part("half-b", (3,), 600, "complementary", half=1),
    Part("gold", (4,), 100, "good"),
    Part("harmful", (0, 1, 2, 3, 4), 1200, "harmful", shifted=True),
    Part("noisy", (0, 1, 4), 1200, "damaged", noise=0.6),
    Part("mismatched", (1, 4), 800, "damaged", mismatched=True),
    Part("captions", (), 1000, "elsewhere"),
)
BASE = {"broad": 0.4, "clean-a": 0.2, "twin-a": 0.2, "half-a": 0.1, "captions": 0.1}  # the user's mixture as it is
FULL = ("broad", "clean-a", "clean-b", "twin-a", "twin-b", "half-a", "half-b", "gold")  # from which one is left out
LEFT_OUT = ("twin-b", "clean-b", "half-b")
GOOD = ("good", "redundant", "complementary")


@dataclass(frozen=True, slots=True)
class Question:
    """A scene, what is asked of it, the right answer, and the words that it is chosen from."""

    scene: Scene
    text: str
    answer: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class World:
    """A world's seed, its parts with their drawn sizes and noise, its tasks in order, and the words of each task's answers."""

    seed: int
    parts: tuple[Part, ...]
    tasks: tuple[str, ...]
    words: dict[str, dict[str, str]]

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.parts)

    def ask(self, rng: random.Random, task: str) -> Question:
        """Draw a scene and a question about it."""
        while True:
            scene, text, truth = _ASKERS[task](rng)
            if truth in self.words[task]:
                return Question(scene, text, self.words[task][truth], tuple(self.words[task].values()))


def make_world(seed: int) -> World:
    """Draw a world; the same seed always gives the same one."""
    rng = random.Random(f"decisions/{WORLD_VERSION}/{seed}")
    tasks = tuple(rng.sample(TASKS, len(TASKS)))
    lexicon = iter(rng.sample(LEXICON, len(LEXICON)))
    truths = {
        "colour": rng.sample(tuple(COLOURS), ANSWERS),
        "shape": rng.sample(SHAPES, ANSWERS),
        "size": list(SIZES)[:ANSWERS],
        "count": [str(number) for number in range(1, ANSWERS + 1)],
        "chart": [str(number) for number in range(1, ANSWERS + 1)],
    }
    words = {task: {truth: next(lexicon) for truth in truths[task]} for task in TASKS}
    parts = tuple(_drawn(part, rng) for part in PLAN)
    return World(seed, parts, tasks, words)


def _drawn(part: Part, rng: random.Random) -> Part:
    rows, noise = round(part.rows * rng.uniform(0.75, 1.3)), min(0.7, part.noise * rng.uniform(0.8, 1.2))
    return Part(part.name, part.tasks, rows, part.role, noise, part.shifted, part.mismatched, part.half)


def write_sources(world: World, folder: Path, share: float = 1.0) -> dict[str, SourceSpec]:
    """Write what is not there yet of a world's sources and return their specs; `share` makes all smaller."""
    specs = {}
    for part in world.parts:
        place = folder / part.name
        file = place / "rows.json"
        specs[part.name] = SourceSpec(part.name, "llava", str(file), str(place))
        if not file.exists():
            (place / "images").mkdir(parents=True, exist_ok=True)
            rows = [_row(world, part, number, place) for number in range(max(40, round(part.rows * share)))]
            partial = file.with_suffix(".partial")
            partial.write_text(json.dumps(rows))
            partial.replace(file)
    return specs


@dataclass(frozen=True, slots=True)
class Taught:
    """What a row of a source shows, asks and answers, and the right answer (empty for captions)."""

    shown: Scene
    text: str
    answer: str
    truth: str


def taught(world: World, part: Part, number: int) -> Taught:
    """Make one row; the same world, source and number always give the same one."""
    rng = random.Random(f"decisions/{WORLD_VERSION}/{world.seed}/{part.name}/{number}")
    if not part.tasks:
        scene, prompt, caption = scene_with_caption(rng, CaptionLength.DESCRIPTIVE)
        return Taught(scene, prompt, caption, "")
    question = _question(world, part, rng)
    answer = question.answer
    if part.shifted:
        answer = question.choices[(question.choices.index(answer) + 1) % len(question.choices)]
    if rng.random() < part.noise:
        answer = rng.choice([word for word in question.choices if word != answer])
    shown = _question(world, part, rng).scene if part.mismatched else question.scene
    return Taught(shown, question.text, answer, question.answer)


def _row(world: World, part: Part, number: int, place: Path) -> dict[str, Any]:
    row = taught(world, part, number)
    name = f"images/{number:05d}.png"
    (place / name).write_bytes(scene_png(row.shown))
    turns = [{"from": "human", "value": f"<image>\n{row.text}"}, {"from": "gpt", "value": row.answer}]
    return {"id": f"{part.name}-{number}", "image": name, "conversations": turns}


def _question(world: World, part: Part, rng: random.Random) -> Question:
    task = world.tasks[rng.choice(part.tasks)]
    while True:
        question = world.ask(rng, task)
        if part.half is None or question.choices.index(question.answer) % 2 == part.half:
            return question


def benchmarks(world: World, items: int = ITEMS) -> list[tuple[BenchmarkSpec, tuple[Item, ...]]]:
    """Return one benchmark a task, each a capability of its own, over scenes that no source has."""
    return [(BenchmarkSpec(task, task, "world"), tuple(_item(world, task, number) for number in range(items))) for task in world.tasks]


def _item(world: World, task: str, number: int) -> Item:
    question = world.ask(random.Random(f"decisions/{WORLD_VERSION}/{world.seed}/held-out/{task}/{number}"), task)
    return Item(f"{task}-{number}", (ImageRef(data=scene_png(question.scene)),), question.text, question.choices, question.answer, task)


def _lone(rng: random.Random) -> Scene:
    while True:
        scene = make_scene(rng, SceneKind.THINGS, most_things=1)
        if scene.things:
            return scene


def _about_lone(wordings: Sequence[str], truth: Callable[[Scene], str]) -> Callable[[random.Random], tuple[Scene, str, str]]:
    def ask(rng: random.Random) -> tuple[Scene, str, str]:
        scene = _lone(rng)
        return scene, rng.choice(wordings), truth(scene)

    return ask


def _ask_count(rng: random.Random) -> tuple[Scene, str, str]:
    wanted = rng.randint(1, 4)
    while True:
        scene = make_scene(rng, SceneKind.THINGS)
        if len(scene.things) == wanted:
            return scene, rng.choice(("how many shapes are there?", "count the shapes.", "what is the number of shapes?")), str(wanted)


def _ask_chart(rng: random.Random) -> tuple[Scene, str, str]:
    scene = make_scene(rng, SceneKind.CHART)
    bar = rng.choice(scene.bars)
    return scene, rng.choice(("how high is the {} bar?", "what value has the {} bar?")).format(bar.colour), str(bar.height)


_ASKERS: dict[str, Callable[[random.Random], tuple[Scene, str, str]]] = {
    "colour": _about_lone(("which color does the shape have?", "name the color of the shape."), lambda scene: scene.things[0].colour),
    "shape": _about_lone(("what form does the shape have?", "what is this shape called?"), lambda scene: scene.things[0].shape),
    "size": _about_lone(("how big is the shape?", "what size does the shape have?"), lambda scene: scene.things[0].size),
    "count": _ask_count,
    "chart": _ask_chart,
}
