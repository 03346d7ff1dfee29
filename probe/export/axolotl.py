"""`axolotl`: the data part of Axolotl's configuration, a phase a file, over chat records as Parquet.

    OUT/phase-1.yaml            datasets: [{path: phase-1/colour.parquet, ds_type: parquet, type: chat_template, split: train}, ...]
    OUT/phase-1/colour.parquet  source, id, messages: [{role, content: [{type: image, path: images/3f/3f0c....jpg}, {type: text, text}]}]

Format: `src/axolotl/utils/schemas/datasets.py`, `SFTDataset`; `utils/data/shared.py`, which concatenates the data sets as they are listed:
one listed twice is read twice, and `split: train[:71]` takes the head of a file. `processing_strategies.py`: of a column `images` only the
first image is used and an empty one fails, so images stand among the parts of their turn. Parquet, because from JSON Lines each file
would get types of its own, and a file without images cannot be concatenated with one that has some.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from probe.export.conversation import StoreImage
from probe.export.exporter import Exporter, Part, Work, Written, copies_and_rest, phase_files
from probe.export.parts_record import write_parquet
from sources.sample import Sample, Turn

SETTINGS = {
    "skip_prepare_dataset": True,
    "remove_unused_columns": False,
    "sample_packing": False,
    "dataset_exact_deduplication": False,
    "shuffle_merged_datasets": True,
    "val_set_size": 0,
    "num_epochs": 1,
}
NOTES = (
    "Run the commands in this folder, one phase after the other. BASE.yaml is your configuration of Axolotl without `datasets`: what it",
    "says of `processor_type`, `chat_template` and training stays, and the phase's part, which comes after it, decides about the data.",
    "Leave `dataset_exact_deduplication`, `max_steps` and sample packing off: rows that are repeated on purpose would go, or images be",
    "lost. Of a LoRA training a later phase takes `--lora-model-dir output/phase-1` and MODEL as before, as written; of a full fine-tuning",
    "`--base-model output/phase-1` instead. Raise `sequence_len` until no row is cut or left out.",
)
_ROWS_A_GROUP = 512


def write(work: Work) -> Written:
    """Write the data part of a configuration a phase and one file of records a phase and source."""
    for phase, parts in work.phases.items():
        for part in parts:
            records = (record for _, record in work.records(part.rows, placed_record))
            write_parquet(work.folder / phase / f"{part.name}.parquet", records, _schema(), _ROWS_A_GROUP)
        config = {"datasets": [entry for part in parts for entry in _entries(phase, part)], **SETTINGS}
        (work.folder / f"{phase}.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    files = (*(f"{phase}.yaml" for phase in work.phases), *phase_files(work.phases, "parquet"))
    return Written(files, tuple(line for command in _commands(list(work.phases)) for line in command))


def placed_record(sample: Sample, source: str, store_image: StoreImage) -> dict[str, Any]:
    """Return a sample as a record whose turns are lists of parts, an image's part with its path."""
    images = [store_image(image) for image in sample.images]
    messages = [{"role": turn.role.value, "content": list(_parts(turn, images))} for turn in sample.turns]
    return {"messages": messages, "source": source, "id": sample.id}


def _parts(turn: Turn, images: Sequence[str]) -> Iterator[dict[str, str]]:
    for part in turn.parts:
        if not isinstance(part, str):
            yield {"type": "image", "path": images[part]}
        elif part:
            yield {"type": "text", "text": part}


def _schema() -> Any:
    import pyarrow as pa

    part = pa.struct([("type", pa.string()), ("text", pa.string()), ("path", pa.string())])
    message = pa.struct([("role", pa.string()), ("content", pa.list_(part))])
    return pa.schema([("messages", pa.list_(message)), ("source", pa.string()), ("id", pa.string())])


def _entries(phase: str, part: Part) -> list[dict[str, str]]:
    copies, rest = copies_and_rest(part)
    splits = ["train"] * copies + ([f"train[:{rest}]"] if rest else [])
    entry = {"path": f"{phase}/{part.name}.parquet", "ds_type": "parquet", "type": "chat_template", "field_messages": "messages"}
    return [{**entry, "split": split} for split in splits]


def _commands(phases: list[str]) -> Iterator[tuple[str, str]]:
    for before, phase in zip([None, *phases], phases, strict=False):
        adapter = f" --lora-model-dir output/{before}" if before else ""
        yield (
            f"(cat BASE.yaml; echo; cat {phase}.yaml) > train-{phase}.yaml",
            f"axolotl train train-{phase}.yaml --base-model MODEL{adapter} --output-dir output/{phase}",
        )


export = Exporter("axolotl", write, NOTES)
