"""A second lesson for the vision tower: the image token where a thing's centre lies should point at the words for its colour and shape.

Answers alone teach a small tower what shapes look like only after very many images, for each answer first has to find its way through
the language model. The words' own embeddings are the classifier, so nothing is added to the model, and what the tower says is
in the language model's terms from the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import Idefics3ForConditionalGeneration, PreTrainedTokenizerFast

from proxy_training.bundled.packing import IGNORED
from sources.world.scene import CANVAS, COLOURS, SHAPES, Scene

_COLOURS = tuple(COLOURS)


@dataclass(frozen=True, slots=True)
class LandmarkWords:
    """The token ids of the colours' and the shapes' names."""

    colours: tuple[int, ...]
    shapes: tuple[int, ...]


def landmark_words(tokenizer: PreTrainedTokenizerFast) -> LandmarkWords:
    """Look up the tokens of all names; a name of several tokens is represented by its first."""
    first = [[tokenizer.encode(f" {name}", add_special_tokens=False)[0] for name in names] for names in (_COLOURS, SHAPES)]
    return LandmarkWords(tuple(first[0]), tuple(first[1]))


def landmarks(scenes: Sequence[Scene], side: int) -> NDArray[np.int64]:
    """Return each image token's colour and shape numbers, [scenes, side * side, 2]; tokens without one thing's centre are ignored."""
    marks = np.full((len(scenes), side * side, 2), IGNORED, np.int64)
    for row, scene in enumerate(scenes):
        tiles = [thing.y * side // CANVAS * side + thing.x * side // CANVAS for thing in scene.things]
        for tile, thing in zip(tiles, scene.things, strict=True):
            if tiles.count(tile) == 1:
                marks[row, tile] = _COLOURS.index(thing.colour), SHAPES.index(thing.shape)
    return marks


def landmark_loss(model: Idefics3ForConditionalGeneration, features: Tensor, marks: NDArray[np.int64], words: LandmarkWords) -> Tensor:
    """Return the mean cross-entropy of colour and of shape at the landmarks, [2]; `features` are [rows, tokens, width]."""
    embeddings = model.get_input_embeddings().weight
    targets = torch.from_numpy(marks).to(features.device)
    marked = targets[..., 0] != IGNORED
    if not bool(marked.any()):
        return features.new_zeros(2)
    seen, wanted = features[marked], targets[marked]
    losses = [
        torch.nn.functional.cross_entropy(seen @ embeddings[list(ids)].T, wanted[:, place])
        for place, ids in enumerate((words.colours, words.shapes))
    ]
    return torch.stack(losses)
