"""LLaVA (llava-1.5 and relatives): a CLIP or SigLIP tower, a two-layer connector, a Llama- or Qwen2-class language model.

Defined by transformers `models/llava/modeling_llava.py`; the tests compare this path with its own forward.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from proxy_training.families.base import ProcessedImage
from proxy_training.families.spliced import SplicedBase


class LlavaBase(SplicedBase):
    """A loaded LLaVA model. Images are padded to a square, as LLaVA-1.5 was trained, so that the crop cuts nothing off."""

    family = "llava"
    LANGUAGE = "model.language_model"

    def process_image(self, image: Image.Image) -> ProcessedImage:
        """Letterbox to a square, then process."""
        out = self.processor.image_processor([self.letterboxed(image)], return_tensors="pt")
        expansion = self.processor.replace_image_token({"pixel_values": out["pixel_values"]}, 0)
        return ProcessedImage(out["pixel_values"], expansion)

    def encode_images(self, images: Sequence[ProcessedImage]) -> list[Tensor]:
        """Run tower and connector over all images at once."""
        pixels = torch.cat([image.pixels for image in images]).to(self.device, self.model.dtype)
        return [tokens.to(self.device) for tokens in self.model.model.get_image_features(pixel_values=pixels).pooler_output]
