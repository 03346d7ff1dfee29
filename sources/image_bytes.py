"""The bytes of an image: a path that somebody else wrote, kept inside its root, and a file of bounded size."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from sources.problems import Problem, RowError
from sources.sample import ImageRef

_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:")  # `http:`, `file:`, `data:`, and Windows' `C:`


def bounded_bytes(ref: ImageRef, limit: int) -> bytes:
    """Return at most `limit` bytes of an image.

    Raises:
        RowError: missing, empty, over the limit, or an unsafe path.
    """
    with bounded_file(ref, limit) as file:
        try:
            data = file.read(limit + 1)
        except OSError as error:
            raise RowError(Problem.UNDECODABLE_IMAGE, str(error.strerror)) from error
    _refuse_size(len(data), limit)
    return data


@contextmanager
def bounded_file(ref: ImageRef, limit: int) -> Iterator[BinaryIO]:
    """Open an image's bytes for reading, whose number is known to be within the limit.

    Raises:
        RowError: missing, empty, over the limit, or an unsafe path.
    """
    if ref.data is not None:
        _refuse_size(len(ref.data), limit)
        yield io.BytesIO(ref.data)
        return
    descriptor = _descriptor(safe_path(ref), ref.path or "")
    try:
        _refuse_irregular(os.fstat(descriptor), limit)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def image_status(ref: ImageRef, limit: int, folders: dict[str, int]) -> os.stat_result:
    """Return the status of an image file within the limit without opening it.

    `folders` remembers the folders found below the root, with the time (ns) each was changed before anything in it was looked at.

    Raises:
        RowError: missing, empty, over the limit, or an unsafe path.
    """
    path = ref.path or ""
    _refuse_unsafe_text(path)
    folder, _, name = path.rpartition("/")
    try:
        if folder not in folders and name and ref.root is not None:
            real = os.path.dirname(safe_path(ImageRef(path=f"{folder}/_" if folder else "_", root=ref.root)))
            folders[folder] = os.stat(real).st_mtime_ns
        status = os.lstat(os.path.join(ref.root or "", path))
        if stat.S_ISLNK(status.st_mode) or folder not in folders:
            status = os.stat(safe_path(ref))
    except (OSError, ValueError) as error:
        safe_path(ref)
        raise RowError(*_open_problem(error)) from error
    _refuse_irregular(status, limit)
    return status


def safe_path(ref: ImageRef) -> str:
    """Return the real path of an image file, which lies below its root after every link is followed.

    Raises:
        RowError: `UNSAFE_PATH`, `REMOTE_IMAGE`, or `MISSING_IMAGE` for an empty or unrepresentable name.
    """
    path = ref.path or ""
    _refuse_unsafe_text(path)
    if not path or ref.root is None:
        raise RowError(Problem.MISSING_IMAGE, "no path" if not path else "the source has no image root")
    try:
        root = os.path.realpath(ref.root)
        real = os.path.realpath(os.path.join(root, path))
        inside = os.path.commonpath([root, real]) == root
    except (OSError, ValueError) as error:
        raise RowError(Problem.MISSING_IMAGE, str(error)) from error
    if not inside:
        raise RowError(Problem.UNSAFE_PATH, f"{path!r} is a link out of the image root")
    return real


def _refuse_unsafe_text(path: str) -> None:
    if "\0" in path or "\\" in path:
        raise RowError(Problem.UNSAFE_PATH, f"{path[:200]!r} holds a backslash or a NUL")
    if scheme := _SCHEME.match(path):
        if "://" in path and scheme.group().lower() != "file:":
            raise RowError(Problem.REMOTE_IMAGE, f"{path[:200]!r} is a URL: download the image and give a path below the image root")
        raise RowError(Problem.UNSAFE_PATH, f"{path[:200]!r} starts with {scheme.group()!r}: give a path below the image root")
    if path.startswith("/"):
        raise RowError(Problem.UNSAFE_PATH, f"{path[:200]!r} is not below the image root: give a folder that holds it with --images")
    if ".." in path.split("/"):
        raise RowError(Problem.UNSAFE_PATH, f"{path[:200]!r} climbs with `..`")


def _descriptor(real: str, written: str) -> int:
    try:
        # Non-blocking, so that a FIFO put in an image's place cannot hang the run before it is seen for what it is.
        return os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        problem, why = _open_problem(error)
        raise RowError(problem, f"{written[:160]}: {why}") from error


def _refuse_irregular(status: os.stat_result, limit: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise RowError(Problem.MISSING_IMAGE, "a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise RowError(Problem.UNSAFE_PATH, "not a regular file")
    _refuse_size(status.st_size, limit)


def _refuse_size(size: int, limit: int) -> None:
    if not size:
        raise RowError(Problem.EMPTY_IMAGE, "0 bytes")
    if size > limit:
        raise RowError(Problem.IMAGE_TOO_LARGE, f"{size} bytes, at most {limit} are allowed")


def _open_problem(error: OSError | ValueError) -> tuple[Problem, str]:
    code = error.errno if isinstance(error, OSError) else None
    if code in (errno.ELOOP, errno.ENXIO):  # a link put there since, or a socket
        return Problem.UNSAFE_PATH, os.strerror(code)
    return Problem.MISSING_IMAGE, os.strerror(code) if code else str(error)
