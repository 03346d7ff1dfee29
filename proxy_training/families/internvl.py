"""InternVL (InternVL3 and 3.5 as transformers saves them): tiles and a thumbnail through the tower, a Qwen2-class language model.

Defined by transformers `models/internvl/modeling_internvl.py`; the tests compare this path with its own forward. Tiles are cut as the
processor cuts them, to the grid nearest in shape to the image.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from proxy_training.families.base import ProcessedImage
from proxy_training.families.spliced import SplicedBase
from proxy_training.image_text import internvl_expansion, internvl_tokens


class InternVLBase(SplicedBase):
    """A loaded InternVL model."""

    family = "internvl"
    LANGUAGE = "model.language_model"
    IMAGE_PROCESSOR = "GotOcr2ImageProcessorPil"

    def process_image(self, image: Image.Image) -> ProcessedImage:
        """Cut the image into tiles, with a thumbnail where they are several."""
        out = self.processor.image_processor([image], crop_to_patches=True, return_tensors="pt")
        per_tile = internvl_tokens(self.model.config.to_dict())
        return ProcessedImage(out["pixel_values"], internvl_expansion(per_tile * len(out["pixel_values"])))

    def encode_images(self, images: Sequence[ProcessedImage]) -> list[Tensor]:
        """Run tower and connector over all tiles of all images at once."""
        tiles = torch.cat([image.pixels for image in images]).to(self.device, self.model.dtype)
        features = self.model.model.get_image_features(pixel_values=tiles, return_dict=True).pooler_output
        return [chunk.flatten(0, 1).to(self.device) for chunk in features.split([len(image.pixels) for image in images])]
