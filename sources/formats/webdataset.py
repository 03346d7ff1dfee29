"""WebDataset tars, Energon folders among them: the members that share a key are one row.

    000123.jpg  000123.json    {"conversations": [...]}, {"messages": [...]} or {"texts": [...]}     a conversation
    000124.jpg  000124.txt     A red bus.                                                            an image and its caption
    000125.jpg  000125.json    {"caption": "A red bus.", "url": "..."}                               img2dataset, LAION
    000126.jpg  000126.json    {"question": "What?", "answer": "A bus."}                             a question
    .nv-meta/dataset.yaml      field_map: {image: jpg, context: json[question], answers: json[answers]}      Energon's VQASample

A key is a member's folder and its base name up to the first dot (`a/img.v2.jpg` is field `v2.jpg` of `a/img`), and the members of a
key stand side by side: `webdataset/tariterators.py`, `datasets/packaged_modules/webdataset`. Several images of a row stand in the order
of their numbers, `1.png` before `10.png`. A caption's question is the image alone. Of several answers the one of most weight is learned,
the first among equals. Energon's `sample_loader.py` is code and is never run. Names in a tar are keys only, nothing is unpacked. The
sub-source is the row's own `source`, else the key's folder.
"""

from __future__ import annotations

import bisect
import re
import tarfile
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from sources.formats import parquet
from sources.formats.conversation import Message, Prepend, build_sample, refuse_other_media, split_placeholders, text_of
from sources.formats.json_records import MAX_RECORD_BYTES, parse_record
from sources.images import IMAGE_POLICY
from sources.problems import Problem, RowError, SourceError
from sources.reader import Row, Rows
from sources.sample import ImageRef, Role, Sample
from sources.spec import SourceSpec

_IMAGES = frozenset({"jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff"})
_TEXTS = ("txt", "caption")
_TALKS = ("messages", "conversations", "texts")
_OTHER_MEDIA = frozenset({"mp4", "avi", "mov", "webm", "mkv", "wav", "mp3", "flac"})
_SNIFFED = 64
_MOST_YAML_BYTES = 1_000_000
_DIGITS = re.compile(r"(\d+)")
_STEP = re.compile(r"\[([^\]]*)\]")


class WebDatasetReader:
    """Reads tars of one row a key."""

    name = "webdataset"
    version = 1

    def sniff(self, path: Path) -> bool:
        """Say whether one of the first rows of the first tar is one."""
        files = tar_files(path)
        if not files:
            return False
        try:
            rows = _TarRows(files[:1], _field_map(path), _SNIFFED)
            return any(row.sample is not None for row in islice(rows, _SNIFFED))
        except SourceError:
            return False

    def files(self, path: Path) -> list[Path]:
        """Return the tars, and what says how to read them."""
        described = [file for file in (path / ".nv-meta" / "dataset.yaml",) if file.is_file()]
        return [*tar_files(path), *described]

    def open(self, spec: SourceSpec) -> Rows:
        """Open a tar, or all tars below a folder.

        Raises:
            SourceError: there is none, or it holds nothing.
        """
        path = Path(spec.path)
        files = tar_files(path)
        if not files:
            raise SourceError(f"There is no tar at {path}; give a .tar file (not a compressed one) or a folder of them with --path")
        rows = _TarRows(files, _field_map(path))
        if not len(rows):
            raise SourceError(f"{path} holds no records (0 rows); give another --path")
        return rows


def tar_files(path: Path) -> list[Path]:
    """Return a tar, or the tars below a folder, sorted by relative name; empty if there are none."""
    if path.is_file():
        return [path] if _is_tar(path) else []
    found = (file for file in path.rglob("*.tar") if file.is_file()) if path.is_dir() else ()
    return sorted((file for file in found if _is_tar(file)), key=lambda file: file.relative_to(path).as_posix())


def _is_tar(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(263)[257:262] == b"ustar"
    except OSError:
        return False


def _field_map(path: Path) -> Mapping[str, str]:
    """Return Energon's `field_map` of a folder; empty where there is none."""
    file = path / ".nv-meta" / "dataset.yaml"
    if not file.is_file():
        return {}
    import yaml

    try:
        if file.stat().st_size > _MOST_YAML_BYTES:
            raise ValueError("larger than any such file")
        described = yaml.safe_load(file.read_text("utf-8"))
    except (yaml.YAMLError, ValueError, OSError, RecursionError) as error:
        why = (str(error) or type(error).__name__).splitlines()[0][:80]
        raise SourceError(f"{file} cannot be read ({why}); write it again with `energon prepare`") from error
    fields = described.get("field_map") if isinstance(described, dict) else None
    if not isinstance(fields, dict):
        return {}
    return {name: value for name, value in fields.items() if isinstance(name, str) and isinstance(value, str)}


class _TarRows:
    """Rows by number. Held are a place, a size and a field number for each member."""

    def __init__(self, files: list[Path], fields: Mapping[str, str], most: int = 0) -> None:
        self._files = files
        self._map = fields
        self._names: dict[str, int] = {}  # of fields
        self._folders: dict[str, int] = {}
        self._member_at, self._member_size, self._member_field = array("q"), array("q"), array("i")
        self._first, self._folder_of = array("q"), array("i")  # of each row: its first member, its folder
        self._cut: dict[int, str] = {}  # row -> why the rest of its tar cannot be read
        self._ends = array("q")  # rows up to the end of each file
        for file in files:
            self._index(file, most)
            self._ends.append(len(self._first))
        self._field_names, self._folder_names = list(self._names), list(self._folders)

    def _index(self, file: Path, most: int) -> None:
        size, key, members = file.stat().st_size, None, 0
        try:
            with tarfile.open(file, "r:") as tar:
                for member in tar:
                    tar.members = []  # type: ignore[attr-defined]  # it would hold every header
                    members += 1
                    if not member.isreg() or (name := _key_and_field(member.name)) is None:
                        continue
                    if name[0] != key:
                        key = name[0]
                        self._begin(key)
                    self._member_at.append(member.offset_data)
                    self._member_size.append(member.size if member.offset_data + member.size <= size else -1)
                    self._member_field.append(self._names.setdefault(name[1], len(self._names)))
                    if most and members >= most:
                        return
                _check_end(file, tar.offset)
        except (tarfile.TarError, OSError, ValueError, OverflowError, RecursionError) as error:
            self._cut[len(self._first)] = f"{file.name} behind its first {members} members: {str(error)[:80]}"
            self._begin("")

    def _begin(self, key: str) -> None:
        folder = key.rpartition("/")[0].partition("/")[0]
        self._first.append(len(self._member_at))
        self._folder_of.append(self._folders.setdefault(folder, len(self._folders)))

    def __len__(self) -> int:
        return len(self._first)

    def __iter__(self) -> Iterator[Row]:
        return map(self.get, range(len(self)))

    def get(self, number: int) -> Row:
        """Return one row."""
        try:
            if number in self._cut:
                raise RowError(Problem.UNSPLIT, self._cut[number])
            return Row(number, self._sample(number))
        except RowError as error:
            return Row(number, None, error.problem, error.detail)
        except RecursionError:
            return Row(number, None, Problem.MALFORMED, "nested too deeply")

    def _sample(self, number: int) -> Sample:
        stop = self._first[number + 1] if number + 1 < len(self._first) else len(self._member_at)
        file = self._files[bisect.bisect_right(self._ends, number)]
        members = _Members(
            file, self._field_names, self._member_at, self._member_size, self._member_field, range(self._first[number], stop)
        )
        sample = _read(members, number, self._map)
        return sample if sample.subsource else replace(sample, subsource=self._folder_names[self._folder_of[number]])


class _Members:
    """The members of one row, read when they are asked for."""

    def __init__(self, file: Path, names: list[str], at: array[int], sizes: array[int], fields: array[int], places: range) -> None:
        self._file = file
        self._where = {names[fields[place]]: (at[place], sizes[place]) for place in places}
        if len(self._where) < len(places):
            raise RowError(Problem.MALFORMED, "two members of one name in a row")

    def names(self) -> list[str]:
        """Return the fields in the order of the tar."""
        return list(self._where)

    def read(self, name: str, limit: int) -> bytes:
        """Return one member's bytes.

        Raises:
            RowError: it is cut off, too large or unreadable.
        """
        at, size = self._where[name]
        if size < 0:
            raise RowError(Problem.MALFORMED, f"{name} is cut off: the tar ends before it")
        if size > limit:
            raise RowError(Problem.IMAGE_TOO_LARGE if _ending(name) in _IMAGES else Problem.MALFORMED, f"{name} has {size} bytes")
        try:
            with self._file.open("rb") as file:
                file.seek(at)
                return file.read(size)
        except OSError as error:
            raise RowError(Problem.MALFORMED, f"{name}: {error.strerror}") from error

    def text(self, name: str) -> str:
        """Return one member as text."""
        try:
            return self.read(name, MAX_RECORD_BYTES).decode("utf-8")
        except UnicodeDecodeError as error:
            raise RowError(Problem.BAD_ENCODING, f"{name} is not UTF-8") from error

    def json(self, name: str) -> dict[str, Any]:
        """Return one member as a JSON object."""
        return parse_record(self.read(name, MAX_RECORD_BYTES))

    def images(self, names: list[str]) -> list[ImageRef]:
        """Return members as images."""
        return [ImageRef(data=self.read(name, IMAGE_POLICY.max_file_bytes)) for name in names]


def _check_end(file: Path, at: int) -> None:
    """Refuse what stands where the next header should, and is neither one nor the end: `tarfile` stops there without a word."""
    with file.open("rb") as handle:
        handle.seek(at)
        if handle.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise tarfile.ReadError("a broken header")


def _key_and_field(name: str) -> tuple[str, str] | None:
    folder, _, base = name.rpartition("/")
    stem, dot, field = base.partition(".")
    if not dot or not stem or folder.split("/")[-1].startswith("."):
        return None  # not of a row, as `.nv-meta/...`
    return (f"{folder}/{stem}" if folder else stem), field.lower()


def _ending(field: str) -> str:
    return field.rpartition(".")[2]


def _read(members: _Members, number: int, fields: Mapping[str, str]) -> Sample:
    names = members.names()
    if other := [name for name in names if _ending(name) in _OTHER_MEDIA]:
        raise RowError(Problem.UNSUPPORTED_MODALITY, other[0])
    if {"image", "context", "answers"} <= fields.keys():
        return _mapped(members, number, fields)
    pictures = sorted((name for name in names if _ending(name) in _IMAGES), key=_natural)
    described = next((name for name in names if _ending(name) == "json"), None)
    record = members.json(described) if described else {}
    refuse_other_media(record)
    if any(record.get(name) is not None for name in _TALKS):
        return _talk(members, record, pictures, number)
    question = next((record[name] for name in ("question", "context") if isinstance(record.get(name), str)), None)
    answer = next((record[name] for name in ("answer", "answers") if record.get(name) is not None), None)
    if question is not None and answer is not None:
        return _pair(number, members.images(pictures), question, _best(answer, record.get("answer_weights")), record)
    texts = [members.text(name) for name in names if _ending(name) in _TEXTS]
    texts += [record[name] for name in ("caption", "text") if record.get(name) is not None]
    if not texts:
        raise RowError(
            Problem.MALFORMED, f"neither a conversation nor a caption among {', '.join(names)[:80]}; a key's members stand together"
        )
    if not pictures:
        raise RowError(Problem.MISSING_IMAGE, "a caption without its image")
    return _pair(number, members.images(pictures), "", text_of(texts[0], "the caption"), record)


def _talk(members: _Members, record: dict[str, Any], pictures: list[str], number: int) -> Sample:
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


def _mapped(members: _Members, number: int, fields: Mapping[str, str]) -> Sample:
    """Read a row as Energon's `field_map` says."""
    image = next((name for name in re.split(r"[;,]", fields["image"]) if name.strip().lower() in members.names()), None)
    if image is None:
        raise RowError(Problem.MISSING_IMAGE, f"no {fields['image']}")
    question, answers = (_looked_up(members, fields[name]) for name in ("context", "answers"))
    weights = _looked_up(members, fields["answer_weights"]) if "answer_weights" in fields else None
    return _pair(number, members.images([image.strip().lower()]), text_of(question, "the context"), _best(answers, weights), {})


def _looked_up(members: _Members, expression: str) -> Any:
    """Return what an expression such as `txt` or `json[turns][0]` leads to."""
    name = expression.partition("[")[0].strip().lower()
    if name not in members.names():
        raise RowError(Problem.MALFORMED, f"no {name}, which the field_map names")
    value: Any = members.json(name) if _ending(name) == "json" else members.text(name)
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
    source = record.get("source")
    return build_sample(str(record.get("id") or number), messages, images, Prepend.ALL, source if isinstance(source, str) else "")
