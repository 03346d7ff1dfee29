"""WebDataset tars, Energon folders among them: the members that share a key are one row.

    000123.jpg  000123.json    {"conversations": [...]}, {"messages": [...]} or {"texts": [...]}     a conversation
    000124.jpg  000124.txt     A red bus.                                                            an image and its caption
    000125.jpg  000125.json    {"caption": "A red bus.", "url": "..."}                               img2dataset, LAION
    000126.jpg  000126.json    {"question": "What?", "answer": "A bus."}                             a question
    000127.json                {"caption": "A red bus.", "status": "failed_to_download"}             excluded: its image is missing
    .nv-meta/dataset.yaml, split.yaml                                                                Energon: see `sources.formats.energon`

A key is a member's folder and its base name up to the first dot (`a/img.v2.jpg` is field `v2.jpg` of `a/img`), and the members of a
key stand side by side: `webdataset/tariterators.py`, `datasets/packaged_modules/webdataset`. Where a version dot makes one key of two
rows (`img.v1.json`, `img.v2.json`), the row is malformed, not half of it taken. Several images of a row stand in the order of their
numbers, `1.png` before `10.png`. A caption's question is the image alone. Of several answers the one of most weight is learned, the
first among equals. Names in a tar are keys only, nothing is unpacked. The sub-source is the row's own `source`, else the key's folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from sources.formats import parquet
from sources.formats.conversation import (
    Message,
    Prepend,
    build_sample,
    named_subsource,
    refuse_other_media,
    row_id,
    split_placeholders,
    text_of,
)
from sources.formats.energon import EnergonFolder, note_files, read_energon
from sources.formats.tar_rows import IMAGE_ENDINGS, Members, TarRows, member_ending, shard_name, tar_files
from sources.problems import Problem, RowError, SourceError
from sources.reader import Rows
from sources.sample import ImageRef, Role, Sample
from sources.spec import SourceSpec

_TEXTS = ("txt", "caption")
_TALKS = ("messages", "conversations", "texts")
_OTHER_MEDIA = frozenset({"mp4", "avi", "mov", "webm", "mkv", "wav", "mp3", "flac"})
_SNIFFED = 64
_DIGITS = re.compile(r"(\d+)")
_STEP = re.compile(r"\[([^\]]*)\]")


class WebDatasetReader:
    """Reads tars of one row a key."""

    name = "webdataset"
    version = 2
    options: tuple[str, ...] = ()

    def sniff(self, path: Path) -> bool:
        """Say whether one of the first rows of the first tar is one."""
        try:
            files, notes = _shards(path)
            rows = _rows(files[:1], notes, path, _SNIFFED)
            return any(row.sample is not None for row in islice(rows, _SNIFFED))
        except SourceError:
            return False

    def files(self, path: Path) -> list[Path]:
        """Return the tars that are trained on, and what says how to read them.

        Raises:
            SourceError: what Energon notes beside them cannot be read.
        """
        return [*_shards(path)[0], *note_files(path)]

    def open(self, spec: SourceSpec) -> Rows:
        """Open a tar, or all tars below a folder.

        Raises:
            SourceError: there is none, or it holds nothing.
        """
        path = Path(spec.path)
        files, notes = _shards(path)
        if not files:
            held = "none of the shards that its .nv-meta/split.yaml trains on" if tar_files(path) else "no tar"
            raise SourceError(f"There is {held} at {path}; give a .tar file (not a compressed one) or a folder of them with --path")
        rows = _rows(files, notes, path)
        if not len(rows):
            raise SourceError(f"{path} holds no records (0 rows); give another --path")
        return rows


def _shards(path: Path) -> tuple[list[Path], EnergonFolder]:
    """Return the tars to train on, and what Energon notes beside them."""
    files, notes = tar_files(path), read_energon(path)
    return [file for file in files if notes.trains_on(shard_name(file, path))], notes


def _rows(files: list[Path], notes: EnergonFolder, path: Path, most: int = 0) -> TarRows:
    return TarRows(files, path, lambda members, number: _read(members, number, notes.fields), notes.excluded, most)


def _read(members: Members, number: int, fields: Mapping[str, str]) -> Sample:
    names = members.names()
    if other := [name for name in names if member_ending(name) in _OTHER_MEDIA]:
        raise RowError(Problem.UNSUPPORTED_MODALITY, other[0])
    pictures = sorted((name for name in names if member_ending(name) in IMAGE_ENDINGS), key=_natural)
    if not pictures and any(member_ending(name) == "pdf" for name in names):
        raise RowError(Problem.UNSUPPORTED_MODALITY, "pages as PDF: make an image of each page")
    if fields:
        return _mapped(members, number, fields)
    described = _only(names, ("json",))
    record = members.json(described) if described else {}
    refuse_other_media(record)
    if any(record.get(name) is not None for name in _TALKS):
        return _talk(members, record, pictures, number)
    question = next((record[name] for name in ("question", "context") if isinstance(record.get(name), str)), None)
    answer = next((record[name] for name in ("answer", "answers") if record.get(name) is not None), None)
    if question is not None and answer is not None:
        return _pair(number, members.images(pictures), question, _best(answer, record.get("answer_weights")), record)
    told = _only(names, _TEXTS)
    texts = [members.text(told)] if told else []
    texts += [record[name] for name in ("caption", "text") if record.get(name) is not None]
    if not texts:
        raise RowError(
            Problem.MALFORMED, f"neither a conversation nor a caption among {', '.join(names)[:80]}; a key's members stand together"
        )
    if not pictures:
        why = record.get("status")
        raise RowError(Problem.MISSING_IMAGE, "a caption without its image" + (f" ({why[:40]})" if isinstance(why, str) else ""))
    return _pair(number, members.images(pictures), "", text_of(texts[0], "the caption"), record)


def _only(names: list[str], endings: tuple[str, ...]) -> str | None:
    """Return the member of a row that has one of these endings, the one that is nothing but the ending where there is such a one."""
    exact = [name for name in endings if name in names]
    found = exact or [name for name in names if member_ending(name) in endings]
    if len(found) > 1:
        raise RowError(Problem.MALFORMED, f"{', '.join(found)[:80]} under one key, which ends at the first dot of a member's name")
    return found[0] if found else None


def _talk(members: Members, record: dict[str, Any], pictures: list[str], number: int) -> Sample:
    listed = record.get("images") or record.get("image")
    if listed and not pictures:
        raise RowError(Problem.MISSING_IMAGE, "the tar holds no image of this row")
    held = {"images": [ref.data for ref in members.images(pictures)], "image": None}
    sample = parquet.read_record(record | held, number, "")
    if any(ref.path is not None for ref in sample.images):
        raise RowError(Problem.MISSING_IMAGE, "a turn names an image by path; a row's images are members of the tar")
    return sample


def _natural(name: str) -> list[str | int]:
    """Return what sorts `10.png` behind `2.png`."""
    return [int(part) if part.isdecimal() else part for part in _DIGITS.split(name)]


def _mapped(members: Members, number: int, fields: Mapping[str, str]) -> Sample:
    """Read a row as Energon's `field_map` says: a question and its answers, or an image and its text."""
    images = _mapped_images(members, fields["image"]) if "image" in fields else []
    if {"context", "answers"} <= fields.keys():
        question = text_of(_looked_up(members, fields["context"]), "the context")
        weights = _looked_up(members, fields["answer_weights"]) if "answer_weights" in fields else None
        return _pair(number, images, question, _best(_looked_up(members, fields["answers"]), weights), {})
    shown = next((name for name in ("caption", "text") if name in fields), None)
    if shown is None or not images:
        known = "image, context and answers; image and caption; image and text"
        raise RowError(Problem.MALFORMED, f"a field_map of {', '.join(fields)[:80]}; read are {known}")
    return _pair(number, images, "", text_of(_looked_up(members, fields[shown]), shown), {})


def _mapped_images(members: Members, expression: str) -> list[ImageRef]:
    name = next((name for name in re.split(r"[;,]", expression.lower()) if name.strip() in members.names()), None)
    if name is None:
        raise RowError(Problem.MISSING_IMAGE, f"no {expression}")
    return members.images([name.strip()])


def _looked_up(members: Members, expression: str) -> Any:
    """Return what an expression such as `txt` or `json[turns][0]` leads to."""
    name = expression.partition("[")[0].strip().lower()
    if name not in members.names():
        raise RowError(Problem.MALFORMED, f"no {name}, which the field_map names")
    value: Any = members.json(name) if member_ending(name) == "json" else members.text(name)
    for step in _STEP.findall(expression):
        try:
            value = value[int(step)] if isinstance(value, list) else value[step]
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise RowError(Problem.MALFORMED, f"nothing at {expression[:60]}") from error
    return value


def _best(answers: Any, weights: Any) -> str:
    if isinstance(answers, str):
        return answers
    if not isinstance(answers, list) or not answers or not all(isinstance(answer, str) for answer in answers):
        raise RowError(Problem.NO_ANSWER if answers in ([], None) else Problem.MALFORMED, "the answers are no texts")
    if weights is None:
        return str(answers[0])
    if not isinstance(weights, list) or len(weights) != len(answers) or not all(isinstance(w, (int, float)) for w in weights):
        raise RowError(Problem.MALFORMED, "not a weight for each answer")
    return str(answers[max(range(len(answers)), key=lambda i: (weights[i], -i))])


def _pair(number: int, images: list[ImageRef], question: str, answer: str, record: Mapping[str, Any]) -> Sample:
    asked = split_placeholders(Role.USER, question) if question else []
    messages = [Message(Role.USER, asked), Message(Role.ASSISTANT, [answer])]
    return build_sample(row_id(record.get("id"), number), messages, images, Prepend.ALL, named_subsource(record) or "")
