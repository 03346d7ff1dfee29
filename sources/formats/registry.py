"""The registry of readers: a name, and where its class is. A reader's module is imported when it is first asked for.

Third parties register theirs under the entry-point group `vlm_source_probe.readers`.
"""

from __future__ import annotations

import difflib
from functools import cache
from pathlib import Path
from typing import cast

from sources.problems import SourceError
from sources.reader import Reader, Rows
from sources.spec import SourceSpec
from sources.whereabouts import check_place

ENTRY_POINT_GROUP = "vlm_source_probe.readers"

# In the order in which they look at unknown data: the most particular first.
_TARGETS = {
    "parquet": "sources.formats.parquet:ParquetReader",
    "tsv": "sources.formats.tsv:TsvReader",
    "chat": "sources.formats.chat:ChatReader",
    "llava": "sources.formats.llava:LlavaReader",
    "webdataset": "sources.formats.webdataset:WebDatasetReader",
    "easy-vqa": "sources.easy_vqa:EasyVqaReader",
    "world": "sources.world.reader:WorldReader",
}


def reader_names() -> tuple[str, ...]:
    """Return every known format's name, ours first."""
    return tuple(_targets())


def find_reader(name: str) -> Reader:
    """Return a format's reader.

    Raises:
        SourceError: no such format.
    """
    target = _targets().get(name)
    if target is None:
        close = difflib.get_close_matches(name, _targets(), n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(_targets())}"
        raise SourceError(f"There is no format {name!r}; {hint}")
    return _load(target)


def open_rows(spec: SourceSpec) -> Rows:
    """Open a source with its format's reader.

    Raises:
        SourceError: it cannot be used at all.
    """
    check_place(spec)
    return find_reader(spec.format).open(spec.unviewed())


def detect_format(path: Path | str) -> str:
    """Return the format's name, found by looking at the data.

    Raises:
        SourceError: nothing is there, or no reader understands it.
    """
    path = Path(path)
    if not path.exists():
        raise SourceError(nothing_at(path))
    for name in reader_names():
        if find_reader(name).sniff(path):
            return name
    raise SourceError(_not_understood(path))


def nothing_at(path: Path | str) -> str:
    """Return what to tell somebody who gives a path at which nothing is."""
    return f"There is nothing at {path}; give the data file or the folder that holds it with --path"


def _not_understood(path: Path) -> str:
    from sources.formats.files import json_files, json_files_below
    from sources.formats.json_records import has_no_records, no_records_message

    if path.is_file() and path.stat().st_size == 0:
        return f"{path} is empty (0 bytes); download it again or give another --path"
    files = json_files(path)
    if path.is_dir() and not any(path.iterdir()):
        return f"The folder {path} is empty; give the folder or file that holds the data with --path"
    if path.is_dir() and not files:
        held = "neither parquet shards nor a JSON file, nor tars with a row that can be read"
        if below := json_files_below(path):
            cure = f"give --path {below[0].parent}, or one file of it, and with --images the folder that image paths start from"
            return f"The folder {path} itself holds {held}, but {below[0].parent.name} holds {_names(below)}; {cure}"
        return f"The folder {path} holds {held}; give the data file with --path"
    if path.is_file() and _head(path) == b"\x1f\x8b":
        return f"{path} is compressed; unpack it (gunzip), so that its rows can be fetched by number"
    if path.suffix == ".parquet":
        return f"{path} is no parquet file, whatever its name says; download it again"
    if utf16 := [file for file in files if _head(file)[:2] in (b"\xff\xfe", b"\xfe\xff")]:
        return f"{utf16[0]} is UTF-16; save it as UTF-8 (iconv -f UTF-16 -t UTF-8)"
    if empty := [file for file in files if has_no_records(file)]:
        return no_records_message(empty[0])
    if len(files) > 1:
        several = f"The JSON files in {path} ({_names(files)})"
        return f"{several} are not all of one format that a reader understands; give one of them with --path"
    return f"No reader understands {path}; the formats are {', '.join(reader_names())}: name one with --format"


def _names(files: list[Path]) -> str:
    return ", ".join(file.name for file in files[:5])


def _head(file: Path) -> bytes:
    with file.open("rb") as handle:
        return handle.read(2)


@cache
def _targets() -> dict[str, str]:
    from importlib.metadata import entry_points

    plugins = {point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}
    return _TARGETS | {name: target for name, target in plugins.items() if name not in _TARGETS}


@cache
def _load(target: str) -> Reader:
    from importlib import import_module

    module, _, attribute = target.partition(":")
    return cast(Reader, getattr(import_module(module), attribute)())
