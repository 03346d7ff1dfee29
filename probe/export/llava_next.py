"""`llava-next`: LLaVA-NeXT and LLaVA-OneVision, LLaVA records and one YAML list a phase.

    OUT/phase-1/colour.jsonl  {"id": ..., "image": "images/3f/3f0c....jpg", "conversations": [{"from": "human", ...}, ...]}
    OUT/phase-1.yaml          datasets: [{json_path: "phase-1/colour.jsonl", sampling_strategy: "all"}, ...]

The reader slices and never repeats (`llava/train/train.py`, `LazySupervisedDataset.__init__`: `all`, `first:N`, `end:N`, `random:N`, the
last of an unseeded shuffle), but a file that is listed again is read again: so N rows of a smaller file are whole copies and a head.
A system turn is a KeyError there (`preprocess_qwen`, `preprocess_v1`), so rows with one are left out and counted.
"""

from __future__ import annotations

import json

from probe.export.exporter import Exporter, Part, Work, Written, copies_and_rest, phase_files
from probe.export.llava_record import inexpressible_without_system, llava_record
from probe.export.phase_commands import chained

NOTES = (
    "Run the commands in this folder: paths are relative to it. LLAVA_NEXT is a checkout of the trainer, FLAGS your own of vision tower,",
    "prompt version, trained parts and rates. One phase after the other, each for one epoch. The trainer moves a lone `<image>` inside a",
    "turn to its front, and takes the next row in place of one that it cannot load; here all could be loaded when they were written.",
)


def write(work: Work) -> Written:
    """Write one file a phase and source, and one YAML a phase."""
    for phase, parts in work.phases.items():
        for part in parts:
            work.write_records(f"{phase}/{part.name}.jsonl", part.rows, llava_record)
        lines = ["datasets:", *(f"  - {entry}" for part in parts for entry in _entries(phase, part))]
        (work.folder / f"{phase}.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    lists = tuple(f"{phase}.yaml" for phase in work.phases)
    return Written((*phase_files(work.phases), *lists), chained(work.phases, _command))


def _entries(phase: str, part: Part) -> list[str]:
    copies, rest = copies_and_rest(part)
    strategies = ["all"] * copies + ([f"first:{rest}"] if rest else [])
    return [json.dumps({"json_path": f"{phase}/{part.name}.jsonl", "sampling_strategy": strategy}) for strategy in strategies]


def _command(phase: str, model: str) -> str:
    return (
        f"torchrun --nproc_per_node GPUS LLAVA_NEXT/llava/train/train_mem.py --model_name_or_path {model} --data_path {phase}.yaml"
        f" --image_folder . --num_train_epochs 1 --output_dir output/{phase} FLAGS"
    )


export = Exporter("llava-next", write, NOTES, unreadable=inexpressible_without_system)
