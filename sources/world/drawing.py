"""A scene on its canvas: 64 by 64 RGB pixels, drawn twice as large and halved so that edges are smooth."""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sources.world.glyphs import GLYPH_WIDTH, glyph_pixels
from sources.world.scene import CANVAS, TALLEST_BAR, Bar, Scene, Thing, Word

_ZOOM = 2
_LETTER_PIXEL = 2 * _ZOOM  # one pixel of the alphabet is two pixels of the image
_Box = tuple[float, float, float, float]


def scene_image(scene: Scene) -> Image.Image:
    """Draw a scene as a 64 by 64 RGB image."""
    image = Image.new("RGB", (CANVAS * _ZOOM, CANVAS * _ZOOM), scene.background)
    pen = ImageDraw.Draw(image)
    for thing in scene.things:
        _draw_thing(pen, thing)
    if scene.word:
        _draw_word(pen, scene.word)
    if scene.bars:
        _draw_bars(pen, scene.bars)
    return image.reduce(_ZOOM)


def scene_array(scene: Scene) -> NDArray[np.uint8]:
    """Draw a scene as an array [64, 64, 3] of bytes."""
    return np.asarray(scene_image(scene))


def scene_png(scene: Scene) -> bytes:
    """Draw a scene as the bytes of a PNG file."""
    file = io.BytesIO()
    scene_image(scene).save(file, "PNG")
    return file.getvalue()


def _draw_thing(pen: ImageDraw.ImageDraw, thing: Thing) -> None:
    x, y, r = thing.x * _ZOOM, thing.y * _ZOOM, thing.radius * _ZOOM
    box = (x - r, y - r, x + r, y + r)
    if thing.shape == "circle":
        pen.ellipse(box, fill=thing.tint)
    elif thing.shape == "ring":
        pen.ellipse(box, outline=thing.tint, width=max(3, int(r * 0.35)))
    elif thing.shape == "cross":
        arm = r * 0.34
        pen.rectangle((x - arm, y - r, x + arm, y + r), fill=thing.tint)
        pen.rectangle((x - r, y - arm, x + r, y + arm), fill=thing.tint)
    elif thing.shape in _HALF_SIDES:
        wide, tall = (r * share for share in _HALF_SIDES[thing.shape])
        pen.rectangle((x - wide, y - tall, x + wide, y + tall), fill=thing.tint)
    else:
        pen.polygon(_corners(thing.shape, x, y, r), fill=thing.tint)


_HALF_SIDES = {"square": (0.85, 0.85), "brick": (1.0, 0.55), "pillar": (0.55, 1.0)}


def _corners(shape: str, x: float, y: float, r: float) -> list[tuple[float, float]]:
    if shape == "triangle":
        return [(x, y - r), (x - r, y + r * 0.8), (x + r, y + r * 0.8)]
    if shape == "diamond":
        return [(x, y - r), (x - r * 0.75, y), (x, y + r), (x + r * 0.75, y)]
    if shape == "star":
        reach = [r if point % 2 == 0 else r * 0.42 for point in range(10)]
        return [(x + d * math.sin(i * math.pi / 5), y - d * math.cos(i * math.pi / 5)) for i, d in enumerate(reach)]
    raise ValueError(f"no way to draw a {shape!r}")


def _draw_word(pen: ImageDraw.ImageDraw, word: Word) -> None:
    for place, letter in enumerate(word.text):
        left = word.x * _ZOOM + place * (GLYPH_WIDTH + 1) * _LETTER_PIXEL
        for column, row in glyph_pixels(letter):
            x, y = left + column * _LETTER_PIXEL, word.y * _ZOOM + row * _LETTER_PIXEL
            pen.rectangle((x, y, x + _LETTER_PIXEL - 1, y + _LETTER_PIXEL - 1), fill=word.ink)


def _draw_bars(pen: ImageDraw.ImageDraw, bars: tuple[Bar, ...]) -> None:
    floor, unit = 59 * _ZOOM, 11 * _ZOOM
    pen.line((3 * _ZOOM, 3 * _ZOOM, 3 * _ZOOM, floor), fill=(90, 90, 90), width=_ZOOM)
    for level in range(TALLEST_BAR + 1):
        pen.line((3 * _ZOOM, floor - level * unit, 62 * _ZOOM, floor - level * unit), fill=(170, 170, 170), width=1)
    for place, bar in enumerate(bars):
        left = (6 + place * 14) * _ZOOM
        pen.rectangle((left, floor - bar.height * unit, left + 10 * _ZOOM, floor), fill=bar.tint)
