"""The table that VLMEvalKit is given: the items as we read them, so that nothing of a hostile or odd file reaches it.

Images are base64 whatever the file held; choices stand in A, B, ... without gaps and the answer is a letter; yes and no are written as
VLMEvalKit compares them; rows that we left out are out. All other columns stay as they were.
"""

from __future__ import annotations

import base64
import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from probe.errors import ProbeError
from probe.vlmeval.known import kit_name
from sources.benchmark import BenchmarkSpec, Item
from sources.canonical import hash_bytes
from sources.formats.tsv import read_table
from sources.images import read_image_bytes
from sources.whole_files import write_whole

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_REFERENCE_CHARS = 64  # VLMEvalKit takes a cell this short for another row's index
_OURS = {"index", "image", "answer", *LETTERS}


def write_table(target: Path, spec: BenchmarkSpec, items: Sequence[Item]) -> None:
    """Write a benchmark's items as VLMEvalKit's table; it is there only when it is complete.

    Raises:
        ProbeError: two items share an index, by which VLMEvalKit tells them apart.
        SourceError: the benchmark's own table cannot be read.
        RowError: an image cannot be read.
    """
    if twice := next((item.id for item in items if "#" in item.id and _without_number(item.id, items)), None):
        raise ProbeError(f"VLMEvalKit tells rows apart by their index, and more than one of {spec.name} is {twice.rpartition('#')[0]!r}.")
    lines = _lines_of(spec, items)
    letters = LETTERS[: max((len(item.choices) for item in items), default=0)]
    columns = ["index", "image", *dict.fromkeys(name for line in lines for name in line if name not in _OURS), *letters, "answer"]

    def write(path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, delimiter="\t", quoting=csv.QUOTE_ALL, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(_rows(items, lines))

    write_whole(target, write)


def _without_number(name: str, items: Sequence[Item]) -> bool:
    return any(item.id == name.rpartition("#")[0] for item in items)


def _lines_of(spec: BenchmarkSpec, items: Sequence[Item]) -> list[Mapping[str, str]]:
    table = read_table(Path(spec.path), spec.image_root)
    lines = {line.get("index") or str(number): line for number, line in enumerate(table.lines) if line is not None}
    chosen = [lines[item.id] for item in items]
    if kit_name(spec) != "VizWiz":
        return chosen
    return [{"answers": line["answer"], **line} for line in chosen]  # its class reads them there and nowhere else


def _rows(items: Sequence[Item], lines: Sequence[Mapping[str, str]]) -> Iterable[dict[str, str]]:
    first: dict[str, str] = {}  # an image's cell -> the index of the first row with it
    for item, line in zip(items, lines, strict=True):
        kept = {name: cell for name, cell in line.items() if name not in _OURS}
        data = [read_image_bytes(ref) for ref in item.images]
        cell = _image_cell(data)
        if "image_path" in kept:
            kept["image_path"] = _inside(kept["image_path"], data)
        known = first.setdefault(cell, item.id) if len(item.id) <= _REFERENCE_CHARS else item.id
        image = cell if known == item.id else known
        yield {"index": item.id, "image": image, **kept, **_choices(item), "answer": _answer(item, line)}


def _image_cell(data: Sequence[bytes]) -> str:
    cells = [base64.b64encode(image).decode("ascii") for image in data]
    return cells[0] if len(cells) == 1 else str(cells) if cells else ""


def _inside(cell: str, data: Sequence[bytes]) -> str:
    """Return an image's name as a file below VLMEvalKit's folder: as it is where it is safe, else by what the image holds."""
    paths = Path(cell).parts
    safe = len(data) == 1 and paths and not Path(cell).is_absolute() and ".." not in paths and not cell.startswith("[") and len(cell) < 200
    return cell if safe else str([f"{hash_bytes(image)}.png" for image in data])


def _is_yes_no(item: Item) -> bool:
    return item.choices == ("Yes", "No")


def _choices(item: Item) -> dict[str, str]:
    return {} if _is_yes_no(item) else dict(zip(LETTERS, item.choices, strict=False))


def _answer(item: Item, line: Mapping[str, str]) -> str:
    if item.choices and not _is_yes_no(item):
        return LETTERS[item.choices.index(item.answer)]
    return item.answer if item.choices else line["answer"]
