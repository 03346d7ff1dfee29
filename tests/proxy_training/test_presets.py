"""Presets: each has a reason for each setting, their token counts are what they say, and a folder can take the hub's place."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tiny_models import build

from proxy_training.families.registry import FAMILIES
from proxy_training.image_text import IMAGE_TEXTS
from proxy_training.presets import presets
from proxy_training.proxies import ProxyError, proxy_names, proxy_spec

SETTINGS = {"scope", "image_limit", "max_length", "rank", "learning_rate", "default_tokens"}
ONEVISION_GRIDS = [[384 * rows, 384 * columns] for rows in range(1, 7) for columns in range(1, 7)]
# What decides the number of tokens, as the hub's folders have it: config.json, and the processor's settings.
PUBLISHED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "smolvlm-256m": ({}, {"size": {"longest_edge": 2048}, "max_image_size": {"longest_edge": 512}, "image_seq_len": 64}),
    "smolvlm2-2.2b": ({}, {"size": {"longest_edge": 1536}, "max_image_size": {"longest_edge": 384}, "image_seq_len": 81}),
    "qwen2-vl-2b": ({}, {"patch_size": 14, "merge_size": 2, "min_pixels": 3136, "max_pixels": 12845056}),
    "qwen3-vl-2b": ({}, {"patch_size": 16, "merge_size": 2, "size": {"shortest_edge": 65536, "longest_edge": 16777216}}),
    "internvl3-1b": (
        {"vision_config": {"image_size": [448, 448], "patch_size": [14, 14]}, "downsample_ratio": 0.5},
        {"size": {"height": 448, "width": 448}, "max_patches": 12},
    ),
    "llava-onevision-0.5b": (
        {"vision_config": {"image_size": 384, "patch_size": 14}, "vision_aspect_ratio": "anyres_max_9"},
        {"size": {"height": 384, "width": 384}, "image_grid_pinpoints": ONEVISION_GRIDS},
    ),
    "llava-1.5-7b": (
        {},
        {
            "crop_size": {"height": 336, "width": 336},
            "patch_size": 14,
            "num_additional_image_tokens": 1,
            "vision_feature_select_strategy": "default",
        },
    ),
    "paligemma2-3b": ({"vision_config": {"image_size": 224, "patch_size": 14}}, {}),
    "gemma3-4b": ({"mm_tokens_per_image": 256}, {}),
}
SIZES = [(224, 224), (640, 480), (480, 640), (1000, 1000), (1024, 1024), (2000, 1000), (4000, 3000), (300, 4000), (3000, 200)]


def most_tokens(folder: Path, name: str, limit: int) -> int:
    """The most image tokens that an image of many sizes takes."""
    config, processor = PUBLISHED[name]
    family = presets()[name].family
    (folder / "config.json").write_text(json.dumps({"model_type": family} | config))
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    text = IMAGE_TEXTS[family](folder, limit)
    token = {"gemma3": "<image_soft_token>", "internvl": "<IMG_CONTEXT>"}.get(family, "<|image_pad|>" if "qwen" in family else "<image>")
    return max(text.expansion(*size).count(token) for size in SIZES)


@pytest.mark.parametrize("name", PUBLISHED)
def test_image_tokens_are_what_the_reason_says(name: str, tmp_path: Path) -> None:
    preset = presets()[name]
    said = [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*\d", dict(preset.why)["image_limit"])]
    found = most_tokens(tmp_path, name, preset.image_limit)
    assert found in said
    assert found + 100 <= preset.max_length
    if preset.image_limit:
        own = most_tokens(tmp_path, name, 0)
        assert own > 2 * found
        assert own in said or name.startswith(("llava-onevision", "qwen"))


def test_every_preset_gives_a_reason_for_every_setting() -> None:
    for preset in presets().values():
        assert {name for name, reason in preset.why if len(reason) > 20} == SETTINGS, preset.name
        assert preset.family in FAMILIES
        assert re.fullmatch(r"[\w-]+/[\w.-]+", preset.hub_id)
        assert preset.recipe().alpha == 2 * preset.rank
    assert {preset.family for preset in presets().values()} == set(FAMILIES)
    assert proxy_names() == ("tiny", *presets())


def test_a_preset_takes_its_model_from_a_folder(tmp_path: Path) -> None:
    folder = build("internvl", tmp_path / "model")
    spec = proxy_spec(f"internvl3-1b@{folder}")
    preset = presets()["internvl3-1b"]
    assert (spec.name, spec.path, spec.recipe) == ("internvl3-1b", str(folder), preset.recipe())
    assert (spec.default_tokens, spec.image_limit) == (preset.default_tokens, 4)
    assert spec.weights_hash != proxy_spec(str(folder)).weights_hash, "images are cut otherwise, so its trainings are others"
    with pytest.raises(ProxyError, match="is of the family internvl, and gemma3-4b of gemma3"):
        proxy_spec(f"gemma3-4b@{folder}")
    with pytest.raises(ProxyError, match="there is no folder"):
        proxy_spec(f"gemma3-4b@{tmp_path / 'nowhere'}")


def test_a_name_that_is_nearly_right_is_guessed() -> None:
    with pytest.raises(ProxyError, match=r"did you mean 'qwen2.5-vl-3b'\?"):
        proxy_spec("qwen2.5-vl")
