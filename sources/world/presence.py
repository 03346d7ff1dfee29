"""Yes-or-no questions about what a scene holds, plain and negated, with balanced truth and balanced answers."""

from __future__ import annotations

import random

from sources.world.captions import with_article
from sources.world.scene import COLOURS, SHAPES, Scene

# `{0}` is the bare name ("red circle"), `{1}` the name with its article ("a red circle")
_PLAIN = (
    "any {0}?",
    "any {0} here?",
    "is there any {0} here?",
    "is {1} in this image?",
    "can you see {1}?",
    "does this image contain {1}?",
    "does this picture show any {0}?",
    "is {1} present here?",
    "does it contain {1}?",
    "do you see {1} in the image?",
)
_NEGATED = (
    "no {0}?",
    "no {0} here?",
    "is there no {0} here?",
    "is there not any {0} here?",
    "is no {0} in this image?",
    "does this image not contain {1}?",
    "does this picture show no {0}?",
    "is no {0} present here?",
    "does it not contain {1}?",
    "is {1} missing in the image?",
)


def ask_presence(rng: random.Random, scene: Scene) -> tuple[str, str, tuple[str, ...]] | None:
    """Ask whether something is there; half of the questions are negated, half of the things asked for are there."""
    if not scene.things:
        return None
    there, negated = rng.random() < 0.5, rng.random() < 0.5
    name = rng.choice((_shape_name, _colour_name, _full_name))(rng, scene, there)
    wording = rng.choice(_NEGATED if negated else _PLAIN)
    return wording.format(name, with_article(name)), "yes" if there != negated else "no", ("yes", "no")


def _shape_name(rng: random.Random, scene: Scene, there: bool) -> str:
    shown = [thing.shape for thing in scene.things]
    return rng.choice(shown if there else [shape for shape in SHAPES if shape not in shown])


def _colour_name(rng: random.Random, scene: Scene, there: bool) -> str:
    shown = [thing.colour for thing in scene.things]
    return rng.choice(shown if there else [colour for colour in COLOURS if colour not in shown]) + " shape"


def _full_name(rng: random.Random, scene: Scene, there: bool) -> str:
    shown = {(thing.colour, thing.shape) for thing in scene.things}
    if there:
        return " ".join(rng.choice(sorted(shown)))
    near = [(c, s) for thing in scene.things for c, s in ((thing.colour, rng.choice(SHAPES)), (rng.choice(tuple(COLOURS)), thing.shape))]
    absent = [pair for pair in near if pair not in shown]
    return " ".join(rng.choice(absent)) if absent else _colour_name(rng, scene, there=False)
