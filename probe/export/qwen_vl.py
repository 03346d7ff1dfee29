"""`qwen-vl`: data sets for Qwen-VL's own fine-tuning, and the script that registers them and starts it.

    OUT/datasets.json         {"phase-1_colour": {"annotation_path": "phase-1/colour.jsonl", "data_path": "."}}
    OUT/phase-1/colour.jsonl  {"id": ..., "image": "images/3f/3f0c....jpg", "conversations": [...]}
    OUT/qwen_train.py         torchrun qwen_train.py --dataset_use phase-1_colour,phase-1_colour,phase-1_colour%71

Format: `qwen-vl-finetune/qwenvl/data/__init__.py`, `data_list`, and `data_processor.py`, `LazySupervisedDataset.__init__`: a data set
named twice is read twice, and `%71` takes a random `int(rows * 0.71)` of it, without a seed. Data sets are known only by a dictionary
in that file, which the script extends.
"""

from __future__ import annotations

import json

from probe.export.exporter import Exporter, Part, Work, Written, copies_and_rest, phase_files
from probe.export.llava_record import inexpressible_without_system, llava_record
from probe.export.phase_commands import chained

NOTES = (
    "Run the commands in this folder, one phase after the other, each for one epoch. QWEN is the folder `qwen-vl-finetune` of Qwen's",
    "repository and MODEL the base model; add the options of your training. `qwen_train.py` registers the data sets of `datasets.json`, so",
    "that no file of Qwen's needs to be edited. The model's name has to tell which Qwen it is: for a later phase rename the folder of the",
    "phase before if yours does not. A row that fails is replaced by the next one: raise `model_max_length` until none is cut.",
)
SCRIPT = '''"""Registers the data sets of this folder with Qwen's fine-tuning and starts it; takes its arguments."""

import json
from pathlib import Path

from qwenvl.data import data_dict

FOLDER = Path(__file__).resolve().parent


def register():
    for name, entry in json.loads((FOLDER / "datasets.json").read_text(encoding="utf-8")).items():
        data_dict[name] = {key: str(FOLDER / path) for key, path in entry.items()}


if __name__ == "__main__":
    register()
    from qwenvl.train.train_qwen import train

    train()
'''
UNSEEDED = "{} takes a random part of its rows in {}, without a seed and in each process its own: mode exact has no such part"


def write(work: Work) -> Written:
    """Write the register, the script, and one file of records a phase and source."""
    register, warnings = {}, []
    for phase, parts in work.phases.items():
        for part in parts:
            work.write_records(f"{phase}/{part.name}.jsonl", part.rows, llava_record)
            register[_name(phase, part)] = {"annotation_path": f"{phase}/{part.name}.jsonl", "data_path": "."}
            if percent(part):
                warnings.append(UNSEEDED.format(part.source, phase))
    (work.folder / "datasets.json").write_text(json.dumps(register, indent=2) + "\n", encoding="utf-8")
    (work.folder / "qwen_train.py").write_text(SCRIPT, encoding="utf-8")
    written = ("datasets.json", "qwen_train.py", *phase_files(work.phases))
    uses = {phase: ",".join(use for part in parts for use in _uses(phase, part)) for phase, parts in work.phases.items()}
    return Written(written, chained(work.phases, lambda phase, model: _command(phase, model, uses[phase])), tuple(warnings))


def percent(part: Part) -> int:
    """Return the whole percentage of a part's rows that comes nearest to what is left after whole copies."""
    _, rest = copies_and_rest(part)
    return min(range(101), key=lambda percent: (abs(_drawn(part, percent) - rest), percent))


def draws(part: Part) -> int:
    """Return how many rows Qwen's training takes."""
    return copies_and_rest(part)[0] * len(part.rows) + _drawn(part, percent(part))


def _drawn(part: Part, percent: int) -> int:
    return int(len(part.rows) * (percent / 100.0))


def _name(phase: str, part: Part) -> str:
    return f"{phase}_{part.name}"


def _uses(phase: str, part: Part) -> list[str]:
    rest = [f"{_name(phase, part)}%{percent(part)}"] if percent(part) else []
    return [_name(phase, part)] * copies_and_rest(part)[0] + rest


def _command(phase: str, model: str, uses: str) -> str:
    return (
        "PYTHONPATH=QWEN:QWEN/qwenvl/train torchrun --nproc_per_node=GPUS qwen_train.py "
        f"--model_name_or_path {model} --dataset_use {uses} --num_train_epochs 1 --output_dir output/{phase}"
    )


export = Exporter("qwen-vl", write, NOTES, draws, unreadable=inexpressible_without_system)
