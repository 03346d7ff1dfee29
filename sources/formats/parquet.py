"""Parquet of FineVision, The Cauldron and Docmatix: one file, or a folder of shards.

    {"images": [{"bytes": b"<jpeg>", "path": None}],
     "texts": [{"user": "What do respiration and combustion give out?", "assistant": "Answer: B", "source": "ai2d"}],
     "source": "ai2d_merged"}

Read as `nanoVLM/data/datasets.py` does: all images before the first question, a pair of texts is two turns. Also LLaVA-OneVision's
hub parquet (`image`, `conversations`, `data_source`) and chat records (`messages`, `images`). Image bytes are never decoded by
Arrow, where a corrupt one could not be skipped. Text is text, also where it looks like an image token. The sub-source is
`source` or `data_source`, else the first text's own `source`.
"""

from __future__ import annotations

import bisect
import os
from collections.abc import Collection, Iterator, Mapping
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

from sources.formats import chat, llava
from sources.formats.conversation import (
    Message,
    Part,
    Place,
    Prepend,
    build_sample,
    list_of,
    mapping_of,
    row_id,
    system_message,
    text_of,
)
from sources.formats.files import image_root, parquet_files
from sources.formats.record_rows import RecordRows
from sources.problems import Problem, RowError, SourceError
from sources.reader import Rows
from sources.sample import Role, Sample
from sources.spec import SourceSpec

_TURNS = ("texts", "conversations", "messages")
_COLUMNS = (*_TURNS, "images", "image", "id", "source", "data_source", "channel", "system", "video", "videos", "audio", "audios")
_BATCH_ROWS = 32


class ParquetReader:
    """Reads parquet with images inside, by row group."""

    name = "parquet"
    version = 2

    def sniff(self, path: Path) -> bool:
        """Say whether it is parquet with a column of turns."""
        files = parquet_files(path)
        try:
            return bool(files) and any(name in _TURNS for name in _column_names(files[0]))
        except SourceError:
            return False

    def files(self, path: Path) -> list[Path]:
        """Return the file, or what a folder holds of this format."""
        return parquet_files(path)

    def open(self, spec: SourceSpec) -> Rows:
        """Open a file or all shards below a folder.

        Raises:
            SourceError: no parquet, no rows, or none of the columns that hold turns.
        """
        files = parquet_files(Path(spec.path))
        if not files:
            raise SourceError(f"There is no parquet file at {spec.path}; give a .parquet file or a folder of shards with --path")
        root = image_root(spec)
        return RecordRows(_ParquetRecords(files), lambda record, number: read_record(record, number, root))


def read_record(record: Mapping[str, Any], number: int, root: str) -> Sample:
    """Return one parquet row as a sample.

    Raises:
        RowError: it cannot be used.
    """
    if record.get("messages") is not None:
        return chat.read_record(record, number, root)
    images = chat.listed_images(record, root)
    texts = record.get("texts")
    if texts is None:
        messages = system_message(record) + llava.read_conversations(record.get("conversations"))
        return build_sample(row_id(record.get("id"), number), messages, images, Prepend.ONE, _subsource(record, None))
    pairs = [mapping_of(pair, "a text") for pair in list_of(texts, "texts")]
    return build_sample(row_id(record.get("id"), number), _messages(pairs, len(images)), images, Prepend.ALL, _subsource(record, pairs))


def _messages(pairs: list[Mapping[str, Any]], n_images: int) -> list[Message]:
    messages: list[Message] = []
    for pair in pairs:
        places: list[Part] = [] if messages else [Place.NEXT] * n_images
        messages.append(Message(Role.USER, [*places, text_of(pair.get("user"), "user")]))
        messages.append(Message(Role.ASSISTANT, [text_of(pair.get("assistant"), "assistant")]))
    return messages


def _subsource(record: Mapping[str, Any], pairs: list[Mapping[str, Any]] | None) -> str:
    named = [record.get("source"), record.get("data_source"), pairs[0].get("source") if pairs else None]
    return next((name for name in named if isinstance(name, str) and name), "")


class _ParquetRecords:
    """Rows of shards by number; one row group is held at a time."""

    def __init__(self, files: list[Path]) -> None:
        self._groups = [(file, group, rows) for file in files for group, rows in enumerate(_group_sizes(file))]
        self._ends = list(accumulate(rows for _, _, rows in self._groups))
        if not self._ends or not self._ends[-1]:
            raise SourceError(f"{files[0].parent if len(files) > 1 else files[0]} holds no records (0 rows); give another --path")
        self._held: tuple[int, Any] = (-1, None)
        self._opened: tuple[Path | None, int, Any, list[str]] = (None, 0, None, [])  # the last file, with the process that opened it

    def _open(self, file: Path) -> tuple[Any, list[str]]:
        """Return a file and the columns wanted of it; its footer grows with its row groups, so it is not read for each."""
        if self._opened[:2] != (file, os.getpid()):
            self._opened = (file, os.getpid(), _open_file(file), _wanted(file))
        return self._opened[2:]

    def __len__(self) -> int:
        return self._ends[-1]

    def __iter__(self) -> Iterator[Mapping[str, Any] | RowError]:
        return self.walk(0, len(self))

    def walk(self, start: int, stop: int) -> Iterator[Mapping[str, Any] | RowError]:
        """Walk some rows in order."""
        for (file, group, rows), end in zip(self._groups, self._ends, strict=True):
            begin = end - rows
            if begin < stop and start < end:
                yield from islice(self._group_records(file, group, rows), max(start, begin) - begin, min(stop, end) - begin)

    def get(self, number: int) -> Mapping[str, Any] | RowError:
        """Return one row, or why it is none."""
        index = bisect.bisect_right(self._ends, number)
        file, group, rows = self._groups[index]
        try:
            if self._held[0] != index:
                opened, columns = self._open(file)
                self._held = (index, opened.read_row_group(group, columns=columns))
            return _record(self._held[1], number - (self._ends[index] - rows))
        except Exception as error:
            return _unreadable(error)

    def _group_records(self, file: Path, group: int, rows: int) -> Iterator[Mapping[str, Any] | RowError]:
        given = 0
        try:
            opened, columns = self._open(file)
            for batch in opened.iter_batches(batch_size=_BATCH_ROWS, row_groups=[group], columns=columns):
                for record in _records(batch):
                    given += 1
                    yield record
        except Exception as error:  # a damaged page: the rest of its row group cannot be read
            yield from [_unreadable(error)] * (rows - given)


def _records(batch: Any) -> Iterator[Mapping[str, Any] | RowError]:
    try:
        return iter(batch.to_pylist())
    except Exception:  # a row that cannot be read costs itself only
        return (_record(batch, index) for index in range(batch.num_rows))


def _record(table: Any, index: int) -> Mapping[str, Any] | RowError:
    try:
        record: Mapping[str, Any] = table.slice(index, 1).to_pylist()[0]
        return record
    except UnicodeDecodeError as error:
        return RowError(Problem.BAD_ENCODING, f"text that is not UTF-8: {error.reason}")
    except Exception as error:
        return _unreadable(error)


def _unreadable(error: Exception) -> RowError:
    return RowError(Problem.MALFORMED, f"Arrow cannot read it: {str(error)[:200] or type(error).__name__}")


def _open_file(file: Path) -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetFile(file, pre_buffer=False)  # not mapped: it would come to be resident as a whole


def _column_names(file: Path) -> list[str]:
    import pyarrow as pa

    try:
        return list(_open_file(file).schema_arrow.names)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SourceError(f"{file} cannot be read as parquet ({str(error)[:100]}); download it again") from error


def wanted_columns(names: Collection[str], place: str) -> list[str]:
    """Return which of a file's columns are read.

    Raises:
        SourceError: none of them holds turns.
    """
    if not any(name in _TURNS for name in names):
        found = ", ".join(list(names)[:12])
        raise SourceError(f"{place} has none of the columns {', '.join(_TURNS)} (it has {found}); give another --path or subset")
    return [name for name in _COLUMNS if name in names]


def _wanted(file: Path) -> list[str]:
    return [name for name in _COLUMNS if name in _column_names(file)]


def _group_sizes(file: Path) -> list[int]:
    wanted_columns(_column_names(file), str(file))
    metadata = _open_file(file).metadata
    return [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
