"""A scene of the generated world as a value: shapes, perhaps one written word, or a small bar chart, on a plain background.

    Scene(
        things=(Thing("star", "red", "large", x=20, y=31, radius=15, tint=(231, 44, 30)),),
        word=Word("milk", x=5, y=50, ink=(20, 20, 20)),
        bars=(),
        background=(236, 248, 241),
    )

The vocabulary is the world's own. It leaves words out on purpose ("rectangle", "teal", "gray", "brown"): a probe on real data
must still have something to learn.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

CANVAS = 64  # pixels a side

Colour = tuple[int, int, int]

COLOURS: dict[str, Colour] = {
    "red": (232, 30, 30),
    "green": (25, 195, 45),
    "blue": (25, 45, 230),
    "yellow": (245, 232, 25),
    "black": (18, 18, 18),
    "orange": (246, 138, 18),
    "purple": (140, 40, 185),
    "pink": (250, 130, 195),
    "cyan": (40, 220, 232),
    "maroon": (110, 12, 28),
    "olive": (125, 125, 20),
    "navy": (14, 22, 105),
    "silver": (172, 174, 178),
}
SHAPES = ("circle", "triangle", "square", "star", "cross", "ring", "diamond", "brick", "pillar")
SIZES: dict[str, tuple[int, int]] = {"small": (5, 7), "medium": (9, 12), "large": (15, 20)}  # radius in pixels, both ends in
# fmt: off
LEXICON = (
    "bread", "milk", "tea", "cafe", "hotel", "stop", "exit", "open", "taxi", "bus", "park", "shop", "book", "news", "salt",
    "sugar", "rice", "fish", "meat", "soup", "cake", "apple", "lemon", "grape", "melon", "onion", "pizza", "juice", "water",
    "fire", "gold", "iron", "stone", "wood", "rain", "snow", "wind", "storm", "cloud", "moon", "sun", "sky", "river", "lake",
    "sea", "hill", "north", "south", "east", "west", "zone", "gate", "door", "desk", "lamp", "clock", "phone", "radio", "music",
    "dance", "jazz", "rock", "blues", "opera",
)
# fmt: on
NUMBERS = ("zero", "one", "two", "three", "four", "five")
MOST_THINGS = 4
TALLEST_BAR = 5  # chart units
_LIGHT_SPREAD, _HUE_SPREAD = 14, 8  # of 255, together and per channel
_PLACING_TRIES = 60


class SceneKind(StrEnum):
    """What a scene is mainly made of."""

    THINGS = "things"
    WORD = "word"
    CHART = "chart"


@dataclass(frozen=True, slots=True)
class Thing:
    """One drawn shape: names, centre and radius in pixels, and the very colour it is painted with."""

    shape: str
    colour: str
    size: str
    x: int
    y: int
    radius: int
    tint: Colour


@dataclass(frozen=True, slots=True)
class Word:
    """A written word, its upper left corner in pixels, and its ink."""

    text: str
    x: int
    y: int
    ink: Colour


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart: its colour's name, its height in chart units (1 to 5), and its paint."""

    colour: str
    height: int
    tint: Colour


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that can be seen in one image; colours and shapes of things are named, places are in pixels."""

    things: tuple[Thing, ...]
    word: Word | None
    bars: tuple[Bar, ...]
    background: Colour

    @property
    def kind(self) -> SceneKind:
        """What the scene is mainly made of."""
        if self.bars:
            return SceneKind.CHART
        return SceneKind.WORD if self.word else SceneKind.THINGS


def make_scene(rng: random.Random, kind: SceneKind = SceneKind.THINGS, most_things: int = MOST_THINGS) -> Scene:
    """Draw a scene of one kind from a generator; the same generator state gives the same scene."""
    background = _background(rng)
    if kind is SceneKind.CHART:
        return Scene((), None, _bars(rng), background)
    if kind is SceneKind.WORD:
        word = _word(rng)
        return Scene(_things(rng, rng.choice((0, 0, 1)), word), word, (), background)
    return Scene(_things(rng, _thing_count(rng, most_things), None), None, (), background)


def _thing_count(rng: random.Random, most: int) -> int:
    return min(most, rng.choice((1, 1, 1, 2, 2, 3, 4)))


def _background(rng: random.Random) -> Colour:
    if rng.random() < 0.15:
        return (255, 255, 255)
    return (rng.randint(222, 255), rng.randint(222, 255), rng.randint(222, 255))


def _tint(rng: random.Random, colour: str) -> Colour:
    lighter = rng.randint(-_LIGHT_SPREAD, _LIGHT_SPREAD)
    red, green, blue = (max(0, min(255, v + lighter + rng.randint(-_HUE_SPREAD, _HUE_SPREAD))) for v in COLOURS[colour])
    return red, green, blue


def _things(rng: random.Random, count: int, word: Word | None) -> tuple[Thing, ...]:
    placed: list[Thing] = []
    for _ in range(count):
        for _ in range(_PLACING_TRIES):
            thing = _thing(rng, crowded=count > 1 or word is not None)
            if all(_apart(thing, other) for other in placed) and not (word and _covers(thing, word)):
                placed.append(thing)
                break
    return tuple(placed)


def _thing(rng: random.Random, crowded: bool) -> Thing:
    size = rng.choice(("small", "medium", "medium", "large") if crowded else tuple(SIZES))
    low, high = SIZES[size]
    radius = rng.randint(low, min(high, 15) if crowded else high)
    colour = rng.choice(tuple(COLOURS))
    x, y = rng.randint(radius + 1, CANVAS - radius - 2), rng.randint(radius + 1, CANVAS - radius - 2)
    return Thing(rng.choice(SHAPES), colour, size, x, y, radius, _tint(rng, colour))


def _apart(a: Thing, b: Thing) -> bool:
    return (a.x - b.x) ** 2 + (a.y - b.y) ** 2 > (a.radius + b.radius + 2) ** 2


def _covers(thing: Thing, word: Word) -> bool:
    return word.y - thing.radius - 2 < thing.y < word.y + 16 + thing.radius


def _word(rng: random.Random) -> Word:
    text = rng.choice(LEXICON)
    room = CANVAS - 12 * len(text)
    ink = _tint(rng, rng.choice(("black", "navy", "maroon", "purple")))
    return Word(text, rng.randint(1, max(1, room)), rng.choice((3, 24, 46)), ink)


def _bars(rng: random.Random) -> tuple[Bar, ...]:
    count = rng.randint(2, 4)
    colours = rng.sample(tuple(COLOURS), count)
    heights = rng.sample(range(1, TALLEST_BAR + 1), count)
    return tuple(Bar(colour, height, _tint(rng, colour)) for colour, height in zip(colours, heights, strict=True))
