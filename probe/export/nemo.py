"""`nemo`: a meta file a phase for NeMo Automodel's vision-language recipes, over chat records as JSON Lines.

    OUT/phase-1.json          {"colour": {"file_name": "phase-1/colour.jsonl", "media_dir": ".",
                                          "columns": ..., "tags": ..., "sample_ratio": 1.0}}
    OUT/phase-1/colour.jsonl  {"messages": [...], "images": ["images/3f/3f0c....jpg"], ...}

Format: `nemo_automodel/components/datasets/vlm/datasets.py`, `make_meta_dataset`: of a `sample_ratio` above 1 the whole part is copies
of all rows and `floor(rows * fraction)` more are drawn with a fixed seed; `file_name` is relative to the meta file, `media_dir` to the
folder where the training is started.
"""

from __future__ import annotations

import json
from typing import Any

from probe.export.exporter import Exporter, Part, Work, Written, phase_files
from probe.export.phase_commands import chained
from probe.export.ratios import ratio
from probe.export.readable import literal, readable_by

COLUMNS = {"messages": "messages", "images": "images", "videos": "videos"}
TAGS = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant", "system_tag": "system"}
NOTES = (
    "Run the commands in this folder, one phase after the other, each for one epoch. RECIPE.yaml is a vision-language fine-tuning recipe",
    "of NeMo Automodel for the base model MODEL; the commands override only its data, epochs and folders. Of a later phase the model is",
    "the consolidated checkpoint of the phase before, somewhere below the folder as written. Leave `shard_data` off: it would cut every",
    "source to a multiple of the number of processes, and small ones to nothing.",
)


def write(work: Work) -> Written:
    """Write a meta file a phase and one file of records a phase and source."""
    for phase, parts in work.phases.items():
        for part in parts:
            work.write_records(f"{phase}/{part.name}.jsonl", part.rows)
        meta = {part.name: _entry(phase, part) for part in parts}
        (work.folder / f"{phase}.json").write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
    return Written((*(f"{phase}.json" for phase in work.phases), *phase_files(work.phases)), chained(work.phases, _command))


def _entry(phase: str, part: Part) -> dict[str, Any]:
    file = f"{phase}/{part.name}.jsonl"
    return {"file_name": file, "media_dir": ".", "columns": COLUMNS, "tags": TAGS, "sample_ratio": ratio(part.wanted, len(part.rows))}


def _command(phase: str, model: str) -> str:
    return (
        "automodel RECIPE.yaml --dataset._target_=nemo_automodel.components.datasets.vlm.datasets.make_meta_dataset "
        f"--dataset.path_or_dataset={phase}.json --dataset.shard_data=false --step_scheduler.num_epochs=1 "
        f"--model.pretrained_model_name_or_path={model} --checkpoint.checkpoint_dir=output/{phase}"
    )


export = Exporter("nemo", write, NOTES, unreadable=readable_by(literal(("<image>", "<video>"))))
