"""Parquet of FineVision, The Cauldron and Docmatix: one file, or a folder of shards.

    {"images": [{"bytes": b"<jpeg>", "path": None}],
     "texts": [{"user": "What do respiration and combustion give out?", "assistant": "Answer: B"}],
     "source": "ai2d_merged", "relevance_ratings": [5], "relevance_min": 5, "formatting_ratings": [None], ...}        FineVision
    {"images": [...], "texts": [{"user": "...", "assistant": "...", "source": "CLEVR"}]}                            The Cauldron
    {"images": [page, page, ...], "texts": [{..., "source": "PDFA key: 244"}]}  {"pdf": b"%PDF...", "texts": ...}    Docmatix
    {"id": "1", "image": {...} or None, "conversations": [{"from": "human", ...}], "data_source": "iam(cauldron)"}  LLaVA-OneVision
    {"messages": [{"role": "user", "content": "<image>..."}, ...], "images": [...]}                                 chat

Read as `nanoVLM/data/datasets.py` does: all images before the first question, a pair of texts is two turns. Image bytes are never
decoded by Arrow, where a corrupt one could not be skipped. Text is text, also where it looks like an image token. The option
`min_rating` leaves out turns that any of the four ratings puts below it (an absent rating leaves nothing out), and rows with no turn
left. A row is unsupported that comes as a PDF, or whose bytes stand in a column that is not read as an image: it would be trained on
without what it is about. The sub-source is `source` or `data_source`, else the first text's own `source`.
"""

from __future__ import annotations

import bisect
import os
from collections.abc import Iterator, Mapping
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
    named_subsource,
    refuse_other_media,
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
_IMAGES = ("images", "image")
_RATINGS = ("relevance_ratings", "image_correspondence_ratings", "visual_dependency_ratings", "formatting_ratings")
_MEDIA = ("video", "videos", "audio", "audios", "pdf", "pdfs")
_COLUMNS = (*_TURNS, *_IMAGES, *_MEDIA, *_RATINGS, "id", "source", "data_source", "channel", "system", "objects")
_BATCH_ROWS = 32


class ParquetReader:
    """Reads parquet with images inside, by row group."""

    name = "parquet"
    version = 3
    options: tuple[str, ...] = ("min_rating",)

    def sniff(self, path: Path) -> bool:
        """Say whether it is parquet with a column of turns."""
        files = parquet_files(path)
        try:
            return bool(files) and any(name in _TURNS for name in _schema(files[0]).names)
        except SourceError:
            return False

    def files(self, path: Path) -> list[Path]:
        """Return the file, or what a folder holds of this format."""
        return parquet_files(path)

    def open(self, spec: SourceSpec) -> Rows:
        """Open a file or all shards below a folder.

        Raises:
            SourceError: no parquet, no rows, none of the columns that hold turns, or a `min_rating` that is no number.
        """
        files = parquet_files(Path(spec.path))
        if not files:
            raise SourceError(f"There is no parquet file at {spec.path}; give a .parquet file or a folder of shards with --path")
        root, least = image_root(spec), _min_rating(spec)
        return RecordRows(_ParquetRecords(files), lambda record, number: read_record(record, number, root, least))


def read_record(record: Mapping[str, Any], number: int, root: str, min_rating: float | None = None) -> Sample:
    """Return one parquet row as a sample, without the turns that are rated below `min_rating`.

    Raises:
        RowError: it cannot be used.
    """
    refuse_other_media(record)
    _refuse_unread_bytes(record)
    if record.get("messages") is not None:
        return chat.read_record(record, number, root)
    images = chat.listed_images(record, root)
    texts = record.get("texts")
    if texts is None:
        messages = system_message(record) + llava.read_conversations(record.get("conversations"))
        return build_sample(row_id(record.get("id"), number), messages, images, Prepend.ONE, _subsource(record, None))
    pairs = [mapping_of(pair, "a text") for pair in list_of(texts, "texts")]
    if min_rating is not None:
        pairs = _rated(record, pairs, min_rating)
    return build_sample(row_id(record.get("id"), number), _messages(pairs, len(images)), images, Prepend.ALL, _subsource(record, pairs))


def _messages(pairs: list[Mapping[str, Any]], n_images: int) -> list[Message]:
    messages: list[Message] = []
    for pair in pairs:
        places: list[Part] = [] if messages else [Place.NEXT] * n_images
        messages.append(Message(Role.USER, [*places, text_of(pair.get("user"), "user")]))
        messages.append(Message(Role.ASSISTANT, [text_of(pair.get("assistant"), "assistant")]))
    return messages


def _subsource(record: Mapping[str, Any], pairs: list[Mapping[str, Any]] | None) -> str:
    return named_subsource(record) or (named_subsource({"source": pairs[0].get("source")}) if pairs else None) or ""


def _min_rating(spec: SourceSpec) -> float | None:
    try:
        return float(given) if (given := spec.option("min_rating")) else None
    except ValueError as error:
        raise SourceError(f"--option min_rating={given} is no number; ratings go from 1 to 5, as in min_rating=3") from error


def _rated(record: Mapping[str, Any], pairs: list[Mapping[str, Any]], least: float) -> list[Mapping[str, Any]]:
    kept = []
    for turn, pair in enumerate(pairs):
        ratings = [rated[turn] for name in _RATINGS if isinstance(rated := record.get(name), list) and len(rated) > turn]
        if all(rating >= least for rating in ratings if isinstance(rating, (int, float))):
            kept.append(pair)
    if pairs and not kept:
        raise RowError(Problem.LOW_RATING, f"every turn has a rating below {least:g}")
    return kept


def _refuse_unread_bytes(record: Mapping[str, Any]) -> None:
    if any(name in record for name in _IMAGES):
        return
    unread = next((name for name, value in record.items() if _is_bytes(value)), None)
    if unread:
        cure = "rename the column to images, as a list of encoded images"
        raise RowError(Problem.UNSUPPORTED_MODALITY, f"the column {unread!r} holds bytes, and there is none of images: {cure}")


def _is_bytes(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(_is_bytes(one) for one in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, bytes)


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
            opened = _open_file(file)
            self._opened = (file, os.getpid(), opened, wanted_columns(opened.schema_arrow, str(file)))
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


def _schema(file: Path) -> Any:
    import pyarrow as pa

    try:
        return _open_file(file).schema_arrow
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SourceError(f"{file} cannot be read as parquet ({str(error)[:100]}); download it again") from error


def wanted_columns(schema: Any, place: str) -> list[str]:
    """Return which columns of an Arrow schema are read; where none of them holds images, those of bytes too, which a row then needs.

    Raises:
        SourceError: none of them holds turns.
    """
    names = schema.names
    if not any(name in _TURNS for name in names):
        found = ", ".join(names[:12])
        raise SourceError(f"{place} has none of the columns {', '.join(_TURNS)} (it has {found}); give another --path or subset")
    with_images = any(name in names for name in (*_IMAGES, *_MEDIA))
    return [name for name in names if name in _COLUMNS or (not with_images and _holds_bytes(schema.field(name).type))]


def _holds_bytes(kind: Any) -> bool:
    import pyarrow.types as kinds

    if kinds.is_list(kind) or kinds.is_large_list(kind):
        return _holds_bytes(kind.value_type)
    if kinds.is_struct(kind):
        return any(_holds_bytes(field.type) for field in kind)
    return bool(kinds.is_binary(kind) or kinds.is_large_binary(kind))


def _group_sizes(file: Path) -> list[int]:
    wanted_columns(_schema(file), str(file))
    metadata = _open_file(file).metadata
    return [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
