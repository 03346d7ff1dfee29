"""WebDataset shards as Megatron-Energon reads them: tar files, an index beside each, and what `energon prepare` writes of them.

    shard-000000.tar         000000000.json, 000000000.0.jpg, 000000001.json, ...: a sample is the members of one key, up to the first dot
    shard-000000.tar.idx     where each sample begins and the last one ends, unsigned of eight bytes, little end first
    .nv-meta/                dataset.yaml, split.yaml, .info.json (rows a shard), index.sqlite (where each member is), index.uuid

Format: `megatron-energon` 7.4, `flavors/webdataset/prepare.py`, `itar.py`, `indexing.py`.
"""

from __future__ import annotations

import io
import json
import sqlite3
import struct
import tarfile
import uuid
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from sources.canonical import plain_hash

SHARD_BYTES = 1 << 28
VERSION = "7.4.1"
_BLOCK = 512
_TABLES = """
CREATE TABLE samples (tar_file_id INTEGER NOT NULL, sample_key TEXT NOT NULL UNIQUE, sample_index INTEGER NOT NULL,
                      byte_offset INTEGER, byte_size INTEGER);
CREATE TABLE sample_parts (tar_file_id INTEGER, sample_index INTEGER, part_name TEXT,
                           content_byte_offset INTEGER, content_byte_size INTEGER);
"""
_INDEXES = """
CREATE INDEX idx_samples_by_tar_and_idx ON samples(tar_file_id, sample_index);
CREATE INDEX idx_sample_parts_seq ON sample_parts(tar_file_id, sample_index, content_byte_offset);
CREATE INDEX idx_sample_parts_full ON sample_parts(tar_file_id, sample_index, part_name, content_byte_offset, content_byte_size);
"""

Members = Sequence[tuple[str, bytes]]  # of one sample: field ("json", "0.jpg") and bytes


class _Shard:
    """One tar file in the making, and where in it everything is."""

    def __init__(self, folder: Path, number: int, opened: ExitStack) -> None:
        self.name = f"shard-{number:06}.tar"
        self.samples: list[tuple[str, int, int]] = []  # key, first byte, bytes
        self.parts: list[tuple[int, str, int, int]] = []  # sample, field, first byte of its content, bytes
        self._folder = folder
        self._tar = opened.enter_context(tarfile.TarFile(folder / self.name, "w", format=tarfile.USTAR_FORMAT))

    @property
    def size(self) -> int:
        return self._tar.offset

    def add(self, key: str, members: Members) -> None:
        begin = self._tar.offset
        for field, data in members:
            self.parts.append((len(self.samples), field, self._tar.offset + _BLOCK, len(data)))
            entry = tarfile.TarInfo(f"{key}.{field}")
            entry.size = len(data)
            self._tar.addfile(entry, io.BytesIO(data))
        self.samples.append((key, begin, self._tar.offset - begin))

    def write_offsets(self) -> None:
        _, begin, size = self.samples[-1]
        offsets = [*(first for _, first, _ in self.samples), begin + size]
        (self._folder / f"{self.name}.idx").write_bytes(struct.pack(f"<{len(offsets)}Q", *offsets))


def write_energon(folder: Path, samples: Iterable[Members], shard_bytes: int = SHARD_BYTES) -> None:
    """Write samples in order, each under a running number as its key, with all that Energon needs to read them as crude samples.

    A shard is closed once it has `shard_bytes`.
    """
    meta = folder / ".nv-meta"
    meta.mkdir(parents=True)
    shards = _write_shards(folder, samples, shard_bytes)
    counts = {shard.name: len(shard.samples) for shard in shards}
    (meta / "dataset.yaml").write_text("__module__: megatron.energon\n__class__: CrudeWebdataset\n", encoding="utf-8")
    splits = ("split_parts:\n  train:\n", *(f"  - {name}\n" for name in counts), "  val: []\n  test: []\nexclude: []\n")
    (meta / "split.yaml").write_text("".join(splits), encoding="utf-8")
    (meta / ".info.json").write_text(json.dumps({"energon_version": VERSION, "shard_counts": counts}, indent=2), encoding="utf-8")
    known = plain_hash([[shard.name, shard.samples, shard.parts] for shard in shards])
    (meta / "index.uuid").write_text(str(uuid.UUID(known)), encoding="utf-8")
    _write_index(meta / "index.sqlite", shards)


def _write_shards(folder: Path, samples: Iterable[Members], shard_bytes: int) -> list[_Shard]:
    shards: list[_Shard] = []
    with ExitStack() as opened:
        for number, members in enumerate(samples):
            if not shards or shards[-1].size >= shard_bytes:
                opened.close()
                shards.append(_Shard(folder, len(shards), opened))
            shards[-1].add(f"{number:09}", members)
    for shard in shards:
        shard.write_offsets()
    return shards


def _write_index(path: Path, shards: Sequence[_Shard]) -> None:
    database = sqlite3.connect(path)
    try:
        database.executescript(_TABLES)
        for number, shard in enumerate(shards):
            samples = ((number, key, index, begin, size) for index, (key, begin, size) in enumerate(shard.samples))
            database.executemany("INSERT INTO samples VALUES (?, ?, ?, ?, ?)", samples)
            database.executemany("INSERT INTO sample_parts VALUES (?, ?, ?, ?, ?)", ((number, *part) for part in shard.parts))
        database.executescript(_INDEXES)
        database.commit()
    finally:
        database.close()
