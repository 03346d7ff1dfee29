"""Shards in MosaicML's MDS format: small binary files with an index, read by the package `streaming`.

A shard is the number of rows n, n + 1 offsets, the configuration as JSON, and the rows, all numbers being unsigned of four bytes, little
end first; a row is the sizes of its columns and then their bytes. `index.json` lists the shards. Format: `streaming` 0.13,
`streaming/base/format/mds/writer.py`, `base/writer.py`. Written here because that package pins an older numpy.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

SHARD_BYTES = 1 << 26


def write_mds(folder: Path, columns: Mapping[str, str], rows: Iterable[Mapping[str, bytes]], shard_bytes: int = SHARD_BYTES) -> None:
    """Write rows of encoded columns; `columns` says each one's MDS encoding (`bytes`, `str`, `json`), in the order of their names.

    A shard is closed before it would exceed `shard_bytes`; a single row above that has one for itself.

    Raises:
        ValueError: a shard would need more than 32 bits for an offset.
    """
    config = _config(columns, shard_bytes)
    head = json.dumps(config, sort_keys=True).encode()
    shards: list[dict[str, Any]] = []
    held: list[bytes] = []
    size = _head_size(0, head)
    folder.mkdir(parents=True)
    for row in rows:
        encoded = _encoded([row[name] for name in config["column_names"]])
        if held and size + len(encoded) + 4 > shard_bytes:
            shards.append(_write_shard(folder, len(shards), held, head, config))
            held, size = [], _head_size(0, head)
        held.append(encoded)
        size += len(encoded) + 4
    if held:
        shards.append(_write_shard(folder, len(shards), held, head, config))
    (folder / "index.json").write_text(json.dumps({"shards": shards, "version": 2}, sort_keys=True), encoding="utf-8")


def _config(columns: Mapping[str, str], shard_bytes: int) -> dict[str, Any]:
    names = sorted(columns)
    return {
        "column_encodings": [columns[name] for name in names],
        "column_names": names,
        "column_sizes": [None] * len(names),
        "compression": None,
        "format": "mds",
        "hashes": [],
        "size_limit": shard_bytes,
        "version": 2,
    }


def _encoded(columns: list[bytes]) -> bytes:
    return struct.pack(f"<{len(columns)}I", *map(len, columns)) + b"".join(columns)


def _head_size(rows: int, head: bytes) -> int:
    return 4 + 4 * (rows + 1) + len(head)


def _write_shard(folder: Path, number: int, rows: list[bytes], head: bytes, config: Mapping[str, Any]) -> dict[str, Any]:
    start = _head_size(len(rows), head)
    offsets = list(accumulate(map(len, rows), initial=start))
    if offsets[-1] >= 1 << 32:
        raise ValueError(f"a shard of {offsets[-1]} bytes does not fit the MDS format, which ends at 4 GiB")
    name = f"shard.{number:05}.mds"
    with (folder / name).open("wb") as file:
        file.write(struct.pack(f"<I{len(offsets)}I", len(rows), *offsets) + head)
        file.writelines(rows)
    raw = {"basename": name, "bytes": offsets[-1], "hashes": {}}
    return {**config, "raw_data": raw, "samples": len(rows), "zip_data": None}
