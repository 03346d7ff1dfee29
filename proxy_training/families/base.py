"""What the engine asks of a loaded base model, whatever its family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor

# Scopes are explicit paths: the bare suffix `q_proj` would match the vision tower too and silently spoil cached features.
LINEAR_LEAVES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, slots=True)
class ProcessedImage:
    """One image ready for the tower: `pixels` float32 as the family takes them, and the text that takes its place."""

    pixels: Tensor  # [tiles, 3, height, width]; Qwen-VL: [patches, values]
    expansion: str
    grid: tuple[int, int, int] | None = None  # patches by frames, rows and columns, where the family asks for it


class LoadedBase(Protocol):
    """A base model on a device: a live handle, never stored and never sent."""

    family: str
    model: Any  # the transformers model; PEFT injects adapters into it
    device: torch.device
    image_token_id: int
    pad_token_id: int
    processor_digest: str  # of all that decides how pixels and expansions come out
    crowd_differs: bool  # an image of a row with several is processed otherwise than one that is alone
    not_plain: str  # why positions are not tokens' numbers or attention is not causal; empty where they are, which the stack needs

    def process_image(self, image: Image.Image) -> ProcessedImage:
        """Turn a loaded image into the tower's input, keeping its aspect ratio."""
        ...

    def process_crowded(self, image: Image.Image) -> ProcessedImage:
        """Turn an image of a row with several into the tower's input."""
        ...

    def encode_images(self, images: Sequence[ProcessedImage]) -> list[Tensor]:
        """Run frozen tower and connector: for each image its features [image tokens, width]."""
        ...

    def hidden(
        self, input_ids: Tensor, features: Tensor, attention_mask: Tensor | None = None, position_ids: Tensor | None = None
    ) -> Tensor:
        """Return the language model's last hidden states [rows, tokens, width].

        Args:
            input_ids: [rows, tokens], padded on the right.
            features: [image tokens of all rows in order, width].
            attention_mask: [rows, 1, tokens, tokens] additive, or None for causal.
            position_ids: [rows, tokens], or None for 0, 1, 2, ...
        """
        ...

    def language_inputs(self, input_ids: Tensor, features: Tensor, position_ids: Tensor | None = None) -> tuple[dict[str, Any], Tensor]:
        """Return what the language model takes (`inputs_embeds`, `position_ids`, ...), and the shift of later positions [rows].

        `position_ids` count a row's tokens; what follows a row of n tokens stands at n plus the shift.
        """
        ...

    def attention(self, input_ids: Tensor, allowed: Tensor | None, position_ids: Tensor | None) -> Any:
        """Return the language model's mask for what is `allowed` [rows, 1, tokens, tokens], or for causal rows without padding."""
        ...

    def logits(self, hidden: Tensor) -> Tensor:
        """Return logits [n, vocabulary] of hidden states [n, width]."""
        ...

    def lora_pattern(self) -> str:
        """Return the full-match pattern of the language model's linear layers that LoRA trains."""
        ...

    def language_prefix(self) -> str:
        """Return the path of the language model in `model`, which scopes the training."""
        ...
