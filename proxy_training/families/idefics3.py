"""Idefics3 (the architecture of SmolVLM-256M/500M-Instruct and of the bundled proxy), with the PIL image processor.

Defined by transformers `models/idefics3/modeling_idefics3.py`; the tests compare this path with its own forward.
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
from sources.canonical import content_hash

LETTERBOX_COLOUR = (127, 127, 127)  # the processor's mean, so that the border is zero after normalisation


class Idefics3Base:
    """A loaded Idefics3-class model."""

    family = "idefics3"

    def __init__(self, folder: Path, dtype: torch.dtype, device: torch.device) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self.model: Any = AutoModelForImageTextToText.from_pretrained(
            folder, dtype=dtype, attn_implementation="sdpa", use_safetensors=True, trust_remote_code=False
        ).to(device)
        self.model.requires_grad_(False).eval()
        self.processor: Any = AutoProcessor.from_pretrained(folder, trust_remote_code=False)
        self.device = device
        self.image_token_id = int(self.model.config.image_token_id)
        self.pad_token_id = int(self.processor.tokenizer.pad_token_id or 0)
        self.processor_digest = content_hash([LETTERBOX_COLOUR, json.loads(self.processor.image_processor.to_json_string())])

    def process_image(self, image: Image.Image) -> ProcessedImage:
        """Letterbox to a square where the processor would stretch it, then process."""
        if not self.processor.image_processor.do_image_splitting:
            image = letterbox(image)
        out = self.processor.image_processor([[image]], return_row_col_info=True, return_tensors="pt")
        expansion = self.processor.replace_image_token({"rows": out["rows"], "cols": out["cols"]}, 0)
        return ProcessedImage(out["pixel_values"][0], expansion)

    def encode_images(self, images: Sequence[ProcessedImage]) -> list[Tensor]:
        """Run tower and connector over all tiles of all images at once."""
        tiles = torch.cat([image.pixels for image in images]).to(self.device)
        features = self.model.model.get_image_features(pixel_values=_keep_black_tiles(tiles)[:, None]).pooler_output
        per_tile = [tile.reshape(-1, tile.shape[-1]) for tile in features]
        counts = [image.pixels.shape[0] for image in images]
        return [torch.cat(chunk) for chunk in _split(per_tile, counts)]

    def hidden(
        self, input_ids: Tensor, features: Tensor, attention_mask: Tensor | None = None, position_ids: Tensor | None = None
    ) -> Tensor:
        """Put the features in the image tokens' places and run the language model."""
        text = self.model.model.text_model
        embeds = text.get_input_embeddings()(input_ids)
        if len(features):
            places = (input_ids == self.image_token_id).unsqueeze(-1)
            embeds = embeds.masked_scatter(places, features.to(embeds.dtype))
        out = text(inputs_embeds=embeds, attention_mask=attention_mask, position_ids=position_ids, use_cache=False)
        return out.last_hidden_state  # type: ignore[no-any-return]

    def logits(self, hidden: Tensor) -> Tensor:
        """Apply the language-model head, in fp32 for the softmax that follows."""
        return self.model.lm_head(hidden).float()  # type: ignore[no-any-return]

    def language_prefix(self) -> str:
        """Return where the Llama-class language model sits."""
        return "model.text_model"


def letterbox(image: Image.Image) -> Image.Image:
    """Return the image centred on the smallest square that holds it."""
    side = max(image.size)
    if image.size == (side, side):
        return image
    square = Image.new("RGB", (side, side), LETTERBOX_COLOUR)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


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
