"""`llamafactory`: LLaMA-Factory's data folder, one data set a phase and source, already drawn to the manifest's exact counts.

    OUT/dataset_info.json     formatting sharegpt, `num_samples` is the manifest's count: the file's own rows, or more of them
    OUT/phase-1/colour.jsonl  {"messages": [...], "images": ["images/3f/3f0c....jpg"], ...}
    OUT/train-phase-1.yaml    dataset: ..., mix_strategy: concat, media_dir: .

Formats: LLaMA-Factory `data/README.md`, `src/llamafactory/data/parser.py`. Once `columns` or `tags` is given, every default
that it does not list becomes None there, so both are written out in full.
"""

from __future__ import annotations

import json
from typing import Any

from probe.export.exporter import Exporter, Part, Work, Written, phase_files

COLUMNS = {"messages": "messages", "images": "images"}
TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
NOTES = (
    "Run the commands in this folder (`dataset_dir` and `media_dir` are `.`), one phase after the other, each for one epoch. MODEL and",
    "TEMPLATE are the base model and its LLaMA-Factory template; a later phase of a LoRA training takes `adapter_name_or_path=` of the",
    "phase before and MODEL as before, as written; of a full fine-tuning it takes the phase before as `model_name_or_path=` instead.",
    "Leave `max_samples`, `interleave_probs` and `streaming` unset: each would change the mixture. Raise `cutoff_len` until no row is cut.",
)


def write(work: Work) -> Written:
    """Write `dataset_info.json`, one file a phase and source, and one YAML fragment a phase."""
    info: dict[str, Any] = {}
    for phase, parts in work.phases.items():
        for part in parts:
            work.write_records(f"{phase}/{part.name}.jsonl", part.rows)
            info[f"{phase}_{part.name}"] = _entry(phase, part)
        (work.folder / f"train-{phase}.yaml").write_text(_fragment(phase, parts), encoding="utf-8")
    (work.folder / "dataset_info.json").write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")
    fragments = tuple(f"train-{phase}.yaml" for phase in work.phases)
    return Written(("dataset_info.json", *phase_files(work.phases), *fragments), _commands(fragments))


def _entry(phase: str, part: Part) -> dict[str, Any]:
    # `num_samples`: src/llamafactory/data/loader.py, a permutation of the rows and beyond them a draw with replacement.
    return {
        "file_name": f"{phase}/{part.name}.jsonl",
        "formatting": "sharegpt",
        "num_samples": part.wanted,
        "columns": COLUMNS,
        "tags": TAGS,
    }


def _fragment(phase: str, parts: tuple[Part, ...]) -> str:
    lines = (
        "stage: sft",
        "do_train: true",
        "dataset_dir: .",
        "media_dir: .",
        f"dataset: {','.join(f'{phase}_{part.name}' for part in parts)}",
        "mix_strategy: concat",
        "num_train_epochs: 1.0",
        "val_size: 0.0",
    )
    return "\n".join(lines) + "\n"


def _commands(fragments: tuple[str, ...]) -> tuple[str, ...]:
    commands = []
    for number, fragment in enumerate(fragments, start=1):
        before = f" adapter_name_or_path=output/phase-{number - 1}" if number > 1 else ""
        commands.append(
            f"llamafactory-cli train {fragment} model_name_or_path=MODEL template=TEMPLATE{before} output_dir=output/phase-{number}"
        )
    return tuple(commands)


export = Exporter("llamafactory", write, NOTES)
