"""LLaVA-OneVision: the whole image and tiles of it at a resolution near its own, rows of tokens ending in a newline vector.

Defined by transformers `models/llava_onevision/modeling_llava_onevision.py`; the tests compare this path with its own forward. In a row of
several images each is the whole image alone, padded to a square, as the processor does it: an image has two kinds of features.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from proxy_training.families.base import ProcessedImage
from proxy_training.families.spliced import SplicedBase
from proxy_training.image_text import LlavaOnevisionImageText


class LlavaOnevisionBase(SplicedBase):
    """A loaded LLaVA-OneVision model."""

    family = "llava_onevision"
    LANGUAGE = "model.language_model"
    crowd_differs = True
    IMAGE_PROCESSOR = "LlavaOnevisionImageProcessorPil"

    def __init__(self, folder: Path, dtype: torch.dtype, device: torch.device, sharded: bool = False, image_limit: int = 0) -> None:
        super().__init__(folder, dtype, device, sharded, image_limit)
        self._text = LlavaOnevisionImageText(folder, image_limit)
        self.model.config.image_grid_pinpoints = self.processor.image_processor.image_grid_pinpoints

    def process_image(self, image: Image.Image) -> ProcessedImage:
        """Cut the image into the whole and its tiles."""
        out = self.processor.image_processor([image], return_tensors="pt")
        return ProcessedImage(out["pixel_values"][0], self._text.expansion(*image.size), (1, image.height, image.width))

    def process_crowded(self, image: Image.Image) -> ProcessedImage:
        """Take the whole image alone."""
        out = self.processor.image_processor([[image, image]], return_tensors="pt")  # one of several, to the processor
        return ProcessedImage(out["pixel_values"][0], self._text.crowd, (1, image.height, image.width))

    def encode_images(self, images: Sequence[ProcessedImage]) -> list[Tensor]:
        """Run tower and connector, an image at a time: each has tiles of its own number."""
        found = []
        for image in images:
            assert image.grid is not None
            pixels = image.pixels[None].to(self.device, self.model.dtype)
            sizes = torch.tensor([image.grid[1:]], device=self.device)
            in_row = torch.tensor([2 if len(image.pixels) == 1 else 1], device=self.device)  # without tiles: one of several
            out = self.model.model.get_image_features(pixel_values=pixels, image_sizes=sizes, batch_num_images=in_row, return_dict=True)
            found.append(out.pooler_output[0].to(self.device))
        return found
