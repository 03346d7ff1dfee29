"""One sample as messages of content parts, the form that Hugging Face's processors and TRL take.

    {"messages": [{"role": "user", "content": [{"type": "image", "text": None}, {"type": "text", "text": "\\nWhat is this?"}]},
                  {"role": "assistant", "content": [{"type": "text", "text": "A cat."}]}],
     "images": [{"bytes": None, "path": "images/3f/3f0c9d1a77e2....jpg"}], "source": "llava-665k/coco", "id": "000000033471"}

The k-th part of type `image` stands for the k-th of `images` (TRL `trl/data_utils.py`, `prepare_multimodal_messages`). In parquet every
column has one type whatever the first rows hold, and `images` is a list of `datasets.Image`, so that it is decoded when read. A literal
`<image>` in a text is left out here too: many a chat template writes images as that very string.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from probe.export.conversation import StoreImage
from sources.sample import Sample, Turn


def parts_record(sample: Sample, source: str, store_image: StoreImage) -> dict[str, Any]:
    """Return a sample as a record; `store_image` puts an image into the export and returns its `bytes` and `path`, one of them None."""
    images = [store_image(image) for image in sample.images]
    return {
        "messages": [{"role": turn.role.value, "content": _parts(turn)} for turn in sample.turns],
        "images": [images[place] for turn in sample.turns for place in turn.image_places],
        "source": source,
        "id": sample.id,
    }


def write_parquet(path: Path, records: Iterable[Mapping[str, Any]], schema: Any, rows_a_group: int) -> None:
    """Write records as parquet of these column types whatever they hold, so many rows a group (and in memory)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    left = iter(records)
    with pq.ParquetWriter(path, schema) as writer:
        while batch := list(islice(left, rows_a_group)):
            writer.write_table(pa.Table.from_pylist(batch, schema))


def _parts(turn: Turn) -> list[dict[str, str | None]]:
    return [{"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "text": None} for part in turn.parts]


def parts_schema() -> Any:
    """Return the column types of `parts_record`, with what `datasets` notes beside them."""
    from datasets import Features, Image, List, Value

    text = Value("string")
    messages = List({"role": text, "content": List({"type": text, "text": text})})
    return Features({"messages": messages, "images": List(Image()), "source": text, "id": text}).arrow_schema
