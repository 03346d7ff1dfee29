"""Files as tests write them: images, JSON, JSON lines, tables, parquet and tar, with their folders."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image


def encoded(image: Image.Image, format_: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def write_json(path: Path, records: Sequence[Any], indent: int | None = None) -> Path:
    return write(path, json.dumps(records, indent=indent).encode())


def write_jsonl(path: Path, records: Sequence[Any]) -> Path:
    return write(path, b"".join(r + b"\n" if isinstance(r, bytes) else json.dumps(r).encode() + b"\n" for r in records))


def write_tsv(path: Path, lines: Sequence[Mapping[str, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(lines)
    return path


def write_parquet(path: Path, records: Sequence[Mapping[str, Any]], row_group: int = 4) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(records)), path, row_group_size=row_group)
    return path


def write_tar(path: Path, members: Mapping[str, bytes | dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, held in members.items():
            data = held if isinstance(held, bytes) else json.dumps(held).encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path
