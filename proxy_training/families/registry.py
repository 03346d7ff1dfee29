"""Which family a model folder belongs to, and how it is loaded. Torch is imported only when a model is."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proxy_training.jobs import Precision

if TYPE_CHECKING:
    from proxy_training.families.base import LoadedBase

# model_type in config.json -> module:class
FAMILIES = {
    "gemma3": "proxy_training.families.gemma3:Gemma3Base",
    "idefics3": "proxy_training.families.idefics3:Idefics3Base",
    "internvl": "proxy_training.families.internvl:InternVLBase",
    "llava": "proxy_training.families.llava:LlavaBase",
    "llava_onevision": "proxy_training.families.llava_onevision:LlavaOnevisionBase",
    "paligemma": "proxy_training.families.paligemma:PaliGemmaBase",
    "qwen2_5_vl": "proxy_training.families.qwen_vl:Qwen25VLBase",
    "qwen2_vl": "proxy_training.families.qwen_vl:QwenVLBase",
    "qwen3_vl": "proxy_training.families.qwen_vl:Qwen3VLBase",
    "smolvlm": "proxy_training.families.idefics3:SmolVLMBase",
}
GENERIC = "generic"  # any other model of transformers that turns images and text into text

# What stands in a chat template for an image, where it is not `<image>`.
IMAGE_TOKENS = {"gemma3": "<start_of_image>", "internvl": "<IMG_CONTEXT>"} | dict.fromkeys(
    ("qwen2_vl", "qwen2_5_vl", "qwen3_vl"), "<|image_pad|>"
)


GENERIC_WARNING = (
    "the model type of {name} has no module of its own here, so it takes the generic path: image features are not kept but computed at "
    "every use, probes are not stacked, each row and each choice is a forward of its own, and no test holds its tokens and scores to the "
    "model's own; expect it to be many times slower."
)


class ProxyError(Exception):
    """A proxy cannot be used. The message is one sentence with the cure."""


def family_of(folder: Path) -> str:
    """Return the family of a `from_pretrained` folder, from its config; `GENERIC` where transformers alone knows its model type.

    Raises:
        ProxyError: there is no config, or transformers does not know it as such a model either.
    """
    config = folder / "config.json"
    if not config.is_file():
        raise ProxyError(f"{folder} is not a model folder: it has no config.json; give the folder that `save_pretrained` wrote.")
    model_type = str(json.loads(config.read_text("utf-8")).get("model_type", ""))
    if model_type in FAMILIES:
        return model_type
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    if model_type not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        raise ProxyError(
            f"model type {model_type!r} is none that transformers loads as image-text-to-text without code of its own; "
            f"supported: {', '.join(sorted(FAMILIES))}, and others of transformers by a slower generic path."
        )
    return GENERIC


def image_token_of(family: str) -> str:
    """Return the text of a family's image token, as its chat template writes it."""
    return IMAGE_TOKENS.get(family, "<image>")


def load_base(folder: Path, family: str, precision: Precision, device: Any, *, sharded: bool = False, image_limit: int = 0) -> LoadedBase:
    """Load a frozen base model in its precision, from safetensors only, onto a device or sharded over all visible GPUs.

    Images keep to `image_limit` in the family's unit (`families.limits`); 0: as the folder says.

    Raises:
        ProxyError: an unknown family cannot take the generic path.
    """
    import torch

    module, name = (FAMILIES | {GENERIC: "proxy_training.families.generic:GenericBase"})[family].split(":")
    dtype = {Precision.FP32: torch.float32, Precision.BF16: torch.bfloat16}[precision]
    loaded: LoadedBase = getattr(importlib.import_module(module), name)(folder, dtype, torch.device(device), sharded, image_limit)
    return loaded
