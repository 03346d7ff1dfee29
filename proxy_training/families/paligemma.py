"""PaliGemma and PaliGemma2: a SigLIP tower, and a Gemma or Gemma2 that reads the whole prompt in both directions and the answer causally.

Defined by transformers `models/paligemma/modeling_paligemma.py`; the tests compare this path with its own forward. Which tokens are the
prompt is said by the encoded rows (`proxy_training.prefix_form`). Images are padded to a square before the processor scales them to one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from proxy_training.families.base import ProcessedImage
from proxy_training.families.spliced import SplicedBase
from proxy_training.image_text import paligemma_tokens


class PaliGemmaBase(SplicedBase):
    """A loaded PaliGemma model."""

    family = "paligemma"
    LANGUAGE = "model.language_model"
    IMAGE_PROCESSOR = "SiglipImageProcessorPil"
    not_plain = "the whole prompt is seen in both directions"

    def attention_kind(self, folder: Path) -> str | dict[str, str]:
        """Return plain attention for Gemma2, whose capped attention scores the fused kernel cannot compute."""
        text = json.loads((folder / "config.json").read_text("utf-8")).get("text_config", {})
        return {"text_config": "eager", "vision_config": "sdpa"} if text.get("model_type") == "gemma2" else "sdpa"

    def process_image(self, image: Image.Image) -> ProcessedImage:
        """Letterbox to a square, then process."""
        out = self.processor.image_processor([self.letterboxed(image)], return_tensors="pt")
        return ProcessedImage(out["pixel_values"], "<image>" * paligemma_tokens(self.model.config.to_dict()))

    def encode_images(self, images: Sequence[ProcessedImage]) -> list[Tensor]:
        """Run tower and connector over all images at once."""
        pixels = torch.cat([image.pixels for image in images]).to(self.device, self.model.dtype)
        features = self.model.model.get_image_features(pixel_values=pixels, return_dict=True).pooler_output
        return [tokens.to(self.device) for tokens in features]

    def language_inputs(self, input_ids: Tensor, features: Tensor, position_ids: Tensor | None = None) -> tuple[dict[str, Any], Tensor]:
        """Return embeddings and positions, which count from one."""
        if position_ids is None:
            position_ids = torch.arange(input_ids.shape[1], device=input_ids.device).expand(len(input_ids), -1)
        inputs, shift = super().language_inputs(input_ids, features, position_ids + 1)
        return inputs, shift + 1

    def attention(self, input_ids: Tensor, allowed: Tensor | None, position_ids: Tensor | None) -> Any:
        """Return what is allowed; for Gemma2 also that of it which is in the window or inside the prompt, all that the first token sees."""
        rows, tokens = input_ids.shape
        numbers = torch.arange(tokens, device=input_ids.device)
        seen = (numbers[:, None] >= numbers)[None, None].expand(rows, -1, -1, -1) if allowed is None else allowed
        text = self.model.config.text_config
        if text.model_type != "gemma2":
            return seen
        places = numbers.expand(rows, -1) if position_ids is None else position_ids
        near = places[:, None, None] > places[:, None, :, None] - int(text.sliding_window)
        prompt = seen[:, :, 0]
        inside = prompt[:, :, None] & prompt[:, :, :, None]
        return {"full_attention": self._added(seen), "sliding_attention": self._added(seen & (near | inside))}

    def _added(self, seen: Tensor) -> Tensor:
        """Return a mask as what plain attention adds to its scores."""
        least = torch.finfo(self.model.dtype).min
        return torch.zeros(seen.shape, dtype=self.model.dtype, device=seen.device).masked_fill(~seen, least)

    def logits(self, hidden: Tensor) -> Tensor:
        """Apply the language-model head, and the cap that Gemma2 puts on its logits."""
        logits, cap = super().logits(hidden), getattr(self.model.config.text_config, "final_logit_softcapping", None)
        return logits if cap is None else torch.tanh(logits / cap) * cap
