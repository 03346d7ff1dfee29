"""The note of a pool, written last: what its rows were drawn from and how, and the hashes by which a change is noticed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sources.canonical import content_hash
from sources.fingerprint import file_hash
from sources.problems import SourceError
from sources.spec import SourceSpec, Stream
from sources.whole_files import write_whole_text

NOTE = "pool.json"
_DRAW = 1  # raised when the same files and seed would give other rows


@dataclass(frozen=True, slots=True)
class PoolNote:
    """What a complete pool says of itself; `files` maps names to hashes, empty for images, `asked` is what the user had asked for."""

    identity: str
    asked: Mapping[str, Any]
    revision: str
    files: Mapping[str, str]


def stream_identity(spec: SourceSpec) -> str:
    """Return the hash of what a streamed source's rows are drawn from and how, wherever it lies."""
    stream = spec.stream or Stream()
    drawn = [stream.file, stream.split, stream.rows, stream.seed, stream.version, bool(stream.images)]
    return content_hash([_DRAW, spec.hub_id, spec.subset, spec.revision, drawn])


def check_here(spec: SourceSpec) -> None:
    """Look whether all that was drawn of a streamed source is still there, unchanged.

    Raises:
        SourceError: it is not; the message names the files.
    """
    pool = Path(spec.path).parent
    note = read_note(pool) if spec.path else None
    if note is None or note.identity != stream_identity(spec):
        raise SourceError(f"The rows drawn of {shown_name(spec)} are not here; fetch them with `probe sources fetch {spec.slug}`")
    if bad := changed_files(pool, note):
        names = ", ".join(bad[:3]) + (", ..." if len(bad) > 3 else "")
        what = f"{len(bad)} of {len(note.files)} files drawn of {shown_name(spec)} are not here or changed ({names})"
        raise SourceError(f"{what}; fetch them again with `probe sources fetch {spec.slug}`")


def is_here(spec: SourceSpec) -> bool:
    """Say whether a source needs no fetching."""
    try:
        if spec.stream is not None:
            check_here(spec)
    except SourceError:
        return False
    return True


def asked_for(spec: SourceSpec) -> dict[str, Any]:
    """Return what the user asks for, before anything is looked up."""
    stream = spec.stream or Stream()
    names = ("url", "file", "split", "rows", "seed", "images")
    return {"hub_id": spec.hub_id, "subset": spec.subset} | {name: getattr(stream, name) for name in names}


def shown_name(spec: SourceSpec) -> str:
    """Return what a streamed source is called in messages: its data set and subset, or its URL."""
    stream = spec.stream or Stream()
    return " ".join(filter(None, (spec.hub_id or stream.url, spec.subset)))


def write_note(spec: SourceSpec, pool: Path) -> None:
    """Declare a pool complete."""
    files = {name: file_hash(pool / name) if name.startswith("data/") else "" for name in _files(pool)}
    note = {"identity": stream_identity(spec), "asked": asked_for(spec), "revision": spec.revision, "files": files}
    write_whole_text(pool / NOTE, json.dumps(note, indent=1))


def read_note(pool: Path) -> PoolNote | None:
    """Return a pool's note, or None where it is not complete."""
    try:
        held = json.loads((pool / NOTE).read_text(encoding="utf-8"))
        return PoolNote(held["identity"], held["asked"], held["revision"], dict(held["files"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def changed_files(pool: Path, note: PoolNote) -> list[str]:
    """Return the names of the files that are not as they were written; of an image only whether it is there."""
    return [name for name, digest in note.files.items() if (_hash(pool / name) != digest if digest else not (pool / name).exists())]


def remove_changed(pool: Path) -> None:
    """Remove what cannot be trusted, so that it is fetched again, and the note, so that nobody reads the pool meanwhile."""
    if note := read_note(pool):
        for name in changed_files(pool, note):
            (pool / name).unlink(missing_ok=True)
        (pool / NOTE).unlink()


def _files(pool: Path) -> list[str]:
    found = (path for path in pool.rglob("*") if not path.is_dir() and not path.name.endswith(".partial"))
    names = sorted(path.relative_to(pool).as_posix() for path in found)
    return [name for name in names if name.startswith(("data/", "images/"))]


def _hash(path: Path) -> str:
    try:
        return file_hash(path)
    except SourceError:
        return ""
