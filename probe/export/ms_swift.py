"""`ms-swift`: its JSON Lines, one file a phase and source, and one configuration a phase.

    OUT/phase-1/colour.jsonl  {"messages": [{"role": "user", "content": "<image>..."}, ...], "images": ["images/3f/3f0c....jpg"], ...}
    OUT/train-phase-1.yaml    dataset: ["phase-1/colour.jsonl", "phase-1/shape.jsonl#33"]

`FILE#N` draws N rows: whole copies of the file, and for the rest a random part of it (`swift/dataset/utils.py`, `sample_dataset`).
Formats: ms-swift `docs/source_en/Customization/Custom-dataset.md`, `swift/dataset/dataset_syntax.py`.
"""

from __future__ import annotations

import json

from probe.export.exporter import Exporter, Part, Work, Written, phase_files

NOTES = (
    "Run the commands in this folder: image paths are relative to it. One phase after the other, each for one epoch; MODEL is the base",
    "model, LAST the number of the last checkpoint of the phase before (of a full fine-tuning, give that checkpoint as --model instead).",
    "Leave `interleave_prob` and `streaming` unset: both would change the mixture. `strict` is on: without it a row that fails is replaced",
    "by a random other one. Raise --max_length until no row is dropped.",
)


def write(work: Work) -> Written:
    """Write one file a phase and source, and one configuration a phase."""
    for phase, parts in work.phases.items():
        for part in parts:
            work.write_records(f"{phase}/{part.name}.jsonl", part.rows)
        (work.folder / f"train-{phase}.yaml").write_text(_configuration(phase, parts), encoding="utf-8")
    configurations = tuple(f"train-{phase}.yaml" for phase in work.phases)
    return Written((*phase_files(work.phases), *configurations), _commands(tuple(work.phases)))


def _configuration(phase: str, parts: tuple[Part, ...]) -> str:
    # JSON strings are YAML strings: a bare `#` would begin a comment
    names = [f"{phase}/{part.name}.jsonl" + (f"#{part.wanted}" if part.wanted != len(part.rows) else "") for part in parts]
    lines = ["dataset:", *(f"  - {json.dumps(name)}" for name in names)]
    lines += ["split_dataset_ratio: 0", "dataset_shuffle: true", "num_train_epochs: 1", "strict: true", "add_version: false"]
    return "\n".join(lines) + "\n"


def _commands(phases: tuple[str, ...]) -> tuple[str, ...]:
    before = ("", *(f" --adapters output/{phase}/checkpoint-LAST" for phase in phases))
    return tuple(
        f"swift sft train-{phase}.yaml --model MODEL{adapter} --output_dir output/{phase}"
        for phase, adapter in zip(phases, before, strict=False)
    )


export = Exporter("ms-swift", write, NOTES)
