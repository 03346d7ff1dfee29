"""`streaming`: MosaicML streaming, one folder of MDS shards a phase and source, and the `choose` of each.

    OUT/phases.json     {"phase-1": [{"local": "phase-1/colour", "choose": 150}, ...]}
    OUT/phase-1/colour  index.json, shard.00000.mds: columns `record` (JSON: messages, images, source, id) and `images` (bytes)
    OUT/mixture.py      StreamingDataset(streams=streams("phase-1"), batch_size=...), and images(row)

Format: `streaming/base/stream.py`, `Stream` and `apply_weights`: with `choose` an epoch holds exactly so many rows of a stream, whole
copies first. A row's images lie one behind the other in one column; `images` of its record lists their sizes in bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from probe.export.conversation import conversation_record
from probe.export.exporter import Exporter, Part, Work, Written
from probe.export.mds_shards import write_mds
from sources.sample import ImageRef

COLUMNS = {"images": "bytes", "record": "json"}
NOTES = (
    'In your training script make the data set as `StreamingDataset(streams=streams("phase-1"), batch_size=...)` with `streams` of',
    "`mixture.py`, and train one epoch a phase, in order, each from where the one before ended. `images(row)` gives a row's images in the",
    "order of the `<image>` in its messages. Leave `epoch_size` and `sampling_method` alone: both would change the mixture. To train from",
    'object storage, upload the folder and give `streams("phase-1", remote="s3://...")`.',
)
SCRIPT = '''"""The phases of this folder as MosaicML streams: from mixture import images, streams."""

import io
import json
from pathlib import Path

from streaming import Stream

FOLDER = Path(__file__).resolve().parent


def streams(phase, remote=None):
    """Return the streams of a phase, "phase-1" and so on; `remote` is where this folder was uploaded, if it was."""
    entries = json.loads((FOLDER / "phases.json").read_text(encoding="utf-8"))[phase]
    return [
        Stream(local=str(FOLDER / entry["local"]), remote=remote and f"{remote}/{entry['local']}", choose=entry["choose"])
        for entry in entries
    ]


def images(row):
    """Return a row's images as PIL images, in the order of the `<image>` in its messages."""
    from PIL import Image

    data = io.BytesIO(row["images"])
    return [Image.open(io.BytesIO(data.read(size))).convert("RGB") for size in row["record"]["images"]]
'''


def write(work: Work) -> Written:
    """Write shards a phase and source, and what to choose of them."""
    phases = {phase: [_entry(phase, part) for part in parts] for phase, parts in work.phases.items()}
    for phase, parts in work.phases.items():
        for part in parts:
            write_mds(work.folder / phase / part.name, COLUMNS, _rows(work, part))
    (work.folder / "phases.json").write_text(json.dumps(phases, indent=2) + "\n", encoding="utf-8")
    (work.folder / "mixture.py").write_text(SCRIPT, encoding="utf-8")
    shards = sorted(path for phase in work.phases for path in (work.folder / phase).rglob("*") if path.is_file())
    files = ("phases.json", "mixture.py", *(path.relative_to(work.folder).as_posix() for path in shards))
    return Written(files, tuple(_comment(phase, number) for number, phase in enumerate(work.phases)))


def _rows(work: Work, part: Part) -> Iterator[Mapping[str, bytes]]:
    held: list[bytes] = []

    def hold(ref: ImageRef) -> str:
        held.append(work.images.picture(ref)[1])
        return str(len(held) - 1)

    for _, record in work.records(part.rows, conversation_record, hold):
        shown = [held[int(place)] for place in record["images"]]
        held.clear()
        yield {"images": b"".join(shown), "record": _json({**record, "images": [len(data) for data in shown]})}


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=True).encode()


def _entry(phase: str, part: Part) -> dict[str, str | int]:
    return {"local": f"{phase}/{part.name}", "choose": part.wanted}


def _comment(phase: str, number: int) -> str:
    return f'# train one epoch on StreamingDataset(streams=streams("{phase}"), ...)' + (
        ", from where the phase before ended" if number else ""
    )


export = Exporter("streaming", write, NOTES)
