"""How many tokens an image takes and the text that stands for it, from its size and the processor's config, without torch.

Budgets are counted in tokens before anything is loaded; the tests hold this to the processors' own answer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, Protocol

from proxy_training.chat import ChatEncoder
from proxy_training.families.generic_processor import generic_expansion, generic_image_mark
from proxy_training.families.limits import limited
from proxy_training.families.registry import GENERIC, family_of, image_token_of
from proxy_training.prefix_form import PrefixEncoder
from sources.images import load_image
from sources.problems import Problem, RowError
from sources.sample import ImageRef, Sample

QWEN_MOST_ASPECT = 200
GLOBAL_TAG = "<global-img>"
FAKE_TOKEN = "<fake_token_around_image>"


class ImageText(Protocol):
    """One family's placeholder arithmetic, for a folder and a limit on images (0: the folder's own)."""

    crowd: str = ""  # the text of an image in a row of several, where that is another

    @property
    def needs_size(self) -> bool:
        """Say whether the number of tokens depends on the image's size."""
        ...

    def expansion(self, width: int, height: int) -> str:
        """Return the text that the processor puts in the place of an image of this size (pixels)."""
        ...


class Idefics3ImageText(ImageText):
    """The placeholder arithmetic of transformers' Idefics3Processor and Idefics3ImageProcessor."""

    def __init__(self, folder: Path, limit: int = 0) -> None:
        self._folder, self._limit = folder, limit

    @cached_property
    def _config(self) -> dict[str, Any]:
        return _processor_config(self._folder, self._limit)

    @property
    def needs_size(self) -> bool:
        """Say whether the number of tokens depends on the image's size."""
        return bool(self._config.get("do_image_splitting", True))

    def expansion(self, width: int, height: int) -> str:
        """Return the text that the processor puts in the place of an image of this size (pixels)."""
        return self.of_grid(*(self._grid(width, height) if self.needs_size else (0, 0)))

    def of_grid(self, rows: int, cols: int) -> str:
        """Return the text of an image cut into rows and columns of tiles, 0 where it is not cut."""
        tokens = "<image>" * int(self._config["image_seq_len"])
        whole = f"{FAKE_TOKEN}{GLOBAL_TAG}{tokens}{FAKE_TOKEN}"
        if rows == 0:
            return whole
        lines = ("".join(f"{FAKE_TOKEN}<row_{r + 1}_col_{c + 1}>{tokens}" for c in range(cols)) + "\n" for r in range(rows))
        return "".join(lines) + f"\n{whole}"

    def _grid(self, width: int, height: int) -> tuple[int, int]:
        longest, tile = int(self._config["size"]["longest_edge"]), int(self._config["max_image_size"]["longest_edge"])
        width, height = _up_to_tiles(*_resized(width, height, longest), tile)
        if width > tile or height > tile:
            return math.ceil(height / tile), math.ceil(width / tile)
        return 0, 0


def _resized(width: int, height: int, longest: int) -> tuple[int, int]:
    aspect = width / height
    if width >= height:
        width, height = longest, int(longest / aspect)
        height += height % 2
    else:
        width, height = int(longest * aspect), longest
        width += width % 2
    return max(width, 1), max(height, 1)


def _up_to_tiles(width: int, height: int, tile: int) -> tuple[int, int]:
    aspect = width / height
    if width >= height:
        width = math.ceil(width / tile) * tile
        height = math.ceil(int(width / aspect) / tile) * tile
    else:
        height = math.ceil(height / tile) * tile
        width = math.ceil(int(height * aspect) / tile) * tile
    return width, height


class LlavaImageText(ImageText):
    """The placeholder arithmetic of transformers' LlavaProcessor: every image takes the same number of tokens."""

    needs_size = False

    def __init__(self, folder: Path, limit: int = 0) -> None:
        self._config = _processor_config(folder, limit)

    def expansion(self, width: int, height: int) -> str:
        """Return the text that the processor puts in the place of an image."""
        config = self._config
        size = config.get("crop_size") or config["size"]
        side = (int(size["height"]), int(size["width"])) if "height" in size else (int(size["shortest_edge"]),) * 2
        patch = int(config["patch_size"])
        tokens = (side[0] // patch) * (side[1] // patch) + int(config.get("num_additional_image_tokens", 0))
        return str(config.get("image_token", "<image>")) * (tokens - (config.get("vision_feature_select_strategy") == "default"))


class Gemma3ImageText(ImageText):
    """The placeholder arithmetic of transformers' Gemma3Processor: every image takes the same number of tokens."""

    needs_size = False

    def __init__(self, folder: Path, limit: int = 0) -> None:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        self._tokens = int(config.get("mm_tokens_per_image", 256))

    def expansion(self, width: int, height: int) -> str:
        """Return the text that the processor puts in the place of an image."""
        return gemma3_expansion(self._tokens)


class PaliGemmaImageText(ImageText):
    """The placeholder arithmetic of transformers' PaliGemmaProcessor: every image takes the same number of tokens."""

    needs_size = False

    def __init__(self, folder: Path, limit: int = 0) -> None:
        self._tokens = paligemma_tokens(json.loads((folder / "config.json").read_text("utf-8")))

    def expansion(self, width: int, height: int) -> str:
        """Return the text that the processor puts in the place of an image."""
        return "<image>" * self._tokens


def paligemma_tokens(config: dict[str, Any]) -> int:
    """Return the tokens of an image, from a model's config."""
    vision = config["vision_config"]
    return int((vision.get("image_size", 224) // vision.get("patch_size", 14)) ** 2)


def gemma3_expansion(tokens: int) -> str:
    """Return the text that stands for an image of so many tokens."""
    return "\n\n<start_of_image>" + "<image_soft_token>" * tokens + "<end_of_image>\n\n"


class LlavaOnevisionImageText(ImageText):
    """The placeholder arithmetic of transformers' LlavaOnevisionProcessor: the whole, and a row's only image in unpadded tiles too."""

    needs_size = True

    def __init__(self, folder: Path, limit: int = 0) -> None:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        vision = config["vision_config"]
        self._side = int(vision["image_size"])
        self._patches = self._side // int(vision["patch_size"])
        self._grids = [(int(height), int(width)) for height, width in _processor_config(folder, limit)["image_grid_pinpoints"]]
        self._most = int(str(config.get("vision_aspect_ratio", "anyres_max_9")).removeprefix("anyres_max_"))
        self._is_default = bool(config.get("vision_feature_select_strategy", "full") == "default")
        self.crowd = "<image>" * (self._patches**2 + 1 - self._is_default)

    def expansion(self, width: int, height: int) -> str:
        """Return the text that the processor puts in the place of an image of this size (pixels)."""
        rows, columns = (self._patches * (side // self._side) for side in self._best(width, height))
        if width / height > columns / rows:
            rows -= (rows - int(round(height * (columns / width), 7))) // 2 * 2
        else:
            columns -= (columns - int(round(width * (rows / height), 7))) // 2 * 2
        ratio = math.sqrt(rows * columns / (self._most * self._patches**2))
        if ratio > 1.1:
            rows, columns = int(rows // ratio), int(columns // ratio)
        return "<image>" * int(self._patches**2 + rows * columns + rows - self._is_default)

    def _best(self, width: int, height: int) -> tuple[int, int]:
        """Return the height and width that keep most of the image and waste least."""

        def kept_and_wasted(grid: tuple[int, int]) -> tuple[int, int]:
            scale = min(grid[1] / width, grid[0] / height)
            kept = min(int(width * scale) * int(height * scale), width * height)
            return kept, kept - grid[0] * grid[1]

        return max(self._grids, key=kept_and_wasted)


class QwenVLImageText(ImageText):
    """The placeholder arithmetic of transformers' Qwen2VLImageProcessor: as many tokens as the image has blocks of merged patches."""

    needs_size = True

    def __init__(self, folder: Path, limit: int = 0) -> None:
        config = _processor_config(folder, limit)
        self._factor = int(config["patch_size"]) * int(config["merge_size"])
        size = config.get("size") or {}
        self._least = int(size.get("shortest_edge") or config.get("min_pixels") or 56 * 56)
        self._most = int(size.get("longest_edge") or config.get("max_pixels") or 28 * 28 * 1280)
        self._token = image_token_of(family_of(folder))

    def expansion(self, width: int, height: int) -> str:
        """Return the text that the processor puts in the place of an image of this size (pixels).

        Raises:
            RowError: it is longer than the processor takes.
        """
        if max(width, height) > QWEN_MOST_ASPECT * min(width, height):
            raise RowError(Problem.IMAGE_TOO_LARGE, f"{width} x {height}: more than {QWEN_MOST_ASPECT} times as long as wide")
        factor = self._factor
        rows, columns = round(height / factor) * factor, round(width / factor) * factor
        if rows * columns > self._most:
            shrink = math.sqrt(height * width / self._most)
            rows = max(factor, math.floor(height / shrink / factor) * factor)
            columns = max(factor, math.floor(width / shrink / factor) * factor)
        elif rows * columns < self._least:
            grow = math.sqrt(self._least / (height * width))
            rows, columns = math.ceil(height * grow / factor) * factor, math.ceil(width * grow / factor) * factor
        return self._token * (rows // factor * (columns // factor))


class InternVLImageText(ImageText):
    """The placeholder arithmetic of transformers' InternVLProcessor: tiles of the grid nearest in shape, and a thumbnail."""

    needs_size = True

    def __init__(self, folder: Path, limit: int = 0) -> None:
        config = _processor_config(folder, limit)
        self._side = (int(config["size"]["height"]), int(config["size"]["width"]))
        self._bounds = (int(config.get("min_patches", 1)), int(config.get("max_patches", 12)))
        self._tokens = internvl_tokens(json.loads((folder / "config.json").read_text("utf-8")))

    def expansion(self, width: int, height: int) -> str:
        """Return the text that the processor puts in the place of an image of this size (pixels)."""
        columns, rows = self._grid(width, height)
        return internvl_expansion(self._tokens * (rows * columns + (rows * columns > 1)))

    def _grid(self, width: int, height: int) -> tuple[int, int]:
        least, most = self._bounds
        sides = range(1, most + 1)
        grids = sorted(((c, r) for c in sides for r in sides if least <= c * r <= most), key=lambda grid: grid[0] * grid[1])
        best, nearest = (1, 1), math.inf
        for columns, rows in grids:
            off = abs(width / height - columns / rows)
            large = width * height > 0.5 * self._side[0] * self._side[1] * columns * rows
            if off < nearest or (off == nearest and large):
                best, nearest = (columns, rows), off
        return best


class GenericImageText(ImageText):
    """What an unknown family's processor answers for an image of a size; asked once a size, because nothing else is known of it."""

    needs_size = True

    def __init__(self, folder: Path, limit: int = 0) -> None:
        self._expansion = lru_cache(maxsize=None)(partial(generic_expansion, folder))

    def expansion(self, width: int, height: int) -> str:
        """Return the text that the processor puts in the place of an image of this size (pixels)."""
        return self._expansion(width, height)


def internvl_tokens(config: dict[str, Any]) -> int:
    """Return the tokens of a tile, from a model's config."""
    vision = config["vision_config"]
    sizes = [vision[name] if isinstance(vision[name], list | tuple) else [vision[name]] * 2 for name in ("image_size", "patch_size")]
    rows, columns = (side // patch for side, patch in zip(*sizes, strict=True))
    return int(rows * columns * float(config.get("downsample_ratio", 0.5)) ** 2)


def internvl_expansion(tokens: int) -> str:
    """Return the text that stands for an image of so many tokens."""
    return "<img>" + "<IMG_CONTEXT>" * tokens + "</img>"


def _processor_config(folder: Path, limit: int = 0) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for name in ("preprocessor_config.json", "processor_config.json"):
        path = folder / name
        if path.is_file():
            config = json.loads(path.read_text("utf-8"))
            merged |= config.get("image_processor", {}) | {k: v for k, v in config.items() if k != "image_processor"}
    return merged | limited(family_of(folder), merged, limit) if limit else merged


IMAGE_TEXTS: dict[str, Callable[[Path, int], ImageText]] = {
    "idefics3": Idefics3ImageText,
    "smolvlm": Idefics3ImageText,
    "llava": LlavaImageText,
    "gemma3": Gemma3ImageText,
    "internvl": InternVLImageText,
    "generic": GenericImageText,
    "paligemma": PaliGemmaImageText,
    "llava_onevision": LlavaOnevisionImageText,
    "qwen2_vl": QwenVLImageText,
    "qwen2_5_vl": QwenVLImageText,
    "qwen3_vl": QwenVLImageText,
}


def encoder_of(folder: Path, family: str) -> ChatEncoder:
    """Return what encodes a family's conversations.

    Raises:
        ProxyError: an unknown family's processor cannot be used.
    """
    if family == "paligemma":
        return PrefixEncoder(folder)
    return ChatEncoder(folder, generic_image_mark(folder) if family == GENERIC else image_token_of(family))


def token_counter(folder: Path, image_limit: int = 0) -> Callable[[Sample], int]:
    """Return a function that counts a sample's tokens, images included, as the proxy's processor makes them."""
    family = family_of(folder)
    encoder, images = encoder_of(folder, family), IMAGE_TEXTS[family](folder, image_limit)
    fixed = None if images.needs_size else images.expansion(1, 1)

    def expansion(ref: ImageRef, crowd: str) -> str:
        return crowd or (fixed if fixed is not None else images.expansion(*load_image(ref).size))

    def count(sample: Sample) -> int:
        crowd = images.crowd if len(sample.images) > 1 else ""
        return len(encoder.encode(sample.turns, [expansion(ref, crowd) for ref in sample.images]).input_ids)

    return count
