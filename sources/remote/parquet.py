"""Parquet shards drawn from afar: footers first, then the needed columns of the row groups that the draw touches, by range requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from sources.problems import SourceError
from sources.remote.listing import Listing, RemoteFile, open_remote, reachable
from sources.remote.plan import Block, pick_shards, plan_blocks
from sources.remote.tasks import AT_ONCE, Progress, StoppedError, Task
from sources.whole_files import write_whole_text

# Footers are read of so many shards; where there are more, of so many picked by seed: a draw has no use for a row a shard.
MOST_SHARDS = 256
_WRITTEN_ROWS = 128  # a row group of the local copy: what a draw of single rows reads at once
_WRITTEN_BYTES = 32 << 20
_LARGE_GROUP = 64 << 20  # bytes; a larger one is read a piece at a time, so that memory stays flat
_PIECE = 8 << 20


class ParquetDraw:
    """The draw of a parquet source; `work` keeps footers and `note` the sizes found in them, so that nothing is asked for twice."""

    def __init__(self, listing: Listing, work: Path, note: Path, rows: int, seed: str, progress: Progress | None = None) -> None:
        self._files = [listing.files[i] for i in pick_shards(len(listing.files), MOST_SHARDS, seed)]
        self._work, self._note = work, note
        self._locks = [threading.Lock() for _ in self._files]
        groups, self._bytes = self._sizes(progress)
        self.blocks = plan_blocks(groups, rows, seed)
        self.shards = len(listing.files)
        self.shards_read = len(self._files)
        self.groups = sum(map(len, groups))
        self.rows_seen = sum(map(sum, groups))
        if not self.blocks:
            raise SourceError(f"{self._files[0].url} holds no records (0 rows); give another subset, split or address")

    def tasks(self) -> list[Task]:
        """Return what is to be fetched, a file a row group."""
        return [
            Task(f"{block.shard:05d}-{block.group:05d}.parquet", self._bytes[block.shard][block.group], partial(self._fetch, block))
            for block in self.blocks
        ]

    def _sizes(self, progress: Progress | None) -> tuple[list[list[int]], list[list[int]]]:
        """Return the rows and the bytes of the needed columns of each shard's row groups."""
        if self._note.exists():
            held = json.loads(self._note.read_text("utf-8"))
            return held["rows"], held["bytes"]
        rows, sizes = [], []
        with ThreadPoolExecutor(2 * AT_ONCE) as pool:
            try:
                for done, footer in enumerate(pool.map(self._footer, range(len(self._files))), start=1):
                    rows.append([footer.row_group(i).num_rows for i in range(footer.num_row_groups)])
                    sizes.append(_needed_bytes(footer, self._files[done - 1]))
                    if progress:
                        progress(done, len(self._files))
            finally:
                pool.shutdown(cancel_futures=True)
        write_whole_text(self._note, json.dumps({"rows": rows, "bytes": sizes}))
        return rows, sizes

    def _footer(self, shard: int) -> Any:
        with self._locks[shard]:
            return self._kept_footer(shard)

    def _kept_footer(self, shard: int) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        kept, file = self._work / f"{shard:05d}.footer", self._files[shard]
        if kept.exists():
            return pq.read_metadata(kept)
        try:
            with reachable(file.url), open_remote(file) as handle:
                footer = pq.read_metadata(handle)
        except pa.ArrowInvalid as error:
            raise SourceError(f"{file.url} is no parquet file, whatever its name says; choose the files with --file") from error
        temporary = kept.with_suffix(".partial")
        footer.write_metadata_file(temporary)
        temporary.replace(kept)
        return footer

    def _fetch(self, block: Block, path: Path, stop: threading.Event) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        file, footer = self._files[block.shard], self._footer(block.shard)
        large = self._bytes[block.shard][block.group] > _LARGE_GROUP
        try:
            with reachable(file.url), open_remote(file) as handle:
                source = pq.ParquetFile(handle, metadata=footer, pre_buffer=not large, buffer_size=_PIECE if large else 0)
                _copy_rows(source, block, needed_columns(footer, file), path, stop, large)
        except pa.ArrowException as error:
            where = f"row group {block.group} of {file.url}"
            raise SourceError(f"{where} is damaged ({str(error)[:100]}); take another --revision, or other files with --file") from error


def needed_columns(footer: Any, file: RemoteFile) -> list[str]:
    """Return the columns that the reader of parquet wants.

    Raises:
        SourceError: none of them holds turns.
    """
    from sources.formats.parquet import wanted_columns

    return wanted_columns(footer.schema.to_arrow_schema(), file.url)


def _needed_bytes(footer: Any, file: RemoteFile) -> list[int]:
    """Return the compressed bytes of the needed columns, by row group."""
    wanted = set(needed_columns(footer, file))
    sizes = []
    for i in range(footer.num_row_groups):
        group = footer.row_group(i)
        columns = (group.column(j) for j in range(group.num_columns))
        sizes.append(sum(column.total_compressed_size for column in columns if column.path_in_schema.split(".")[0] in wanted))
    return sizes


def _copy_rows(source: Any, block: Block, columns: Sequence[str], path: Path, stop: threading.Event, large: bool) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    chosen, start, held = set(block.rows), 0, []
    with pq.ParquetWriter(path, pa.schema([source.schema_arrow.field(name) for name in columns])) as writer:
        for batch in source.iter_batches(batch_size=_WRITTEN_ROWS, row_groups=[block.group], columns=columns, use_threads=False):
            if large and stop.is_set():  # a small one is finished, so that what was fetched for it is not fetched again
                raise StoppedError
            here = [row - start for row in range(start, start + batch.num_rows) if row in chosen]
            start += batch.num_rows
            held.append(batch.take(pa.array(here, pa.int64())))
            if sum(b.num_rows for b in held) >= _WRITTEN_ROWS or sum(b.nbytes for b in held) >= _WRITTEN_BYTES:
                writer.write_table(pa.Table.from_batches(held))
                held = []
        if held:
            writer.write_table(pa.Table.from_batches(held))
