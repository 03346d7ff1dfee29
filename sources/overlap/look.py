"""What is kept of an image to find its copies: a small picture of it, and perceptual hashes of it and of windows cut out of it.

The hash is pHash as the library `imagehash` computes it: the signs of the 8 x 8 lowest frequencies of a 32 x 32 grey image. A crop moves
every frequency, so an image that holds enough to be aligned is hashed in windows too: what is left of another one after a light
crop is then near a window of this one. A simple drawing is hashed once: cut, one circle is like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 64  # pixels of the small picture, whatever the shape of the image
COLOUR_SIDE = 16
CUTS = (0.02, 0.08)  # of a window at one side; a window's four sides are cut each by one of them
WINDOWS: tuple[tuple[float, float, float, float], ...] = (  # left, top, right, bottom, as shares; the first is the whole image
    (0.0, 0.0, 1.0, 1.0),
    *((left, top, 1 - right, 1 - bottom) for left, top, right, bottom in product(CUTS, repeat=4)),
)
VERSION = 1  # raised when the same image would look otherwise
_HASHED_SIDE = 32
_STEP = 3  # grey levels between neighbours: more is not flat
_LITTLE_DETAIL = 0.3  # of the small picture's pixels are not flat
_PLAIN_GROUND = 0.45  # of them lie within five grey levels
_FLAT = 4.0  # grey levels of deviation, or of colour difference: below both there is nothing to compare


@dataclass(frozen=True, slots=True)
class Look:
    """One image: grey [SIDE, SIDE], two colour differences [2, COLOUR_SIDE, COLOUR_SIDE], hashes [1 or len(WINDOWS)]."""

    grey: NDArray[np.uint8]
    colour: NDArray[np.uint8]
    hashes: NDArray[np.uint64]

    @property
    def simple(self) -> bool:
        """Whether it is a simple drawing, which has the hash of the whole only."""
        return len(self.hashes) == 1


def look_at(image: Image) -> Look:
    """Return what is kept of an RGB image."""
    from PIL.Image import Resampling

    small = image.resize((SIDE, SIDE), Resampling.BILINEAR, reducing_gap=3.0).convert("YCbCr")
    grey, *colours = small.split()
    pixels = np.asarray(grey)
    colour = np.stack([np.asarray(band.resize((COLOUR_SIDE, COLOUR_SIDE), Resampling.BOX)) for band in colours])
    windows = WINDOWS[:1] if is_simple(pixels) else WINDOWS
    return Look(pixels, colour, np.array([_hash(grey, window) for window in windows], np.uint64))


def is_simple(grey: NDArray[np.uint8]) -> bool:
    """Say whether a small picture is a few shapes on a plain ground: a shift or a stretch would lay many other drawings over it."""
    level = grey.astype(np.int16)
    across = np.abs(np.diff(level, axis=1))[:-1] > _STEP
    down = np.abs(np.diff(level, axis=0))[:, :-1] > _STEP
    ground = np.convolve(np.bincount(grey.ravel(), minlength=256), np.ones(5), "same").max() / grey.size
    return bool((across | down).mean() < _LITTLE_DETAIL and ground > _PLAIN_GROUND)


def is_flat(look: Look) -> bool:
    """Say whether an image is of one colour, so that only its bytes can tell it from others."""
    return float(look.grey.std()) < _FLAT and float(look.colour.std((1, 2)).max()) < _FLAT


def _hash(grey: Image, window: tuple[float, float, float, float]) -> int:
    import imagehash
    from PIL.Image import Resampling

    left, top, right, bottom = (edge * SIDE for edge in window)
    bits = imagehash.phash(grey.resize((_HASHED_SIDE, _HASHED_SIDE), Resampling.LANCZOS, box=(left, top, right, bottom))).hash
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
