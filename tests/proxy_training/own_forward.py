"""What a family's own forward takes, so that a row can be run by transformers alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image

from proxy_training.families.base import LoadedBase, ProcessedImage


def processed(base: LoadedBase, images: Sequence[Image.Image]) -> list[ProcessedImage]:
    """A row's images as the family takes them."""
    crowd = len(images) > 1
    return [base.process_crowded(image) if crowd else base.process_image(image) for image in images]


def own_inputs(base: LoadedBase, images: Sequence[ProcessedImage], ids: torch.Tensor, both_ways: int = 0) -> dict[str, torch.Tensor]:
    """What the model's own forward takes beside the ids [1, tokens]."""
    family = base.family
    if family == "paligemma":
        inputs = {"token_type_ids": (torch.arange(ids.shape[1]) >= both_ways).int()[None]}
        return inputs | ({"pixel_values": torch.cat([image.pixels for image in images])} if images else {})
    if not images:
        return {}
    if family == "llava_onevision":
        sizes = torch.tensor([image.grid[1:] for image in images if image.grid])
        return {
            "pixel_values": torch.stack([image.pixels for image in images]),
            "image_sizes": sizes,
            "batch_num_images": torch.tensor([len(images)]),
        }
    if images[0].grid is not None:
        grids = torch.tensor([image.grid for image in images])
        pixels = torch.cat([image.pixels for image in images])
        return {"pixel_values": pixels, "image_grid_thw": grids, "mm_token_type_ids": (ids == base.image_token_id).int()}
    pixels = torch.cat([image.pixels for image in images])
    if family == "gemma3":
        return {"pixel_values": pixels, "token_type_ids": (ids == base.image_token_id).int()}
    return {"pixel_values": pixels if family in ("llava", "internvl") else pixels[None]}
