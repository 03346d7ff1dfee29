"""`datasets`: Hugging Face datasets, one parquet file a phase and source with the images inside, and a script that mixes them.

    OUT/phase-1/colour.parquet   messages of content parts, images as bytes; see `probe.export.parts_record`
    OUT/mixture.py               load_phase("phase-1") -> datasets.Dataset of exactly the manifest's counts, shuffled

`interleave_datasets(probabilities=...)` is not used: what it gives depends on its stopping strategy and is exact under none.
"""

from __future__ import annotations

import json

from probe.export.exporter import Exporter, Work, Written, phase_files
from probe.export.parts_record import parts_record, parts_schema, write_parquet
from sources.sample import ImageRef

NOTES = (
    "`python mixture.py` loads every phase and prints its counts. In a training script: `from mixture import load_phase`, then train on",
    "`load_phase(...)` of one phase after the other, each for one epoch. The k-th part of type `image` stands for the k-th of `images`.",
)
_ROWS_A_GROUP = 64  # images are inside
_SCRIPT = '''"""The mixture that manifest.json decided on: load_phase("phase-1") is its first phase, row for row."""

from collections import Counter
from pathlib import Path

from datasets import Dataset, concatenate_datasets

HERE = Path(__file__).parent
SEED = {seed}
PARTS = {parts}


def load_phase(phase, cache_dir=None):
    """Return a phase: each file's rows until its count is reached, again from the start where it is shorter, then shuffled."""
    parts = []
    for file, count in PARTS[phase].items():
        rows = Dataset.from_parquet(str(HERE / file), cache_dir=cache_dir)
        parts.append(rows.select([i % len(rows) for i in range(count)]))
    return concatenate_datasets(parts).shuffle(seed=SEED)


if __name__ == "__main__":
    for phase in PARTS:
        print(phase, dict(sorted(Counter(load_phase(phase)["source"]).items())))
'''


def write(work: Work) -> Written:
    """Write one file a phase and source, and the script."""
    parts = {phase: {f"{phase}/{part.name}.parquet": part.wanted for part in of_phase} for phase, of_phase in work.phases.items()}
    for phase, of_phase in work.phases.items():
        for part in of_phase:
            records = (record for _, record in work.records(part.rows, parts_record, lambda ref: _inside(work, ref)))
            write_parquet(work.folder / phase / f"{part.name}.parquet", records, parts_schema(), _ROWS_A_GROUP)
    (work.folder / "mixture.py").write_text(_SCRIPT.format(seed=work.seed, parts=json.dumps(parts, indent=4)), encoding="utf-8")
    commands = tuple(f'# train on load_phase("{phase}") of mixture.py' for phase in work.phases)
    return Written((*phase_files(work.phases, "parquet"), "mixture.py"), commands)


def _inside(work: Work, ref: ImageRef) -> dict[str, str | bytes]:
    name, data = work.images.picture(ref)
    return {"bytes": data, "path": name}


export = Exporter("datasets", write, NOTES)
