"""Gemma3: a SigLIP tower pooled to a fixed number of tokens, which see each other in both directions; sliding windows in most layers.

Defined by transformers `models/gemma3/modeling_gemma3.py`; the tests compare this path with its own forward. Images are padded to a square
before the processor scales them to one, so that nothing is stretched.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from proxy_training.families.base import ProcessedImage
from proxy_training.families.spliced import SplicedBase
from proxy_training.image_text import gemma3_expansion


class Gemma3Base(SplicedBase):
    """A loaded Gemma3 model."""

    family = "gemma3"
    LANGUAGE = "model.language_model"
    IMAGE_PROCESSOR = "Gemma3ImageProcessorPil"
    not_plain = "the tokens of an image see each other in both directions"

    def process_image(self, image: Image.Image) -> ProcessedImage:
        """Letterbox to a square, then process."""
        out = self.processor.image_processor([self.letterboxed(image)], return_tensors="pt")
        return ProcessedImage(out["pixel_values"], gemma3_expansion(int(self.model.config.mm_tokens_per_image)))

    def encode_images(self, images: Sequence[ProcessedImage]) -> list[Tensor]:
        """Run tower and connector over all images at once."""
        pixels = torch.cat([image.pixels for image in images]).to(self.device, self.model.dtype)
        features = self.model.model.get_image_features(pixel_values=pixels, return_dict=True).pooler_output
        return [tokens.to(self.device) for tokens in features]

    def attention(self, input_ids: Tensor, allowed: Tensor | None, position_ids: Tensor | None) -> dict[str, Tensor]:
        """Return both kinds of mask: what is allowed or inside the same image, and of that what the window reaches."""
        rows, tokens = input_ids.shape
        numbers = torch.arange(tokens, device=input_ids.device)
        seen = (numbers[:, None] >= numbers)[None, None] if allowed is None else allowed
        is_image = input_ids == self.image_token_id
        begins = is_image & ~torch.nn.functional.pad(is_image, (1, 0))[:, :-1]
        block = torch.where(is_image, begins.cumsum(1), 0)
        full = seen | ((block[:, :, None] == block[:, None]) & is_image[:, None])[:, None]
        places = numbers.expand(rows, -1) if position_ids is None else position_ids
        window = int(self.model.config.text_config.sliding_window)
        near = places[:, None, None] > places[:, None, :, None] - window
        return {"full_attention": full, "sliding_attention": full & near}
