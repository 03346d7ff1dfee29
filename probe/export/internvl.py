"""`internvl`: a meta file a phase for InternVL's fine-tuning, over LLaVA records as JSON Lines.

    OUT/phase-1.json          {"colour": {"root": "./", "annotation": "phase-1/colour.jsonl", "data_augment": false,
                                          "repeat_time": 1, "length": 150}}
    OUT/phase-1/colour.jsonl  {"id": ..., "image": ["images/3f/3f0c....jpg"], "conversations": [...]}

Format: `internvl_chat/internvl/train/internvl_chat_finetune.py`, `build_datasets` and `LazySupervisedDataset.__init__`: a `repeat_time`
below 1 takes the head of the file, above 1 it has to be a whole number. So what is left after whole repeats is an entry of its own
that takes the head: rows lie in the order in which they were drawn.
"""

from __future__ import annotations

import json
from typing import Any

from probe.export.conversation import StoreImage
from probe.export.exporter import Exporter, Part, Work, Written, copies_and_rest, phase_files
from probe.export.llava_record import llava_record
from probe.export.phase_commands import chained
from probe.export.ratios import ratio
from sources.sample import Sample

NOTES = (
    "Run the commands in this folder, one phase after the other, each for one epoch. INTERNVL is InternVL's `internvl_chat` folder and",
    "MODEL the base model; add the options of your training. The conversation style `internvl2_5` is the one that reads system turns:",
    "others fail on them, and InternVL takes another row at random for a row that fails. Leave `use_data_resampling` and `use_packed_ds`",
    "off: both weigh sources anew. Raise `max_seq_length` until no row's image tokens are cut, which counts as a failure too.",
)


def write(work: Work) -> Written:
    """Write a meta file a phase and one file of records a phase and source."""
    for phase, parts in work.phases.items():
        meta: dict[str, Any] = {}
        for part in parts:
            work.write_records(f"{phase}/{part.name}.jsonl", part.rows, listed_record)
            meta |= _entries(phase, part)
        (work.folder / f"{phase}.json").write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
    return Written((*(f"{phase}.json" for phase in work.phases), *phase_files(work.phases)), chained(work.phases, _command))


def listed_record(sample: Sample, source: str, store_image: StoreImage) -> dict[str, Any]:
    """Return a sample as a LLaVA record whose images are always a list.

    Of a lone path InternVL puts an `<image>` of its own into the first turn where that has none, for instance because it is the
    system's (`multi_modal_get_item`).
    """
    record = llava_record(sample, source, store_image)
    if isinstance(record.get("image"), str):
        record["image"] = [record["image"]]
    return record


def _entries(phase: str, part: Part) -> dict[str, Any]:
    copies, rest = copies_and_rest(part)
    times: dict[str, int | float] = {part.name: copies}
    if rest:
        times[f"{part.name}+rest"] = ratio(rest, len(part.rows))
    return {name: _entry(phase, part, repeat_time) for name, repeat_time in times.items()}


def _entry(phase: str, part: Part, repeat_time: int | float) -> dict[str, Any]:
    return {
        "root": "./",
        "annotation": f"{phase}/{part.name}.jsonl",
        "data_augment": False,
        "repeat_time": repeat_time,
        "length": len(part.rows),
    }


def _command(phase: str, model: str) -> str:
    return (
        "LAUNCHER=pytorch PYTHONPATH=INTERNVL torchrun --nproc_per_node=GPUS INTERNVL/internvl/train/internvl_chat_finetune.py "
        f"--model_name_or_path {model} --conv_style internvl2_5 --meta_path {phase}.json --use_data_resampling False "
        f"--use_packed_ds False --do_train True --num_train_epochs 1 --output_dir output/{phase}"
    )


export = Exporter("internvl", write, NOTES)
