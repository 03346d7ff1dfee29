"""One sample as LLaVA's record, which LLaVA-NeXT, VILA, InternVL and Qwen-VL's fine-tuning read.

    {"id": "000000033471", "image": "images/3f/3f0c....jpg",
     "conversations": [{"from": "human", "value": "<image>\\nWhat is this?"}, {"from": "gpt", "value": "A cat."}],
     "source": "llava-665k/coco"}

`image` is a path, with several images a list of paths, and without one not there: readers look for the key. Format: LLaVA
`docs/Finetune_Custom_Data.md`, LLaVA-NeXT `llava/train/train.py`.
"""

from __future__ import annotations

from typing import Any

from probe.export.conversation import StoreImage, conversation_record, inexpressible
from sources.sample import Role, Sample

SPEAKERS = {"system": "system", "user": "human", "assistant": "gpt"}


def llava_record(sample: Sample, source: str, store_image: StoreImage) -> dict[str, Any]:
    """Return a sample as a record; `store_image` puts an image into the export and returns its path there."""
    chat = conversation_record(sample, source, store_image)
    paths = chat["images"]
    turns = [{"from": SPEAKERS[message["role"]], "value": message["content"]} for message in chat["messages"]]
    image = {"image": paths[0] if len(paths) == 1 else paths} if paths else {}
    return {"id": chat["id"], **image, "conversations": turns, "source": source}


def inexpressible_without_system(sample: Sample) -> str:
    """Return why a reader that knows no system turn cannot read a sample; empty where it can."""
    if sample.turns and sample.turns[0].role is Role.SYSTEM:
        return "a system turn, which this trainer does not read"
    return inexpressible(sample)
