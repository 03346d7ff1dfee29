"""Small data sets laid out as hub repositories: parquet of FineVision's kind, JSON with images beside, tars."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def png(number: int, side: int = 32) -> bytes:
    """Return noise of its own, which does not compress, so that sizes in tests are like those of photographs."""
    pixels = np.random.default_rng(number).integers(0, 255, (side, side, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def row(number: int, shard: int) -> dict[str, object]:
    return {
        "images": [{"bytes": png(number), "path": None}],
        "texts": [{"user": f"What is number {number}?", "assistant": f"It is {number}."}],
        "source": f"shard-{shard}",
        "waste": "w" * 50 + str(np.random.default_rng(number).integers(0, 2**62, 200).tolist()),  # a column that no reader wants
    }


def finevision(root: Path, subset: str = "chartqa", shards: int = 4, rows: int = 200, group: int = 20) -> Path:
    """Write a repository of one subset, a folder of shards, as FineVision has it; `source` says which shard a row is from."""
    repo = root / "org" / "fine"
    (repo / subset).mkdir(parents=True, exist_ok=True)
    for shard in range(shards):
        table = pa.Table.from_pylist([row(shard * 1000 + i, shard) for i in range(rows)])
        pq.write_table(table, repo / subset / f"train-{shard:05d}-of-{shards:05d}.parquet", row_group_size=group)
    names = sorted(path.name for path in repo.iterdir() if path.is_dir())
    configs = "".join(f'- config_name: "{name}"\n  data_files:\n  - split: train\n    path: "{name}/train-*"\n' for name in names)
    (repo / "README.md").write_text(f"---\nconfigs:\n{configs}---\n# fine\n", encoding="utf-8")
    return repo


def llava(root: Path, rows: int = 30) -> Path:
    """Write a repository of one LLaVA JSON file, and its images in a folder beside the repositories."""
    repo, images = root / "org" / "sharegpt", root / "images"
    repo.mkdir(parents=True, exist_ok=True)
    (images / "coco").mkdir(parents=True, exist_ok=True)
    records = []
    for i in range(rows):
        (images / "coco" / f"{i}.png").write_bytes(png(i))
        talk = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": f"Number {i}."}]
        records.append({"id": str(i), "image": f"coco/{i}.png", "conversations": talk})
    (repo / "cap.json").write_text(json.dumps(records), encoding="utf-8")
    return repo


def tars(root: Path, shards: int = 5, rows: int = 12) -> Path:
    repo = root / "org" / "tars"
    repo.mkdir(parents=True, exist_ok=True)
    for shard in range(shards):
        with tarfile.open(repo / f"{shard:05d}.tar", "w") as tar:
            for i in range(rows):
                for ending, data in (("png", png(shard * 100 + i)), ("txt", f"Caption {shard} {i}".encode())):
                    info = tarfile.TarInfo(f"{shard:03d}{i:03d}.{ending}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    return repo


def arrow(root: Path, shards: int = 3, rows: int = 50) -> Path:
    """Write a repository of arrow shards; the rows of each say where in it they stand."""
    repo = root / "org" / "arrow"
    repo.mkdir(parents=True, exist_ok=True)
    for shard in range(shards):
        table = pa.Table.from_pylist([row(shard * 1000 + i, shard) | {"id": f"{shard} {i}"} for i in range(rows)])
        with pa.OSFile(str(repo / f"train-{shard:05d}-of-{shards:05d}.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as out:
            out.write_table(table)
    return repo


def packed_json(root: Path, rows: int = 60) -> Path:
    repo = root / "org" / "packed"
    repo.mkdir(parents=True, exist_ok=True)
    with gzip.open(repo / "train.jsonl.gz", "wt", encoding="utf-8") as out:
        for i in range(rows):
            talk = [{"from": "human", "value": f"Question {i}?"}, {"from": "gpt", "value": f"Answer {i}."}]
            out.write(json.dumps({"id": str(i), "conversations": talk}) + "\n")
    return repo
