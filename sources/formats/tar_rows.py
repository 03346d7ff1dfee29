"""The rows of tars: where each row's members begin, found in one pass, and their bytes read on demand.

A key is a member's folder and its base name up to the first dot, and the members of a key stand side by side; a tar that is cut
off or broken keeps the rows before. Nothing is unpacked.
"""

from __future__ import annotations

import bisect
import tarfile
from array import array
from collections.abc import Callable, Container, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from sources.formats.json_records import MAX_RECORD_BYTES, parse_record
from sources.images import IMAGE_POLICY
from sources.offsets import Offsets
from sources.problems import Problem, RowError
from sources.reader import Row
from sources.sample import ImageRef, Sample

IMAGE_ENDINGS = frozenset({"jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff"})


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


ReadRow = Callable[["Members", int], Sample]


class TarRows:
    """Rows by number; `read` makes a sample of one, rows named in `without` (`shard/key`) are passed over, `most` members are looked at.

    A place, a size and a field number of each member are kept, in `Offsets`.
    """

    def __init__(self, files: list[Path], path: Path, read: ReadRow, without: Container[str] = (), most: int = 0) -> None:
        self._files = files
        self._path = path
        self._read = read
        self._without = without
        self._names: dict[str, int] = {}  # of fields
        self._folders: dict[str, int] = {}
        self._member_at, self._member_size, self._member_field = Offsets(), Offsets(), Offsets()
        self._first, self._folder_of = Offsets(), Offsets()  # of each row: its first member, its folder
        self._cut: dict[int, str] = {}  # row -> why the rest of its tar cannot be read
        self._ends = array("q")  # rows up to the end of each file
        for file in files:
            self._index(file, most)
            self._ends.append(len(self._first))
        self._field_names, self._folder_names = list(self._names), list(self._folders)

    def _index(self, file: Path, most: int) -> None:
        size, key, members, shard = file.stat().st_size, None, 0, shard_name(file, self._path)
        try:
            with tarfile.open(file, "r:") as tar:
                for member in tar:
                    tar.members = []  # type: ignore[attr-defined]  # it would hold every header
                    members += 1
                    if not member.isreg() or (name := _key_and_field(member.name)) is None:
                        continue
                    if f"{shard}/{name[0]}" in self._without:
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
        members = Members(file, self._field_names, self._member_at, self._member_size, self._member_field, range(self._first[number], stop))
        sample = self._read(members, number)
        return sample if sample.subsource else replace(sample, subsource=self._folder_names[self._folder_of[number]])


class Members:
    """The members of one row, read when they are asked for."""

    def __init__(self, file: Path, names: list[str], at: Offsets, sizes: Offsets, fields: Offsets, places: range) -> None:
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
            raise RowError(
                Problem.IMAGE_TOO_LARGE if member_ending(name) in IMAGE_ENDINGS else Problem.MALFORMED, f"{name} has {size} bytes"
            )
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


def member_ending(field: str) -> str:
    """Return what is behind the last dot of a field's name."""
    return field.rpartition(".")[2]


def shard_name(file: Path, path: Path) -> str:
    """Return a tar's name relative to the folder that it was found in."""
    return file.relative_to(path).as_posix() if file != path else file.name
