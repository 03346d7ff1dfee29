"""How large a family's images may become: one number a proxy, in the unit in which the family cuts or scales images. Torch-free."""

from __future__ import annotations

from typing import Any

UNITS = {
    "idefics3": "pixels of the longest edge",
    "smolvlm": "pixels of the longest edge",
    "qwen2_vl": "pixels",
    "qwen2_5_vl": "pixels",
    "qwen3_vl": "pixels",
    "internvl": "tiles beside the thumbnail",
    "llava_onevision": "tiles beside the whole image",
}


def limited(family: str, config: dict[str, Any], limit: int) -> dict[str, Any]:
    """Return what of an image processor's settings changes so that images keep to a limit; nothing for 0 or a family of one size.

    Args:
        family: of the model.
        config: the image processor's settings.
        limit: in the family's unit (`UNITS`).
    """
    if not limit or family not in UNITS:
        return {}
    if family in ("idefics3", "smolvlm"):
        return {"size": {"longest_edge": limit}}
    if family == "internvl":
        return {"max_patches": limit}
    if family == "llava_onevision":
        height, width = (int(config["size"][side]) for side in ("height", "width"))
        grids = [grid for grid in config["image_grid_pinpoints"] if grid[0] * grid[1] <= limit * height * width]
        return {"image_grid_pinpoints": grids}
    least = int(config.get("size", {}).get("shortest_edge") or config.get("min_pixels") or 56 * 56)
    return {"size": {"shortest_edge": min(least, limit), "longest_edge": limit}}
