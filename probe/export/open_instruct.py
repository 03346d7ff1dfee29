"""`open-instruct`: chat records for Open-Instruct, which trains language models: text only.

    OUT/phase-1/chat.jsonl  {"messages": [{"role": "user", "content": "..."}, ...], "source": ..., "id": ...}
    --dataset_mixer_list phase-1/chat.jsonl 150

Format: `open_instruct/dataset_transformation.py`, `get_cached_dataset_tulu_with_statistics` and `DatasetConfig.select_samples`. A number
with a decimal point is a share of the file and one without is a count ("1" is one row, "1.0" all of them): the command gives counts.
More than the file holds is whole copies and a seeded draw of the rest.
"""

from __future__ import annotations

from typing import Any

from probe.export.conversation import StoreImage, conversation_record
from probe.export.exporter import Exporter, Work, Written, phase_files
from probe.export.phase_commands import chained
from probe.export.readable import any_image, readable_by
from sources.sample import Sample

NOTES = (
    "Run the commands in this folder, one phase after the other, each for one epoch. OPEN_INSTRUCT is Open-Instruct's folder and MODEL the",
    "base model; add the options of your training. The numbers after the files are counts of rows: do not write a decimal point into them.",
    "`--dataset_skip_cache` because its cache goes by the files' names and would take another export's rows for these. Rows with images",
    "cannot be trained on there.",
)


def write(work: Work) -> Written:
    """Write one file of records a phase and source."""
    mixes = {}
    for phase, parts in work.phases.items():
        for part in parts:
            work.write_records(f"{phase}/{part.name}.jsonl", part.rows, text_record)
        mixes[phase] = " ".join(f"{phase}/{part.name}.jsonl {part.wanted}" for part in parts)
    return Written(phase_files(work.phases), chained(work.phases, lambda phase, model: _command(phase, model, mixes[phase])))


def text_record(sample: Sample, source: str, store_image: StoreImage) -> dict[str, Any]:
    """Return a sample without images as a record."""
    record = conversation_record(sample, source, store_image)
    del record["images"]
    return record


def _command(phase: str, model: str, mix: str) -> str:
    return (
        f"accelerate launch OPEN_INSTRUCT/open_instruct/finetune.py --model_name_or_path {model} --dataset_mixer_list {mix} "
        f"--dataset_mixer_list_splits train --dataset_skip_cache --num_train_epochs 1 --output_dir output/{phase}"
    )


export = Exporter("open-instruct", write, NOTES, unreadable=readable_by(any_image))
