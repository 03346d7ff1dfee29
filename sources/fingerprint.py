"""Fingerprints: what a source holds, never where it lies."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from sources.canonical import HASH_HEX_CHARS, content_hash
from sources.problems import SourceError
from sources.spec import SourceSpec
from sources.whereabouts import check_place

_CHUNK = 1 << 20


def fingerprint(spec: SourceSpec) -> str:
    """Return the hash of a source's files, or of the parameters it is made from, and of the view that its options take.

    A streamed source's is the hash of what its rows are drawn from and how (revision, subset, split, number and seed); what was drawn
    must be there and unchanged.

    Raises:
        SourceError: its files are not there, or cannot be read.
    """
    if spec.stream is not None:
        from sources.remote.note import check_here, stream_identity

        check_here(spec)
        held: object = stream_identity(spec)
    elif spec.path:
        check_place(spec)
        held = content_fingerprint(Path(spec.path), spec.format)
    elif spec.format == "easy-vqa":
        from sources.easy_vqa import package_version

        held = package_version()
    elif spec.hub_id:
        held = [spec.hub_id, spec.subset, spec.revision]
    else:
        from sources.formats.registry import find_reader

        held = find_reader(spec.format).version  # made by code: other code, other rows
    return content_hash([spec.format, held, sorted(spec.options)])


def content_fingerprint(path: Path, format_: str) -> str:
    """Return the hash of a file's bytes, or of the names and bytes of the files in a folder that hold a format's records.

    Raises:
        SourceError: nothing is there, or it cannot be read.
    """
    from sources.formats.registry import find_reader

    reader = find_reader(format_)
    # A reader of somebody else's may be older than `files`: then what lies at the path is the data.
    files = (
        reader.files(path)
        if hasattr(reader, "files")
        else sorted(f for f in ([path] if path.is_file() else path.rglob("*")) if f.is_file())
    )
    if not files:
        what = f"holds no {format_} data" if path.exists() else "is not there"
        raise SourceError(f"{path} {what}; give the data file or the folder that holds it with --path")
    names = [file.relative_to(path).as_posix() if path.is_dir() else "" for file in files]
    return content_hash([[name, file_hash(file)] for name, file in zip(names, files, strict=True)])


def file_hash(path: Path) -> str:
    """Return the hash of a file's bytes, remembered in this process while its size and time stay the same.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        status = path.stat()
        return _file_hash(str(path.absolute()), status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror}); check that it is there and readable") from error


@lru_cache(maxsize=4096)
def _file_hash(path: str, size: int, mtime_ns: int) -> str:
    digest = hashlib.blake2b(digest_size=HASH_HEX_CHARS // 2)
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
