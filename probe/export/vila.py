"""`vila`: VILA and NVILA, one shuffled data set of LLaVA records a phase, and its registry entry.

    OUT/phase-1.jsonl        {"id": ..., "image": ["images/3f/3f0c....jpg"], "conversations": [{"from": "human", ...}, ...]}
    OUT/vila_datasets.yaml   probe-phase-1: {_target_: llava.data.LLaVANextDataset, data_path: phase-1.jsonl, media_dir: ., ...}

One data set a phase and never one a source, because VILA takes the head of each data set in whole global batches
(`llava/train/llava_trainer.py`, `VILADistributedSampler`): of a small source everything would be dropped, of a file sorted by source
the end. `LLaVANextDataset` keeps images where they stand; `LLaVADataset` moves all to the front of the first turn and fills each data
set up with random rows (`llava/data/dataset_impl/llava.py`). It wants a list of images, and changes a row as it reads it, so that
`name*2` (`llava/data/builder.py`, `RepeatedDataset`) breaks on the second reading: rows that come again are written again.
"""

from __future__ import annotations

import json
from typing import Any

from probe.export.conversation import StoreImage
from probe.export.exporter import Exporter, Work, Written, rows_written
from probe.export.llava_record import inexpressible_without_system, llava_record
from probe.export.phase_commands import chained
from sources.sample import Sample

NOTES = (
    "Run the commands in this folder: paths are relative to it. VILA is a checkout of the trainer, FLAGS your own of vision tower, trained",
    "parts and rates. One phase after the other, each for one epoch: VILA changes rows as it reads them, so that a second epoch fails.",
    "What does not fill a last global batch is dropped; the files are shuffled, so that this takes from every source alike.",
    "`resample_on_failure: false` makes a row that fails an error instead of a random other row.",
)


def write(work: Work) -> Written:
    """Write one file a phase and the registry."""
    for phase in work.phases:
        work.write_records(f"{phase}.jsonl", work.shuffled(phase), vila_record)
    entries = [f"{_name(phase)}: {json.dumps(_entry(phase))}" for phase in work.phases]
    (work.folder / "vila_datasets.yaml").write_text("\n".join(entries) + "\n", encoding="utf-8")
    return Written((*(f"{phase}.jsonl" for phase in work.phases), "vila_datasets.yaml"), chained(work.phases, _command))


def vila_record(sample: Sample, source: str, store_image: StoreImage) -> dict[str, Any]:
    """Return a sample as LLaVA's record, its images always a list."""
    record = llava_record(sample, source, store_image)
    return record | {"image": [record["image"]]} if isinstance(record.get("image"), str) else record


def _name(phase: str) -> str:
    return f"probe-{phase}"


def _entry(phase: str) -> dict[str, Any]:
    return {
        "_target_": "llava.data.LLaVANextDataset",
        "data_path": f"{phase}.jsonl",
        "media_dir": ".",
        "resample_on_failure": False,
    }


def _command(phase: str, model: str) -> str:
    return (
        f"VILA_DATASETS=vila_datasets torchrun --nproc_per_node GPUS VILA/llava/train/train_mem.py --model_name_or_path {model}"
        f" --data_mixture {_name(phase)} --num_train_epochs 1 --output_dir output/{phase} FLAGS"
    )


export = Exporter("vila", write, NOTES, rows_written, inexpressible_without_system)
