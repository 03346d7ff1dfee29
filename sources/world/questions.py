"""Questions about a scene, a skill at a time: each with its one true answer and the closed set that it is chosen from.

    Question(Skill.COLOUR, "which color does the star have?", "red", ("red", "green", ...))

The wordings are the world's own, so that no question of a real benchmark is ever among them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from sources.world.captions import plural, relation
from sources.world.presence import ask_presence
from sources.world.scene import COLOURS, LEXICON, MOST_THINGS, NUMBERS, SHAPES, SIZES, TALLEST_BAR, Scene, SceneKind, Thing

_CLEARLY_APART = 6  # pixels by which one axis must win before a relation is asked about
_WORD_CHOICES = 4


class Skill(StrEnum):
    """What a question takes to answer."""

    COLOUR = "colour"
    SHAPE = "shape"
    SIZE = "size"
    COUNT = "count"
    RELATION = "relation"
    PRESENCE = "presence"
    WORD = "word"
    CHART = "chart"

    @property
    def scene_kind(self) -> SceneKind:
        """The kind of scene that this skill is asked about."""
        return {Skill.WORD: SceneKind.WORD, Skill.CHART: SceneKind.CHART}.get(self, SceneKind.THINGS)


@dataclass(frozen=True, slots=True)
class Question:
    """A question, its true answer, and the choices that hold it."""

    skill: Skill
    text: str
    answer: str
    choices: tuple[str, ...]


def ask(rng: random.Random, scene: Scene, skill: Skill) -> Question | None:
    """Ask about a scene; None where the scene gives no unambiguous question of the skill."""
    asked = _ASKERS[skill](rng, scene)
    return Question(skill, *asked) if asked else None


_Asked = tuple[str, str, tuple[str, ...]]


def _referents(scene: Scene, hidden: str) -> list[tuple[str, Thing]]:
    """Return the ways to point at exactly one thing without naming its `hidden` property (an attribute of `Thing`)."""
    if len(scene.things) == 1:
        return [("shape", scene.things[0]), *_by_name(scene.things, hidden)]
    return _by_name(scene.things, hidden)


def _by_name(things: tuple[Thing, ...], hidden: str) -> list[tuple[str, Thing]]:
    named = []
    for kind, words in (("shape", "{0.shape}"), ("colour", "{0.colour} shape"), ("size", "{0.size} shape")):
        for thing in things:
            alone = sum(getattr(other, kind) == getattr(thing, kind) for other in things) == 1
            if kind != hidden and alone:
                named.append((words.format(thing), thing))
    return named


def _about_one(rng: random.Random, scene: Scene, hidden: str, wordings: tuple[str, ...], choices: tuple[str, ...]) -> _Asked | None:
    referents = _referents(scene, hidden)
    if not referents:
        return None
    words, thing = rng.choice(referents)
    return rng.choice(wordings).format(words), str(getattr(thing, hidden)), choices


def _ask_colour(rng: random.Random, scene: Scene) -> _Asked | None:
    wordings = (
        "which color does the {} have?",
        "in what color is the {} painted?",
        "name the color of the {}.",
        "the {} in this image has what color?",
        "what color does this {} show?",
        "color of the {}?",
    )
    return _about_one(rng, scene, "colour", wordings, tuple(COLOURS))


def _ask_shape(rng: random.Random, scene: Scene) -> _Asked | None:
    wordings = (
        "which shape is the {}?",
        "what form does the {} have?",
        "name the kind of the {}.",
        "what is this {} called?",
        "what sort of figure is the {}?",
        "kind of the {}?",
    )
    return _about_one(rng, scene, "shape", wordings, SHAPES)


def _ask_size(rng: random.Random, scene: Scene) -> _Asked | None:
    wordings = ("how big is the {}?", "what size does the {} have?", "name the size of the {}.", "is the {} small, medium or large?")
    return _about_one(rng, scene, "size", wordings, tuple(SIZES))


def _ask_count(rng: random.Random, scene: Scene) -> _Asked | None:
    numbers = NUMBERS[: MOST_THINGS + 1]
    if not scene.things:
        return None
    form = rng.random()
    if form < 0.5:
        things, words = len(scene.things), "shapes"
    elif form < 0.75:
        shape = rng.choice((*(thing.shape for thing in scene.things), rng.choice(SHAPES)))
        things, words = sum(thing.shape == shape for thing in scene.things), plural(shape)
    else:
        colour = rng.choice((*(thing.colour for thing in scene.things), rng.choice(tuple(COLOURS))))
        things, words = sum(thing.colour == colour for thing in scene.things), f"{colour} shapes"
    wording = rng.choice(("how many {} are there?", "count the {}.", "what is the number of {} in this image?", "how many {} do you see?"))
    return wording.format(words), numbers[things], numbers


def _ask_relation(rng: random.Random, scene: Scene) -> _Asked | None:
    pairs = [
        (a, b)
        for a in scene.things
        for b in scene.things
        if (a.colour, a.shape) != (b.colour, b.shape)
        and _named_once(scene, a)
        and _named_once(scene, b)
        and abs(abs(a.x - b.x) - abs(a.y - b.y)) >= _CLEARLY_APART
    ]
    if not pairs:
        return None
    a, b = rng.choice(pairs)
    wording = rng.choice(
        (
            "where is the {}, seen from the {}?",
            "on which side of the {1} is the {0}?",
            "is the {} left, right, above or below of the {}?",
        )
    )
    return wording.format(f"{a.colour} {a.shape}", f"{b.colour} {b.shape}"), relation(a, b), ("left", "right", "above", "below")


def _named_once(scene: Scene, thing: Thing) -> bool:
    return sum((other.colour, other.shape) == (thing.colour, thing.shape) for other in scene.things) == 1


def _ask_word(rng: random.Random, scene: Scene) -> _Asked | None:
    if scene.word is None:
        return None
    truth = scene.word.text
    others = rng.sample([word for word in LEXICON if word != truth], _WORD_CHOICES - 1)
    choices = tuple(rng.sample([truth, *others], _WORD_CHOICES))
    wording = rng.choice(("which word is written?", "read the word.", "what does the text say?", "what word can be read in this image?"))
    return wording, truth, choices


def _ask_chart(rng: random.Random, scene: Scene) -> _Asked | None:
    if not scene.bars:
        return None
    if rng.random() < 0.5:
        highest = rng.random() < 0.5
        bar = (max if highest else min)(scene.bars, key=lambda bar: bar.height)
        words = rng.choice(("which bar is the {}?", "name the {} bar.", "the {} bar has which color?"))
        return words.format("tallest" if highest else "shortest"), bar.colour, tuple(bar.colour for bar in scene.bars)
    bar = rng.choice(scene.bars)
    words = rng.choice(("how high is the {} bar?", "what value has the {} bar?", "read the {} bar."))
    return words.format(bar.colour), NUMBERS[bar.height], NUMBERS[1 : TALLEST_BAR + 1]


_ASKERS: dict[Skill, Callable[[random.Random, Scene], _Asked | None]] = {
    Skill.COLOUR: _ask_colour,
    Skill.SHAPE: _ask_shape,
    Skill.SIZE: _ask_size,
    Skill.COUNT: _ask_count,
    Skill.RELATION: _ask_relation,
    Skill.PRESENCE: ask_presence,
    Skill.WORD: _ask_word,
    Skill.CHART: _ask_chart,
}
