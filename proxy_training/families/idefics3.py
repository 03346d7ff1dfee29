"""Idefics3 (SmolVLM-256M/500M-Instruct, the bundled proxy) and SmolVLM (SmolVLM2), with the PIL image processor.

Defined by transformers `models/idefics3/modeling_idefics3.py`; the tests compare this path with its own forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from proxy_training.families.base import ProcessedImage
from proxy_training.families.spliced import SplicedBase
from proxy_training.image_text import Idefics3ImageText


class Idefics3Base(SplicedBase):
    """A loaded Idefics3-class model."""

    family = "idefics3"
    LANGUAGE = "model.text_model"
    IMAGE_PROCESSOR = "Idefics3ImageProcessorPil"

    def __init__(self, folder: Path, dtype: torch.dtype, device: torch.device, sharded: bool = False, image_limit: int = 0) -> None:
        super().__init__(folder, dtype, device, sharded, image_limit)
        self._text = Idefics3ImageText(folder, image_limit)

    def process_image(self, image: Image.Image) -> ProcessedImage:
        """Letterbox to a square where the processor would stretch it, then process."""
        if not self.processor.image_processor.do_image_splitting:
            image = self.letterboxed(image)
        out = self.processor.image_processor([[image]], return_row_col_info=True, return_tensors="pt")
        return ProcessedImage(out["pixel_values"][0], self._text.of_grid(int(out["rows"][0][0]), int(out["cols"][0][0])))

    def encode_images(self, images: Sequence[ProcessedImage]) -> list[Tensor]:
        """Run tower and connector over all tiles of all images at once."""
        tiles = torch.cat([image.pixels for image in images]).to(self.device)
        features = self.model.model.get_image_features(pixel_values=_keep_black_tiles(tiles)[:, None]).pooler_output
        per_tile = [tile.reshape(-1, tile.shape[-1]).to(self.device) for tile in features]
        counts = [image.pixels.shape[0] for image in images]
        return [torch.cat(chunk) for chunk in _split(per_tile, counts)]


class SmolVLMBase(Idefics3Base):
    """A loaded SmolVLM2-class model: the same parts under another class name."""

    family = "smolvlm"
    IMAGE_PROCESSOR = "SmolVLMImageProcessorPil"


def _keep_black_tiles(tiles: Tensor) -> Tensor:
    """Nudge tiles that are exactly zero everywhere: Idefics3 would take them for padding and drop them."""
    empty = (tiles == 0).flatten(1).all(1)
    if bool(empty.any()):
        tiles = tiles.clone()
        tiles[empty, 0, 0, 0] = 1e-6
    return tiles


def _split(values: list[Tensor], counts: list[int]) -> list[list[Tensor]]:
    chunks, at = [], 0
    for count in counts:
        chunks.append(values[at : at + count])
        at += count
    return chunks
