"""Tiny random models of the supported families, saved as ordinary folders with the bundled proxy's tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from proxy_training.proxies import BUNDLED

LLAVA_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] | upper }}: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% else %}\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT: {% endif %}"
)
QWEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXT = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2}
VISION = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}


def build(family: str, folder: Path) -> Path:
    """Save a tiny random model and return its folder."""
    torch.manual_seed(0)
    makers = {
        "gemma3": _gemma3,
        "internvl": _internvl,
        "llava_onevision": _llava_onevision,
        "smolvlm": _smolvlm,
        "llava": _llava,
        "llava-qwen3": _llava_qwen3,
        "idefics3": _idefics3,
        "paligemma": _paligemma,
        "paligemma2": _paligemma2,
        "llava_next": _llava_next,
        "aya_vision": _aya_vision,
    }
    model, processor = makers[family]() if family in makers else _qwen_vl(family)
    for name, weight in model.named_parameters():  # large enough that images and positions matter
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.08)
        elif "norm" in name or name.endswith("bias"):
            weight.data.add_(0.1 * torch.randn_like(weight))
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(BUNDLED)


def _smolvlm() -> tuple[Any, Any]:
    """As SmolVLM2 is published: its whole processor wants packages for videos."""
    from transformers import SmolVLMConfig, SmolVLMForConditionalGeneration, SmolVLMImageProcessorPil

    tokenizer = _tokenizer()
    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id}
    config = SmolVLMConfig(
        vision_config={**VISION, "model_type": "smolvlm_vision"},
        text_config={"model_type": "llama", "vocab_size": len(tokenizer), "head_dim": 16, "max_position_embeddings": 512, **ids, **TEXT},
        scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        tie_word_embeddings=False,
        pad_token_id=tokenizer.pad_token_id,
    )
    image_processor = SmolVLMImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    return SmolVLMForConditionalGeneration(config), _Parts(tokenizer, image_processor, _SequenceLength(4))


def _llava_of(text_config: Any) -> tuple[Any, Any]:
    from transformers import CLIPImageProcessor, CLIPVisionConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

    tokenizer = _tokenizer()
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**VISION),
        text_config=text_config,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=16,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
    )
    image_processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor = LlavaProcessor(
        image_processor,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=LLAVA_TEMPLATE,
    )
    return LlavaForConditionalGeneration(config), processor


def _llava() -> tuple[Any, Any]:
    """Qwen2 as language model: biases on the projections, and fewer key and value heads."""
    from transformers import Qwen2Config

    return _llava_of(Qwen2Config(vocab_size=len(_tokenizer()), max_position_embeddings=512, tie_word_embeddings=False, **TEXT))


def _llava_qwen3() -> tuple[Any, Any]:
    """Qwen3 as language model: norms on queries and keys, and a head width of its own."""
    from transformers import Qwen3Config

    return _llava_of(Qwen3Config(vocab_size=len(_tokenizer()), max_position_embeddings=512, head_dim=24, tie_word_embeddings=False, **TEXT))


def _internvl() -> tuple[Any, Any]:
    from transformers import GotOcr2ImageProcessorPil, InternVLConfig, InternVLForConditionalGeneration

    tokenizer = _tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<img>", "</img>", "<IMG_CONTEXT>"]})
    tokenizer.add_special_tokens({"eos_token": "<|im_end|>"})
    tokenizer.chat_template = QWEN_TEMPLATE.replace("<|vision_start|><|image_pad|><|vision_end|>", "<IMG_CONTEXT>\n")
    vision = {**VISION, "image_size": [32, 32], "patch_size": [8, 8]}
    config = InternVLConfig(
        vision_config=vision,
        text_config={"model_type": "qwen2", "vocab_size": len(tokenizer), "max_position_embeddings": 512, **TEXT},
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        downsample_ratio=0.5,
        tie_word_embeddings=False,
    )
    image_processor = GotOcr2ImageProcessorPil(size={"height": 32, "width": 32}, max_patches=4)
    return InternVLForConditionalGeneration(config), _Parts(tokenizer, image_processor)


def _llava_onevision() -> tuple[Any, Any]:
    from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration, LlavaOnevisionImageProcessorPil

    tokenizer = _tokenizer()
    tokenizer.chat_template = LLAVA_TEMPLATE
    grids = [[32, 32], [32, 64], [64, 32], [64, 64], [96, 64]]
    config = LlavaOnevisionConfig(
        vision_config={"model_type": "siglip_vision_model", **VISION},
        text_config={"model_type": "qwen2", "vocab_size": len(tokenizer), "max_position_embeddings": 512, **TEXT},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=grids,
        vision_aspect_ratio="anyres_max_3",
        tie_word_embeddings=False,
    )
    image_processor = LlavaOnevisionImageProcessorPil(size={"height": 32, "width": 32}, image_grid_pinpoints=grids)
    return LlavaOnevisionForConditionalGeneration(config), _Parts(tokenizer, image_processor)


def _gemma3() -> tuple[Any, Any]:
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration, Gemma3ImageProcessorPil

    tokenizer = _tokenizer()
    marks = ["<start_of_turn>", "<start_of_image>", "<image_soft_token>", "<end_of_image>"]
    tokenizer.add_special_tokens({"additional_special_tokens": marks})
    tokenizer.add_special_tokens({"eos_token": "<end_of_turn>"})
    tokenizer.chat_template = (
        QWEN_TEMPLATE.replace("<|vision_start|><|image_pad|><|vision_end|>", "<start_of_image>")
        .replace("<|im_start|>", "<start_of_turn>")
        .replace("<|im_end|>", "<end_of_turn>")
    )
    text = {"vocab_size": len(tokenizer), "max_position_embeddings": 512, "head_dim": 16, "sliding_window": 12, **TEXT}
    config = Gemma3Config(
        text_config={**text, "query_pre_attn_scalar": 16, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]},
        vision_config={"model_type": "siglip_vision_model", **VISION},
        mm_tokens_per_image=4,
        image_token_id=tokenizer.convert_tokens_to_ids("<image_soft_token>"),
        boi_token_id=tokenizer.convert_tokens_to_ids("<start_of_image>"),
        eoi_token_id=tokenizer.convert_tokens_to_ids("<end_of_image>"),
    )
    return Gemma3ForConditionalGeneration(config), _Parts(tokenizer, Gemma3ImageProcessorPil(size={"height": 32, "width": 32}))


def _idefics3() -> tuple[Any, Any]:
    """Images cut into tiles, unlike the bundled proxy's."""
    from transformers import AutoProcessor, Idefics3Config, Idefics3ForConditionalGeneration

    tokenizer = _tokenizer()
    config = Idefics3Config(
        vision_config={**VISION, "model_type": "idefics3_vision"},
        text_config={"model_type": "llama", "vocab_size": len(tokenizer), "head_dim": 16, "max_position_embeddings": 512, **TEXT},
        scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        tie_word_embeddings=False,
        pad_token_id=tokenizer.pad_token_id,
    )
    processor = AutoProcessor.from_pretrained(BUNDLED)
    processor.image_processor.do_image_splitting = True
    processor.image_processor.size = {"longest_edge": 64}
    processor.image_processor.max_image_size = {"longest_edge": 32}
    processor.image_seq_len = 4
    return Idefics3ForConditionalGeneration(config), processor


def _paligemma_of(text_config: Any) -> tuple[Any, Any]:
    from transformers import PaliGemmaConfig, PaliGemmaForConditionalGeneration, SiglipImageProcessorPil

    tokenizer = _paligemma_tokenizer()
    config = PaliGemmaConfig(
        text_config=text_config,
        vision_config={"model_type": "siglip_vision_model", "vision_use_head": False, **VISION},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        projection_dim=64,
    )
    image_processor = SiglipImageProcessorPil(size={"height": 32, "width": 32})
    image_processor.image_seq_length = 16
    return PaliGemmaForConditionalGeneration(config), _Parts(tokenizer, image_processor)


def _paligemma_tokenizer() -> Any:
    """No chat template, and a begin token that the tokenizer puts before every text by itself, as Gemma's does."""
    from tokenizers.processors import TemplateProcessing

    tokenizer = _tokenizer()
    tokenizer.chat_template = None
    begin, number = tokenizer.bos_token, tokenizer.bos_token_id
    tokenizer._tokenizer.post_processor = TemplateProcessing(
        single=f"{begin} $A", pair=f"{begin} $A $B:1", special_tokens=[(begin, number)]
    )
    return tokenizer


def _paligemma() -> tuple[Any, Any]:
    from transformers import GemmaConfig

    return _paligemma_of(GemmaConfig(vocab_size=len(_tokenizer()), max_position_embeddings=512, head_dim=16, **TEXT))


def _paligemma2() -> tuple[Any, Any]:
    """Gemma2 as language model: windows, and caps on attention scores and logits."""
    from transformers import Gemma2Config

    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    own = {"head_dim": 16, "sliding_window": 12, "query_pre_attn_scalar": 16, "layer_types": kinds}
    caps = {"attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0}
    return _paligemma_of(Gemma2Config(vocab_size=len(_tokenizer()), max_position_embeddings=512, **own, **caps, **TEXT))


def _llava_next() -> tuple[Any, Any]:
    """Of a family that has no module here."""
    from transformers import LlavaNextConfig, LlavaNextForConditionalGeneration, LlavaNextImageProcessorPil, LlavaNextProcessor

    tokenizer, grids = _tokenizer(), [[32, 64], [64, 32], [64, 64]]
    config = LlavaNextConfig(
        vision_config={"model_type": "clip_vision_model", **VISION},
        text_config={"model_type": "mistral", "vocab_size": len(tokenizer), "max_position_embeddings": 512, "head_dim": 16, **TEXT},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=grids,
        image_seq_length=16,
        tie_word_embeddings=False,
    )
    sides = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    processor = LlavaNextProcessor(
        LlavaNextImageProcessorPil(image_grid_pinpoints=grids, **sides),
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=LLAVA_TEMPLATE,
    )
    return LlavaNextForConditionalGeneration(config), processor


def _aya_vision() -> tuple[Any, Any]:
    """Of a family that has no module here: tiles, and a language model whose attention and MLP run side by side."""
    from transformers import AyaVisionConfig, AyaVisionForConditionalGeneration, AyaVisionProcessor, GotOcr2ImageProcessorPil

    tokenizer = _tokenizer()
    marks = ["<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>", "<|IMG_LINE_BREAK|>", "TILE", "TILE_GLOBAL"]
    tokenizer.add_special_tokens({"additional_special_tokens": marks})
    text = {"model_type": "cohere2", "vocab_size": len(tokenizer), "max_position_embeddings": 512, "sliding_window": 16, **TEXT}
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = AyaVisionConfig(
        vision_config={"model_type": "siglip_vision_model", "vision_use_head": False, **VISION},
        text_config=text | ids,
        image_token_id=tokenizer.convert_tokens_to_ids("<|IMG_PATCH|>"),
        downsample_factor=2,
        adapter_layer_norm_eps=1e-6,
    )
    processor = AyaVisionProcessor(
        GotOcr2ImageProcessorPil(size={"height": 32, "width": 32}, max_patches=4, crop_to_patches=True),
        tokenizer,
        patch_size=8,
        img_size=32,
        downsample_factor=2,
        chat_template=LLAVA_TEMPLATE,
    )
    return AyaVisionForConditionalGeneration(config), processor


class _SequenceLength:
    """The one line of a SmolVLM processor's own settings."""

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens

    def save_pretrained(self, folder: Path) -> None:
        settings = {"image_seq_len": self._tokens, "processor_class": "SmolVLMProcessor"}
        (folder / "processor_config.json").write_text(json.dumps(settings), "utf-8")


class _Parts:
    """Saves what a processor is made of: the whole one wants torchvision."""

    def __init__(self, *parts: Any) -> None:
        self._parts = parts

    def save_pretrained(self, folder: Path) -> None:
        for part in self._parts:
            part.save_pretrained(folder)


def _qwen_vl(family: str) -> tuple[Any, Any]:
    import transformers

    tokenizer = _tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>"]})
    tokenizer.add_special_tokens({"eos_token": "<|im_end|>"})
    tokenizer.chat_template = QWEN_TEMPLATE
    sections = {"mrope_section": [4, 2, 2], "rope_type": "default", "rope_theta": 10000.0}
    text = {"vocab_size": len(tokenizer), "max_position_embeddings": 512, "rope_parameters": sections, "head_dim": 16, **TEXT}
    vision = {"depth": 3, "num_heads": 2, "patch_size": 8, "spatial_merge_size": 2, "temporal_patch_size": 2}
    name = {"qwen2_vl": "Qwen2VL", "qwen2_5_vl": "Qwen2_5_VL", "qwen3_vl": "Qwen3VL"}[family]
    if family == "qwen2_vl":
        vision |= {"embed_dim": 32, "hidden_size": 64, "mlp_ratio": 2}
    else:
        vision |= {"hidden_size": 32, "out_hidden_size": 64, "intermediate_size": 48}
    if family == "qwen2_5_vl":
        vision |= {"window_size": 32, "fullatt_block_indexes": [1]}
    if family == "qwen3_vl":
        vision |= {"deepstack_visual_indexes": [0, 1], "num_position_embeddings": 64}
    ids = {f"{kind}_token_id": tokenizer.convert_tokens_to_ids(f"<|{kind}_pad|>") for kind in ("image",)}
    marks = {f"vision_{edge}_token_id": tokenizer.convert_tokens_to_ids(f"<|vision_{edge}|>") for edge in ("start", "end")}
    config = getattr(transformers, f"{name}Config")(text_config=text, vision_config=vision, tie_word_embeddings=False, **ids, **marks)
    bounds = {"shortest_edge": 16 * 16 * 4, "longest_edge": 16 * 16 * 12}
    image_processor = transformers.Qwen2VLImageProcessorPil(size=bounds, patch_size=8, merge_size=2, temporal_patch_size=2)
    return getattr(transformers, f"{name}ForConditionalGeneration")(config), _Parts(tokenizer, image_processor)
