"""`llamafactory-v1`: LLaMA-Factory's second data engine, one file a phase and source and one YAML map a phase.

    OUT/phase-1/colour.jsonl
        {"messages": [{"role": "user", "content": [{"type": "image_url", "value": "images/3f/....jpg"}, {"type": "text", "value": "..."}],
                       "loss_weight": 0.0}, {"role": "assistant", "content": [...], "loss_weight": 1.0}], ...}
    OUT/data-phase-1.yaml     colour: {path: phase-1/colour.jsonl, source: local}

`size` and `weight` are not used: both draw with replacement from an unseeded generator, so that rows are left out while others come
twice (`llamafactory/v1/plugins/data_plugins/loader.py`, `adjust_data_index`). Without them every row is taken once. No converter is
named: the rows are in the engine's own form (`llamafactory/v1/core/data_engine.py`).
"""

from __future__ import annotations

import json
from typing import Any

from probe.export.conversation import StoreImage
from probe.export.exporter import Exporter, Work, Written, phase_files, rows_written
from sources.sample import Role, Sample, Turn

NOTES = (
    "Run the commands in this folder: paths are relative to it. One phase after the other, each for one epoch. CONFIG.yaml is your own",
    "configuration of the training, MODEL the base model; of a later phase the model is what the phase before wrote. Version 0.9.5 of the",
    "engine defines this form of images and hands it on, but trains on text alone: for images take `--trainer llamafactory`.",
)


def write(work: Work) -> Written:
    """Write one file a phase and source, and one map a phase."""
    for phase, parts in work.phases.items():
        for part in parts:
            work.write_records(f"{phase}/{part.name}.jsonl", part.rows, v1_record)
        entries = {part.name: {"path": f"{phase}/{part.name}.jsonl", "source": "local"} for part in parts}
        lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries.items()]
        (work.folder / f"data-{phase}.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    maps = tuple(f"data-{phase}.yaml" for phase in work.phases)
    models = ("MODEL", *(f"output/{phase}" for phase in work.phases))
    commands = tuple(
        f"USE_V1=1 llamafactory-cli sft CONFIG.yaml train_dataset=data-{phase}.yaml model={model} output_dir=output/{phase}"
        for phase, model in zip(work.phases, models, strict=False)
    )
    return Written((*phase_files(work.phases), *maps), commands)


def v1_record(sample: Sample, source: str, store_image: StoreImage) -> dict[str, Any]:
    """Return a sample as a record; `store_image` puts an image into the export and returns its path there."""
    paths = [store_image(image) for image in sample.images]
    return {"messages": [_message(turn, paths) for turn in sample.turns], "source": source, "id": sample.id}


def _message(turn: Turn, paths: list[str]) -> dict[str, Any]:
    content = [
        {"type": "text", "value": part} if isinstance(part, str) else {"type": "image_url", "value": paths[part]} for part in turn.parts
    ]
    return {"role": turn.role.value, "content": content, "loss_weight": 1.0 if turn.role is Role.ASSISTANT else 0.0}


export = Exporter("llamafactory-v1", write, NOTES, rows_written)
