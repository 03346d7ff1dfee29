"""Captions of a scene in three lengths: short names things, descriptive adds size and place, dense says everything."""

from __future__ import annotations

import random
from enum import StrEnum

from sources.world.scene import CANVAS, NUMBERS, Scene, SceneKind, Thing


class CaptionLength(StrEnum):
    """How much a caption says."""

    SHORT = "short"
    DESCRIPTIVE = "descriptive"
    DENSE = "dense"


_PROMPTS = {
    CaptionLength.SHORT: ("describe it briefly.", "give a short caption.", "what is shown here, in a few words?"),
    CaptionLength.DESCRIPTIVE: ("describe this image.", "describe this picture.", "give a caption."),
    CaptionLength.DENSE: ("describe every detail.", "give a full and dense caption.", "tell everything about this image."),
}


def caption_prompt(rng: random.Random, length: CaptionLength) -> str:
    """Return one wording of the request for a caption of a length."""
    return rng.choice(_PROMPTS[length])


def caption(rng: random.Random, scene: Scene, length: CaptionLength) -> str:
    """Describe a scene truthfully; the generator decides only the order and wording."""
    if scene.kind is SceneKind.CHART:
        return _chart_caption(scene, length)
    things = rng.sample(scene.things, len(scene.things))
    parts = [_phrase(thing, length) for thing in things]
    if scene.word:
        parts.insert(0, f"the word {scene.word.text}")
    text = _listed(parts)
    if length is CaptionLength.DENSE:
        text += "".join(f". {extra}" for extra in _dense_extras(rng, scene))
    return text + "."


def relation(a: Thing, b: Thing) -> str:
    """Return where `a` is, seen from `b`: left, right, above or below, along the axis on which they are further apart."""
    if abs(a.x - b.x) >= abs(a.y - b.y):
        return "left" if a.x < b.x else "right"
    return "above" if a.y < b.y else "below"


RELATION_PHRASES = {"left": "left of", "right": "right of", "above": "above", "below": "below"}


def plural(shape: str) -> str:
    """Return a shape's plural."""
    return shape + ("es" if shape.endswith("s") else "s")


def with_article(words: str) -> str:
    """Put `a` or `an` before words."""
    return ("an " if words[0] in "aeiou" else "a ") + words


def place(thing: Thing) -> str:
    """Return the ninth of the canvas that holds a thing's centre: `top left`, `middle`, `bottom right`."""
    row = ("top", "middle", "bottom")[min(2, thing.y * 3 // CANVAS)]
    column = ("left", "", "right")[min(2, thing.x * 3 // CANVAS)]
    return f"{row} {column}".strip()


def _phrase(thing: Thing, length: CaptionLength) -> str:
    if length is CaptionLength.SHORT:
        return with_article(f"{thing.colour} {thing.shape}")
    return f"{with_article(f'{thing.size} {thing.colour} {thing.shape}')} at the {place(thing)}"


def _listed(parts: list[str]) -> str:
    if not parts:
        return "nothing"
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def _dense_extras(rng: random.Random, scene: Scene) -> list[str]:
    count = len(scene.things)
    extras = [f"there is {NUMBERS[count]} shape" if count == 1 else f"there are {NUMBERS[count]} shapes"]
    if len(scene.things) > 1:
        a, b = rng.sample(scene.things, 2)
        extras.append(f"the {a.colour} {a.shape} is {RELATION_PHRASES[relation(a, b)]} the {b.colour} {b.shape}")
    if not scene.word:
        extras.append("no word is written")
    return extras


def _chart_caption(scene: Scene, length: CaptionLength) -> str:
    if length is CaptionLength.SHORT:
        return f"a bar chart with {_listed([bar.colour for bar in scene.bars])} bars."
    bars = _listed([f"{bar.colour} {NUMBERS[bar.height]}" for bar in scene.bars])
    if length is CaptionLength.DESCRIPTIVE:
        return f"a bar chart: {bars}."
    shortest, *_, tallest = sorted(scene.bars, key=lambda bar: bar.height)
    heading = f"a bar chart with {NUMBERS[len(scene.bars)]} bars: {bars}."
    return f"{heading} the tallest is {tallest.colour}, the shortest is {shortest.colour}."
