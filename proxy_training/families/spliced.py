"""What families share whose image features simply take the image tokens' places in the language model's input embeddings."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor

from proxy_training.families.base import LINEAR_LEAVES, ProcessedImage
from proxy_training.families.limits import limited
from sources.canonical import content_hash


class SplicedBase:
    """A loaded model; families say where its parts are and how an image becomes features."""

    family: ClassVar[str]
    LANGUAGE: ClassVar[str]  # path of the language model
    not_plain: ClassVar[str] = ""
    crowd_differs: ClassVar[bool] = False
    IMAGE_PROCESSOR: ClassVar[str] = ""  # of transformers, where the whole processor would want torchvision, for videos

    def __init__(self, folder: Path, dtype: torch.dtype, device: torch.device, sharded: bool = False, image_limit: int = 0) -> None:
        from transformers import AutoModelForImageTextToText

        self.model: Any = AutoModelForImageTextToText.from_pretrained(
            folder,
            dtype=dtype,
            attn_implementation=self.attention_kind(folder),
            use_safetensors=True,
            trust_remote_code=False,
            device_map="auto" if sharded else device,  # accelerate's: layers are spread, and values move between them by hooks
        )
        self.model.requires_grad_(False).eval()
        self.processor: Any = self.load_processor(folder)
        set_limit(self.processor.image_processor, self.family, image_limit)
        self.device = self.model.get_input_embeddings().weight.device
        self.image_token_id = int(self.model.config.image_token_id)
        self.pad_token_id = int(self.processor.tokenizer.pad_token_id or 0)
        settings = json.loads(self.processor.image_processor.to_json_string())
        self.processor_digest = content_hash([self.family, self.border(), settings])

    def attention_kind(self, folder: Path) -> str | dict[str, str]:
        """Return the attention to load the model with: the fused one."""
        return "sdpa"

    def load_processor(self, folder: Path) -> Any:
        """Load the processor, or of it what images and texts need: `image_processor` and `tokenizer`."""
        import transformers
        from transformers import AutoProcessor, AutoTokenizer

        if self.IMAGE_PROCESSOR:
            image_processor = getattr(transformers, self.IMAGE_PROCESSOR).from_pretrained(folder)
            return SimpleNamespace(
                image_processor=image_processor, tokenizer=AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            )
        return AutoProcessor.from_pretrained(folder, trust_remote_code=False)

    def border(self) -> tuple[int, ...]:
        """Return the colour put around an image that the processor would stretch or crop: its mean, which becomes zero."""
        return tuple(int(255 * float(mean)) for mean in self.processor.image_processor.image_mean)

    def letterboxed(self, image: Image.Image) -> Image.Image:
        """Return the image centred on the smallest square that holds it."""
        return letterbox(image, self.border())

    def hidden(
        self, input_ids: Tensor, features: Tensor, attention_mask: Tensor | None = None, position_ids: Tensor | None = None
    ) -> Tensor:
        """Put the features in the image tokens' places and run the language model."""
        inputs, _ = self.language_inputs(input_ids, features, position_ids)
        mask = self.attention(input_ids, attention_mask, position_ids)
        out = self.model.get_submodule(self.LANGUAGE)(**inputs, attention_mask=mask, use_cache=False)
        return out.last_hidden_state.to(self.device)  # type: ignore[no-any-return]

    def language_inputs(self, input_ids: Tensor, features: Tensor, position_ids: Tensor | None = None) -> tuple[dict[str, Any], Tensor]:
        """Return what the language model takes, and by how much positions behind the rows are shifted: not at all."""
        is_image = input_ids == self.image_token_id
        # An image token may lie behind the vocabulary; what stands in its place is overwritten.
        embeds = self.model.get_submodule(self.LANGUAGE).get_input_embeddings()(input_ids.masked_fill(is_image, 0))
        if len(features):
            embeds = embeds.masked_scatter(is_image.unsqueeze(-1), features.to(embeds.dtype))
        return {"inputs_embeds": embeds, "position_ids": position_ids}, input_ids.new_zeros(len(input_ids))

    def attention(self, input_ids: Tensor, allowed: Tensor | None, position_ids: Tensor | None) -> Any:
        """Return what is allowed as it is."""
        return allowed

    def logits(self, hidden: Tensor) -> Tensor:
        """Apply the language-model head, in fp32 for the softmax that follows."""
        return self.model.lm_head(hidden).float().to(self.device)  # type: ignore[no-any-return]

    def lora_pattern(self) -> str:
        """Return the linear layers of attention and MLP, by their full paths."""
        return rf"{re.escape(self.LANGUAGE)}\..*\.({'|'.join(LINEAR_LEAVES)})"

    def language_prefix(self) -> str:
        """Return where the language model sits."""
        return self.LANGUAGE

    def process_image(self, image: Image.Image) -> ProcessedImage:
        """Turn a loaded image into the tower's input, keeping its aspect ratio."""
        raise NotImplementedError

    def process_crowded(self, image: Image.Image) -> ProcessedImage:
        """Turn an image of a row with several into the tower's input: as if it were alone."""
        return self.process_image(image)

    def encode_images(self, images: Sequence[ProcessedImage]) -> list[Tensor]:
        """Run tower and connector: for each image its features [image tokens, width]."""
        raise NotImplementedError


def set_limit(image_processor: Any, family: str, limit: int) -> None:
    """Make an image processor keep to a limit (0: its own)."""
    for name, value in limited(family, json.loads(image_processor.to_json_string()), limit).items():
        setattr(image_processor, name, value)


def letterbox(image: Image.Image, colour: tuple[int, ...]) -> Image.Image:
    """Return the image centred on the smallest square that holds it."""
    side = max(image.size)
    if image.size == (side, side):
        return image
    square = Image.new("RGB", (side, side), colour)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square
