"""Whether two small pictures show the same image: laid over each other, their local structure must agree nearly everywhere.

Grey values are compared after their local mean and contrast are taken away, so brightness, gamma and tint change little; colours
count by where they differ, not by how much, so a grey or paler copy passes and a repainted drawing does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter

from sources.overlap.look import COLOUR_SIDE, SIDE

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

BATCH = 128  # pairs at once
_STAGES = ((2.5, 5), (1.2, 6), (0.8, 4))  # of the alignment: smoothing in pixels, steps
_SMOOTH = 1.0  # pixels; small pictures of fine print differ below that by where its lines fell on their pixels
_REACH = 9  # side of a neighbourhood, pixels
_NOISE = 4.0  # grey levels that coding may add
_STRUCTURE = 8.0  # grey levels of local deviation: less has nothing to compare
_AGREES = 0.5  # correlation of a neighbourhood that agrees
_COLOURED = 3.0  # deviation of a colour difference over the image: less is grey


LEAST_STRUCTURE = 0.6
MOST_DISAGREEING = 0.01
LEAST_COLOUR = 0.5
_LEAST_STRUCTURED = 0.02
# Of drawings, in grey levels: the ground may differ so much, a place so much, and so much of the whole contrast.
_GROUND, _PLACE, _PLACE_COLOUR, _PLACE_SHARE, _CONTRAST = 2.5, 45.0, 40.0, 0.2, 20.0


@dataclass(frozen=True, slots=True)
class Agreement:
    """How pairs agree, each [pairs]: mean local correlation of grey, share of structured neighbourhoods that disagree, of colour."""

    structure: Floats
    disagreeing: Floats
    structured: Floats  # share of the neighbourhoods that hold structure
    colour: Floats  # correlation; 1 where one is grey

    def same(self) -> NDArray[np.bool_]:
        """Say which pairs show the same image."""
        near = (self.structure >= LEAST_STRUCTURE) & (self.disagreeing <= MOST_DISAGREEING)
        return np.asarray(near & (self.structured >= _LEAST_STRUCTURED) & (self.colour >= LEAST_COLOUR))


def agreement(
    inner_grey: NDArray[np.uint8],
    outer_grey: NDArray[np.uint8],
    inner_colour: NDArray[np.uint8],
    outer_colour: NDArray[np.uint8],
    boxes: Floats,
) -> Agreement:
    """Compare all of `inner` [pairs, ...] with the `boxes` [pairs, 4] (left, top, right, bottom, as shares) of `outer`, moved to fit."""
    inner, outer = inner_grey.astype(np.float32), outer_grey.astype(np.float32)
    axes = np.stack([boxes[:, 2] - boxes[:, 0], boxes[:, 0], boxes[:, 3] - boxes[:, 1], boxes[:, 1]], 1).astype(np.float32)
    axes = _aligned(inner, outer, axes)
    structure, disagreeing, structured = _local(_smoothed(inner, _SMOOTH), _smoothed(_cut(outer, axes), _SMOOTH))
    colours = [_cut(outer_colour[:, band].astype(np.float32), axes) for band in range(2)]
    return Agreement(structure, disagreeing, structured, _colour(inner_colour.astype(np.float32), np.stack(colours, 1)))


def same_drawing(
    grey: NDArray[np.uint8], other_grey: NDArray[np.uint8], colour: NDArray[np.uint8], other_colour: NDArray[np.uint8]
) -> NDArray[np.bool_]:
    """Say which pairs of simple drawings are one [pairs]: the same ground, nothing moved, nothing repainted.

    What is cheap and tells most pairs apart is compared first.
    """
    same = np.abs(colour.astype(np.int16) - other_colour).max((1, 2, 3)) < _PLACE_COLOUR
    for holds in (_same_ground, _same_shapes):
        if len(left := np.flatnonzero(same)):
            same[left] = holds(grey[left], other_grey[left], colour[left], other_colour[left])
    return np.asarray(same)


def _same_ground(grey: Bytes, other_grey: Bytes, colour: Bytes, other_colour: Bytes) -> NDArray[np.bool_]:
    apart, apart_colour = (one.astype(np.float32) - other for one, other in ((grey, other_grey), (colour, other_colour)))
    painted = (np.abs(np.median(apart_colour, axis=(2, 3))) > _GROUND).any(1)
    return np.asarray((np.abs(np.median(apart, axis=(1, 2))) <= _GROUND) & ~painted)


def _same_shapes(grey: Bytes, other_grey: Bytes, colour: Bytes, other_colour: Bytes) -> NDArray[np.bool_]:
    place = np.abs(uniform_filter(grey.astype(np.float32) - other_grey, (0, 3, 3), mode="nearest")).max((1, 2))
    contrast = np.maximum(np.ptp(grey, axis=(1, 2)), np.ptp(other_grey, axis=(1, 2))).astype(np.float32)
    return np.asarray((place < _PLACE) & (place < _PLACE_SHARE * np.maximum(contrast, _CONTRAST)))


def _cut(image: Floats, axes: Floats) -> Floats:
    """Return the window of images [pairs, side, side] that `axes` (scale and start across, then down) names, as large as they are."""
    side = image.shape[-1]
    return np.asarray(
        _rows_at(axes[:, 2], axes[:, 3], side) @ image @ _rows_at(axes[:, 0], axes[:, 1], side).transpose(0, 2, 1), np.float32
    )


def _rows_at(scale: Floats, start: Floats, side: int) -> Floats:
    """Return matrices [pairs, side, side] that interpolate linearly between the lines of an image."""
    place = (start[:, None] + scale[:, None] * ((np.arange(side, dtype=np.float32) + 0.5) / side)) * side - 0.5
    place = np.clip(place, 0, side - 1)
    near = 1 - np.abs(place[:, :, None] - np.arange(side, dtype=np.float32))
    return np.asarray(np.maximum(near, 0), np.float32)


def _aligned(inner: Floats, outer: Floats, axes: Floats) -> Floats:
    """Refine scale and start of both axes by Gauss-Newton (Lucas and Kanade 1981), from coarse to fine, contrast and brightness free."""
    for smooth, steps in _STAGES:
        axes = _refined(_smoothed(inner, smooth), _smoothed(outer, smooth), axes, steps)
    return axes


def _smoothed(images: Floats, pixels: float) -> Floats:
    return np.asarray(gaussian_filter(images, (0, pixels, pixels)), np.float32)


def _refined(inner: Floats, outer: Floats, axes: Floats, steps: int) -> Floats:
    at = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE
    for _ in range(steps):
        shown = _cut(outer, axes)
        down, across = np.gradient(shown, axis=(1, 2))
        across = across * (SIDE / axes[:, 0])[:, None, None]  # grey levels for a move by the whole image
        down = down * (SIDE / axes[:, 2])[:, None, None]
        parts = [across * at, across, down * at[:, None], down, shown, np.ones_like(shown)]
        basis = np.stack([part.reshape(len(shown), -1) for part in parts], 2)
        gram = basis.transpose(0, 2, 1) @ basis
        gram += np.float32(0.01) * np.eye(6, dtype=np.float32)  # a flat image has no best fit
        found = np.linalg.solve(gram, basis.transpose(0, 2, 1) @ inner.reshape(len(inner), -1, 1))[..., 0]
        gain = np.where(np.abs(found[:, 4]) > 0.05, found[:, 4], 1.0)
        axes = axes + np.clip(found[:, :4] / gain[:, None], -0.05, 0.05)
        axes[:, ::2] = np.clip(axes[:, ::2], 0.7, 1.3)
        axes[:, 1::2] = np.clip(axes[:, 1::2], -0.2, 0.3)
    return axes


def _local(one: Floats, other: Floats) -> tuple[Floats, Floats, Floats]:
    def mean(values: Floats) -> Floats:
        return np.asarray(uniform_filter(values, (0, _REACH, _REACH), mode="nearest"))

    middle, middle_other = mean(one), mean(other)
    spread = np.maximum(mean(one * one) - middle**2, 0)
    spread_other = np.maximum(mean(other * other) - middle_other**2, 0)
    together = mean(one * other) - middle * middle_other
    noise = np.float32(_NOISE**2)
    alike = together / np.sqrt((spread + noise) * (spread_other + noise))
    structured = np.maximum(spread, spread_other) > _STRUCTURE**2
    count = np.maximum(structured.sum((1, 2)), 1)
    return (
        np.where(structured, alike, 0).sum((1, 2)) / count,
        (structured & (alike < _AGREES)).sum((1, 2)) / count,
        structured.mean((1, 2)),
    )


def _colour(one: Floats, other: Floats) -> Floats:
    """Return the correlation of both colour differences together [pairs]; 1 where an image has next to no colour."""
    one = one - one.mean((2, 3), keepdims=True)
    other = other - other.mean((2, 3), keepdims=True)
    spread, spread_other = (np.sqrt((image**2).sum((1, 2, 3)) / (COLOUR_SIDE * COLOUR_SIDE)) for image in (one, other))
    product = (one * other).sum((1, 2, 3)) / (COLOUR_SIDE * COLOUR_SIDE)
    grey = np.minimum(spread, spread_other) < _COLOURED
    return np.where(grey, 1.0, product / np.maximum(spread * spread_other, 1e-6)).astype(np.float32)
