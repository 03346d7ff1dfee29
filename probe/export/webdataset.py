"""`webdataset`: the mixture as tars for any trainer, one seeded shuffled sequence of shards a phase, rows drawn to the exact counts.

    OUT/phase-1/000000.tar
        000000000.0.jpg  000000000.1.png     the row's images, in the order of their places
        000000000.json                       {"messages": [...], "images": ["0.jpg", "1.png"], "source": "llava-665k/coco", "id": "..."}

The members of a row stand side by side; a key ends at the first dot, so the second image of a row is its field `1.png`
(`webdataset/tariterators.py`).
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from probe.export.conversation import conversation_record
from probe.export.exporter import Exporter, Work, Written, rows_written
from probe.export.materialised import phase_comments
from sources.sample import ImageRef

NOTES = (
    "Tars of one phase after the other, already drawn to the counts above and shuffled: train on them in order, each once, without any",
    "weighting of the trainer's own. The k-th `<image>` stands for the k-th of `images`, which are the names of the row's own members.",
)
SHARD_BYTES = 1 << 30  # of members; a shard is closed behind the row that reaches it
_BLOCK = tarfile.BLOCKSIZE


def write(work: Work) -> Written:
    """Write every phase's shards."""
    files = [f"{phase}/{shard}" for phase in work.phases for shard in _write_shards(work.folder / phase, _rows(work, phase), SHARD_BYTES)]
    return Written(tuple(files), phase_comments(work.phases, "{}/*.tar"))


def _rows(work: Work, phase: str) -> Iterator[tuple[Mapping[str, Any], list[bytes]]]:
    """Yield a phase's records with the bytes of their images, in order of their names."""
    held: list[tuple[str, bytes]] = []

    def hold(ref: ImageRef) -> int:
        name, data = work.images.picture(ref)
        held.append((name.rpartition(".")[2], data))
        return len(held) - 1

    for _, record in work.records(work.shuffled(phase), conversation_record, hold):
        placed = [held[place] for place in record["images"]]
        names = [f"{place}.{ending}" for place, (ending, _) in enumerate(placed)]
        yield {**record, "images": names}, [data for _, data in placed]
        held.clear()


def _write_shards(folder: Path, rows: Iterator[tuple[Mapping[str, Any], list[bytes]]], most: int) -> list[str]:
    """Write rows into numbered tars of about so many bytes at most, and return their names."""
    folder.mkdir(parents=True)
    names: list[str] = []
    numbered = enumerate(rows)
    first = next(numbered, None)
    while first is not None:
        names.append(f"{len(names):06d}.tar")
        with tarfile.open(folder / names[-1], "w", format=tarfile.USTAR_FORMAT) as tar:
            held = _add_row(tar, *first)
            while (first := next(numbered, None)) is not None and held < most:
                held += _add_row(tar, *first)
    return names


def _add_row(tar: tarfile.TarFile, number: int, row: tuple[Mapping[str, Any], list[bytes]]) -> int:
    """Add a row's members and return the bytes they take."""
    record, images = row
    members = [*zip(record["images"], images, strict=True), ("json", json.dumps(record).encode())]
    return sum(_add(tar, f"{number:09d}.{name}", data) for name, data in members)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> int:
    """Add a member with nothing of this machine in its header, and return the bytes it takes."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
    return _BLOCK + -(-len(data) // _BLOCK) * _BLOCK


export = Exporter("webdataset", write, NOTES, rows_written)
