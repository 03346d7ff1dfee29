"""One sample as the record that chat trainers read.

    {"messages": [{"role": "user", "content": "<image>\\nWhat is this?"}, {"role": "assistant", "content": "A cat."}],
     "images": ["images/3f/3f0c9d1a77e2....jpg"], "source": "llava-665k/coco", "id": "000000033471"}

The k-th `<image>` stands for the k-th of `images`. Trainers find places by counting that string in every turn, answers too
(LLaMA-Factory: `src/llamafactory/data/mm_plugin.py`, `_validate_messages`, which counts `<video>` and `<audio>` likewise), so a
row whose text holds one literally cannot be written without changing what it says: such a row is excluded and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sources.sample import ImageRef, Role, Sample, Turn

IMAGE_PLACE = "<image>"
OTHER_MEDIA_PLACES = ("<video>", "<audio>")

StoreImage = Callable[[ImageRef], Any]  # what stands for an image in a record: a path, or more


def inexpressible(sample: Sample) -> str:
    """Return why chat trainers cannot read a sample as it is; empty where they can."""
    turns = sample.turns[1:] if sample.turns and sample.turns[0].role is Role.SYSTEM else sample.turns
    expected = [Role.USER, Role.ASSISTANT] * ((len(turns) + 1) // 2)
    if not turns or len(turns) % 2 or [turn.role for turn in turns] != expected:
        return "turns do not alternate between user and assistant to the end"
    if not all(turn.has_loss for turn in turns):
        return "an answer is not to be learned, which trainers say in other ways or not at all"
    if turns is not sample.turns and sample.turns[0].image_places:
        return "an image stands in the system turn"
    if set(range(len(sample.images))) - {place for turn in turns for place in turn.image_places}:
        return "an image has no place in the text"
    if not all(_reads_back(turn) for turn in sample.turns):
        return "the text holds a literal <image>, <video> or <audio>"
    return ""


def conversation_record(sample: Sample, source: str, store_image: StoreImage) -> dict[str, Any]:
    """Return a sample as a record; `store_image` puts an image into the export and returns what stands for it: its path."""
    paths = [store_image(image) for image in sample.images]
    places = [place for turn in sample.turns for place in turn.image_places]
    return {
        "messages": [{"role": turn.role.value, "content": _content(turn)} for turn in sample.turns],
        "images": [paths[place] for place in places],  # in the order of their places, once a place
        "source": source,
        "id": sample.id,
    }


def _content(turn: Turn) -> str:
    return "".join(part if isinstance(part, str) else IMAGE_PLACE for part in turn.parts)


def _reads_back(turn: Turn) -> bool:
    """Say whether splitting the written turn at its places gives back its own texts."""
    texts = [""]
    for part in turn.parts:
        if isinstance(part, str):
            texts[-1] += part
        else:
            texts.append("")
    content = _content(turn)
    return content.split(IMAGE_PLACE) == texts and not any(place in content for place in OTHER_MEDIA_PLACES)
