"""What an unknown family's own processor says: which text marks an image, and which text takes its place."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from proxy_training.families.registry import ProxyError

REPLACED = "text_replacement_offsets"


@lru_cache(maxsize=4)
def load_processor(folder: Path) -> Any:
    """Load a folder's processor, without code of its own.

    Raises:
        ProxyError: it cannot be loaded, has no chat template, or does not say which text takes an image's place.
    """
    from transformers import AutoProcessor, ProcessorMixin

    try:
        processor = AutoProcessor.from_pretrained(folder, trust_remote_code=False)
    except (ImportError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ProxyError(f"the processor of {folder.name} cannot be loaded ({_first_line(error)}); {KNOWN_ONLY}") from error
    kind = type(processor)
    if not getattr(processor, "image_token", None) or getattr(kind, "replace_image_token", None) is ProcessorMixin.replace_image_token:
        raise ProxyError(f"{kind.__name__} does not say which text takes an image's place, which the generic path needs; {KNOWN_ONLY}")
    if not getattr(processor, "chat_template", None):
        raise ProxyError(f"{folder.name} has no chat template, which the generic path needs; {KNOWN_ONLY}")
    return processor


KNOWN_ONLY = "take a proxy of a family that `probe proxies list` shows."


def generic_image_mark(folder: Path) -> str:
    """Return the text that stands for an image in the folder's chat template."""
    return str(load_processor(folder).image_token)


def generic_expansion(folder: Path, width: int, height: int) -> str:
    """Return the text that the processor puts in the place of an image of this size (pixels)."""
    return process_images(load_processor(folder), [Image.new("RGB", (width, height))])[0][0]


def process_images(processor: Any, images: list[Image.Image]) -> tuple[list[str], dict[str, Any]]:
    """Run the processor on a row's images; return the texts that take their places, and the tensors for the model but those of tokens.

    Raises:
        ProxyError: it returns something by token that this path does not know.
    """
    text = processor.image_token * len(images)
    out = dict(processor(text=[text], images=[images], return_tensors="pt", return_text_replacement_offsets=True))
    texts = [str(place["replacement"]) for place in (out.pop(REPLACED, None) or [[]])[0]]
    if len(texts) != len(images):
        raise ProxyError(f"{type(processor).__name__} does not say which text takes an image's place; {KNOWN_ONLY}")
    shape = out.pop("input_ids").shape
    for known in ("attention_mask", "mm_token_type_ids"):
        out.pop(known, None)
    by_token = [name for name, value in out.items() if getattr(value, "shape", None) == shape]
    if by_token:
        raise ProxyError(f"{type(processor).__name__} returns {', '.join(by_token)}, which the generic path does not know; {KNOWN_ONLY}")
    return texts, out


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
