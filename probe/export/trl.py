"""`trl`: TRL's SFT, one parquet file a phase and source, and one configuration a phase.

    OUT/phase-1/colour.parquet  messages of content parts, images as paths that `datasets` opens; see `probe.export.parts_record`
    OUT/train-phase-1.yaml      datasets: [{path: parquet, data_files: phase-1/colour.parquet, split: train, columns: [messages, images]}]

`fraction` is not used: it caps the whole mixture by the scarcest source and keeps heads (`trl/scripts/utils.py`, `get_dataset`). Without
it the listed data sets are concatenated, so a file that is listed again is trained on again, and a split `train[:5]` is a head of 5 rows.
"""

from __future__ import annotations

import json

from probe.export.exporter import Exporter, Part, Work, Written, copies_and_rest, phase_files
from probe.export.parts_record import parts_record, parts_schema, write_parquet
from probe.export.phase_commands import chained
from sources.sample import ImageRef

NOTES = (
    "Run the commands in this folder: image paths are relative to it. One phase after the other, each for one epoch; MODEL is the base",
    "model. With --use_peft, TRL writes an adapter: merge it into MODEL before the next phase. TRL learns every token of a conversation",
    "unless `assistant_only_loss` is set, which needs a chat template that marks the answers; `probe` learns answers only. Raise",
    "--max_length until no row is cut: TRL cuts image tokens too.",
)
_ROWS_A_GROUP = 1000


def write(work: Work) -> Written:
    """Write one file a phase and source, and one configuration a phase."""
    for phase, parts in work.phases.items():
        for part in parts:
            records = (record for _, record in work.records(part.rows, parts_record, lambda ref: _path(work, ref)))
            write_parquet(work.folder / phase / f"{part.name}.parquet", records, parts_schema(), _ROWS_A_GROUP)
        (work.folder / f"train-{phase}.yaml").write_text(_configuration(phase, parts), encoding="utf-8")
    configurations = tuple(f"train-{phase}.yaml" for phase in work.phases)
    return Written((*phase_files(work.phases, "parquet"), *configurations), chained(work.phases, _command))


def _path(work: Work, ref: ImageRef) -> dict[str, str | None]:
    return {"bytes": None, "path": work.images.store(ref)}


def _configuration(phase: str, parts: tuple[Part, ...]) -> str:
    lines = ["datasets:"]
    for part in parts:
        copies, rest = copies_and_rest(part)
        for split in ["train"] * copies + ([f"train[:{rest}]"] if rest else []):
            file = f"{phase}/{part.name}.parquet"
            lines.append(f"  - {json.dumps({'path': 'parquet', 'data_files': file, 'split': split, 'columns': ['messages', 'images']})}")
    return "\n".join([*lines, "num_train_epochs: 1", "eval_strategy: 'no'"]) + "\n"


def _command(phase: str, model: str) -> str:
    return f"trl sft --config train-{phase}.yaml --model_name_or_path {model} --output_dir output/{phase}"


export = Exporter("trl", write, NOTES)
