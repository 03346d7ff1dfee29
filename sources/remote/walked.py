"""Shards that can only be walked from their start (arrow, compressed JSON): picked by seed, read by `datasets` undecoded, sampled whole.

Of each shard the rows with the smallest seeded numbers are kept, so that none is more likely for standing early.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sources.ordering import seeded_key
from sources.problems import SourceError
from sources.remote.listing import Listing, RemoteFile, reachable
from sources.remote.plan import PLACES, pick_shards
from sources.remote.tasks import StoppedError, Task

_MODULE = {"arrow": "arrow", "packed": "json"}


def walked_tasks(listing: Listing, rows: int, seed: str) -> list[Task]:
    """Return what is to be fetched, a file a shard."""
    chosen = pick_shards(len(listing.files), PLACES if rows else len(listing.files), seed)
    share = [rows // len(chosen) + (i < rows % len(chosen)) if rows else 0 for i in range(len(chosen))]
    return [
        Task(f"{shard:05d}.parquet", listing.files[shard].size, partial(_walk, listing.kind, listing.files[shard], n, f"{seed} {shard}"))
        for shard, n in zip(chosen, share, strict=True)
        if n or not rows
    ]


def _walk(kind: str, file: RemoteFile, rows: int, seed: str, path: Path, stop: threading.Event) -> None:
    import datasets
    import pyarrow as pa
    import pyarrow.parquet as pq

    kept: list[tuple[int, int, Mapping[str, Any]]] = []
    with reachable(file.url):
        walked = datasets.load_dataset(_MODULE[kind], data_files=[file.url], split="train", streaming=True).decode(False)
        for number, row in enumerate(walked):
            if stop.is_set():
                raise StoppedError
            entry = (-seeded_key(0, seed, number), number, row)
            if not rows or len(kept) < rows:
                heapq.heappush(kept, entry)
            else:
                heapq.heappushpop(kept, entry)
    if not kept:
        raise SourceError(f"{file.url} holds no records (0 rows); choose the files with --file")
    records = [row for _, _, row in sorted(kept, key=lambda entry: entry[1])]
    pq.write_table(pa.Table.from_pylist(records), path, row_group_size=128)
