"""A model of a family that has no module here: loaded by transformers' auto classes, one row at a time through its own forward.

Nothing of its layout is assumed but that a module holds the text embeddings and not the vision tower: that is the language model.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from proxy_training.families.base import ProcessedImage
from proxy_training.families.generic_processor import KNOWN_ONLY, load_processor, process_images
from proxy_training.families.registry import GENERIC, ProxyError
from sources.canonical import content_hash


class GenericBase:
    """A loaded model of an unknown family."""

    family = GENERIC
    crowd_differs = False

    def __init__(self, folder: Path, dtype: torch.dtype, device: torch.device, sharded: bool = False, image_limit: int = 0) -> None:
        """Load it and find its language model.

        Raises:
            ProxyError: the model or its processor cannot take this path; the message says why.
        """
        from transformers import AutoModelForImageTextToText

        self.processor = load_processor(folder)
        try:
            self.model: Any = AutoModelForImageTextToText.from_pretrained(
                folder, dtype=dtype, use_safetensors=True, trust_remote_code=False, device_map="auto" if sharded else device
            )
        except (ImportError, OSError, ValueError, TypeError, KeyError) as error:
            raise ProxyError(f"the model of {folder.name} cannot be loaded ({str(error).splitlines()[0][:120]}); {KNOWN_ONLY}") from error
        self.model.requires_grad_(False).eval()
        self.device = self.model.get_input_embeddings().weight.device
        self.model_type = str(self.model.config.model_type)
        self.not_plain = f"the family {self.model_type!r} has no module here"
        self.image_token_id = int(self.processor.tokenizer.convert_tokens_to_ids(self.processor.image_token))
        self.pad_token_id = int(self.processor.tokenizer.pad_token_id or 0)
        self.processor_digest = content_hash([self.family, self.processor.image_processor.to_json_string()])
        self._prefix = language_prefix(self.model)

    def process_image(self, image: Image.Image) -> ProcessedImage:
        """Return the text that takes an image's place; its pixels are made anew for each row."""
        return ProcessedImage(torch.zeros(0), process_images(self.processor, [image])[0][0])

    def process_crowded(self, image: Image.Image) -> ProcessedImage:
        """Do the same."""
        return self.process_image(image)

    def row_inputs(self, input_ids: Tensor, images: Sequence[Image.Image], expansions: Sequence[str]) -> dict[str, Any]:
        """Return what the model takes of a row [tokens] with its images.

        Raises:
            ValueError: the processor puts other texts in the images' places together than one by one.
        """
        inputs: dict[str, Any] = {}
        if images:
            texts, inputs = process_images(self.processor, list(images))
            if texts != list(expansions):
                raise ValueError(f"the processor of {self.model_type!r} treats images of one row otherwise than each alone; {KNOWN_ONLY}")
        ids = input_ids[None].to(self.device)
        inputs = {name: self._placed(value) for name, value in inputs.items()}
        if "mm_token_type_ids" in self._accepted:
            inputs["mm_token_type_ids"] = (ids == self.image_token_id).int()
        return inputs | {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

    def _placed(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return value.to(self.device, self.model.dtype) if value.is_floating_point() else value.to(self.device)

    @cached_property
    def _accepted(self) -> frozenset[str]:
        return frozenset(inspect.signature(self.model.forward).parameters)

    def row_logits(self, inputs: dict[str, Any]) -> Tensor:
        """Return the logits of one row [tokens, vocabulary], in fp32."""
        return self.model(**inputs, use_cache=False).logits[0].float().to(self.device)  # type: ignore[no-any-return]

    def lora_pattern(self) -> str:
        """Return the full-match pattern of the language model's linear layers, without the head."""
        head = self.model.get_output_embeddings()
        inside = f"{self._prefix}."
        names = [n for n, m in self.model.named_modules() if n.startswith(inside) and isinstance(m, nn.Linear) and m is not head]
        if not names:
            raise ProxyError(f"the language model of {self.model_type!r} ({self._prefix}) has no linear layer to train; {KNOWN_ONLY}")
        return "|".join(re.escape(name) for name in names)

    def language_prefix(self) -> str:
        """Return where the language model sits."""
        return str(self._prefix)


def language_prefix(model: Any) -> str:
    """Return the path of the module that holds the text embeddings.

    Raises:
        ProxyError: it holds the vision tower too, so that what is language cannot be told from the structure.
    """
    embedding = model.get_input_embeddings()
    path = next(name for name, module in model.named_modules() if module is embedding)
    prefix = path.rpartition(".")[0]
    inside = model.get_submodule(prefix)
    if not prefix or any(isinstance(module, (nn.Conv2d, nn.Conv3d)) for module in inside.modules()):
        raise ProxyError(f"no language model apart from the vision tower was found in {model.config.model_type!r}; {KNOWN_ONLY}")
    return str(prefix)
