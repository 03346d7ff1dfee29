"""LLaVA-OneVision: the whole image and tiles of it at a resolution near its own, rows of tokens ending in a newline vector.

Defined by transformers `models/llava_onevision/modeling_llava_onevision.py`; the tests compare this path with its own forward. Every image
gets its tiles, also where a row holds several: the processor gives those the whole image alone, but an image's features here do not
depend on the row that it stands in.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
    IMAGE_PROCESSOR = "LlavaOnevisionImageProcessorPil"

    def load_processor(self, folder: Path) -> Any:
        """Load it, and the arithmetic of tokens beside it."""
        self._text = LlavaOnevisionImageText(folder)
        return super().load_processor(folder)

    def process_image(self, image: Image.Image) -> ProcessedImage:
        """Cut the image into the whole and its tiles."""
        out = self.processor.image_processor([image], return_tensors="pt")
        return ProcessedImage(out["pixel_values"][0], self._text.expansion(*image.size), (1, image.height, image.width))

    def encode_images(self, images: Sequence[ProcessedImage]) -> list[Tensor]:
        """Run tower and connector, an image at a time: each has tiles of its own number."""
        found = []
        for image in images:
            assert image.grid is not None
            pixels = image.pixels[None].to(self.device, self.model.dtype)
            sizes = torch.tensor([image.grid[1:]], device=self.device)
            out = self.model.model.get_image_features(pixel_values=pixels, image_sizes=sizes, return_dict=True)
            found.append(out.pooler_output[0].to(self.device))
        return found
