"""The shape of `tiny`: an Idefics3 whose vision tower may be large, since its features are computed once, and whose language
model is small, since every probe trains through it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import GenerationConfig, Idefics3Config, Idefics3ForConditionalGeneration, PreTrainedTokenizerFast
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.idefics3.processing_idefics3 import Idefics3Processor

from proxy_training.bundled.tokenizer import CHAT_TEMPLATE, CONTEXT, IMAGE
from sources.world.scene import CANVAS

MOST_PARAMETERS = 5_000_000


@dataclass(frozen=True, slots=True)
class TinyShape:
    """Widths and depths of both halves; patches are in pixels, and `scale` squared patches become one image token."""

    text_width: int = 128
    text_layers: int = 4
    text_heads: int = 4
    text_inner: int = 384
    vision_width: int = 128
    vision_layers: int = 4
    vision_heads: int = 4
    vision_inner: int = 384
    patch: int = 8
    scale: int = 2

    @property
    def image_tokens(self) -> int:
        """How many tokens one image takes, wrapper tokens not counted."""
        return (CANVAS // self.patch // self.scale) ** 2


def make_processor(tokenizer: PreTrainedTokenizerFast, shape: TinyShape) -> Idefics3Processor:
    """Return the processor: one 64-pixel tile an image, never split."""
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": CANVAS}, max_image_size={"longest_edge": CANVAS}, do_image_splitting=False, return_row_col_info=True
    )
    return Idefics3Processor(images, tokenizer, image_seq_len=shape.image_tokens, chat_template=CHAT_TEMPLATE)


def make_model(tokenizer: PreTrainedTokenizerFast, shape: TinyShape, seed: int) -> Idefics3ForConditionalGeneration:
    """Return a model with random weights that depend on the seed alone."""
    torch.manual_seed(seed)
    model = Idefics3ForConditionalGeneration(_config(tokenizer, shape))
    _widen_weights(model)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    return model


@torch.no_grad()
def _widen_weights(model: Idefics3ForConditionalGeneration) -> None:
    """Scale the initial weights to their fan-in: the family's 0.02 suits widths of a thousand, and at 128 it only delays learning."""
    for name, weight in model.named_parameters():
        if "position_embedding" in name:
            torch.nn.init.normal_(weight, std=0.2)
        elif "embed_tokens" in name:
            torch.nn.init.normal_(weight, std=0.05)
        elif weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.7 / weight[0].numel() ** 0.5)


def _config(tokenizer: PreTrainedTokenizerFast, shape: TinyShape) -> Idefics3Config:
    marks = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")}
    text = {
        "model_type": "llama",
        "hidden_size": shape.text_width,
        "intermediate_size": shape.text_inner,
        "num_hidden_layers": shape.text_layers,
        "num_attention_heads": shape.text_heads,
        "num_key_value_heads": shape.text_heads,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": True,
        **marks,
    }
    vision = {
        "hidden_size": shape.vision_width,
        "intermediate_size": shape.vision_inner,
        "num_hidden_layers": shape.vision_layers,
        "num_attention_heads": shape.vision_heads,
        "image_size": CANVAS,
        "patch_size": shape.patch,
    }
    return Idefics3Config(
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        scale_factor=shape.scale,
        tie_word_embeddings=True,
        vision_config=vision,
        text_config=text,
        **marks,
    )
