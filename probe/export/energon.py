"""`energon`: Megatron-Energon metadatasets, one a phase, over WebDataset shards a phase and source.

    OUT/phase-1.yaml    MetadatasetV2: splits: train: blend_epochized: [{repetitions: 1, path: phase-1/colour, subflavors: ...}, ...]
    OUT/phase-1/colour  shards with 000000000.json ({"messages": ..., "images": ["0.jpg"], ...}) and 000000000.0.jpg, prepared
    OUT/cooker.py       the cooker that makes conversations of these crude samples, for a task encoder

Format: `docs/source/advanced/epochized_blending.md`, `metadataset/metadataset_v2.py`. `repetitions` may be broken, but is then rounded
down in every worker by itself (`wrappers/repeat_dataset.py`); so what is left after whole repetitions is an entry of its own, over the
head of the same shards (`subset`), and an epoch has the counts wanted with any number of workers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import yaml

from probe.export.conversation import conversation_record
from probe.export.energon_shards import Members, write_energon
from probe.export.exporter import Exporter, Part, Work, Written, copies_and_rest
from sources.sample import ImageRef

NOTES = (
    "Train one epoch on each phase's metadataset, in order, each from where the one before ended:",
    '`get_train_dataset("phase-1.yaml", worker_config=..., batch_size=..., repeat=False, ...)` with a task encoder whose `cookers` hold',
    "`Cooker(cook_conversation)` of `cooker.py`. Without `repeat=False` the same blend begins anew and never ends. The shards are",
    "prepared: run `energon prepare` on them only if you change them, and then with `--split-ratio 1,0,0`.",
)
SCRIPT = '''"""Conversations from this folder's crude samples: cookers = [Cooker(cook_conversation)] in your task encoder."""

from dataclasses import dataclass

from megatron.energon import Sample, basic_sample_keys, stateless
from megatron.energon.flavors.webdataset import SampleDecoder


@dataclass
class Conversation(Sample):
    """Messages with the k-th `<image>` for the k-th of the images, which are as the decoder made them."""

    messages: list
    images: list
    source: str


@stateless
def cook_conversation(sample):
    record = sample["json"]
    images = [sample[name] for name in record["images"]]
    return Conversation(**basic_sample_keys(sample), messages=record["messages"], images=images, source=record["source"])


DECODER = SampleDecoder(image_decode="pilrgb")  # `decoder = DECODER` in your task encoder
'''


def write(work: Work) -> Written:
    """Write a metadataset a phase, the cooker, and prepared shards a phase and source."""
    for phase, parts in work.phases.items():
        for part in parts:
            write_energon(work.folder / phase / part.name, _samples(work, part))
        blend = [entry for part in parts for entry in _entries(phase, part)]
        metadataset = {
            "__module__": "megatron.energon",
            "__class__": "MetadatasetV2",
            "splits": {"train": {"blend_epochized": blend}},
        }
        (work.folder / f"{phase}.yaml").write_text(yaml.safe_dump(metadataset, sort_keys=False), encoding="utf-8")
    (work.folder / "cooker.py").write_text(SCRIPT, encoding="utf-8")
    shards = sorted(path for phase in work.phases for path in (work.folder / phase).rglob("*") if path.is_file())
    files = (*(f"{phase}.yaml" for phase in work.phases), "cooker.py", *(path.relative_to(work.folder).as_posix() for path in shards))
    return Written(files, tuple(_comment(phase, number) for number, phase in enumerate(work.phases)))


def _samples(work: Work, part: Part) -> Iterator[Members]:
    shown: list[tuple[str, bytes]] = []

    def field(ref: ImageRef) -> str:
        name, data = work.images.picture(ref)
        shown.append((f"{len(shown)}.{name.rpartition('.')[2]}", data))
        return shown[-1][0]

    for _, record in work.records(part.rows, conversation_record, field):
        yield [("json", json.dumps(record, ensure_ascii=True).encode()), *shown]
        shown.clear()


def _entries(phase: str, part: Part) -> list[dict[str, Any]]:
    copies, rest = copies_and_rest(part)
    whole = _entry(phase, part, copies)
    return [whole, {**_entry(phase, part, 1), "subset": {"range": [0, rest]}}] if rest else [whole]


def _entry(phase: str, part: Part, repetitions: int) -> dict[str, Any]:
    # A mapping of its own each time: YAML would write one that comes twice as an alias, which Energon's reader does not take.
    return {"repetitions": repetitions, "path": f"{phase}/{part.name}", "subflavors": {"source": part.source}}


def _comment(phase: str, number: int) -> str:
    return f"# train one epoch on {phase}.yaml" + (", from where the phase before ended" if number else "")


export = Exporter("energon", write, NOTES)
