"""The pool of a streamed source: the rows drawn from it once, as local files in its own format, and a note written last.

    NAME-IDENTITY/pool.json     what was drawn, with the hash of every file: its existence means that the draw is complete
    NAME-IDENTITY/data/...      what the ordinary readers read
    NAME-IDENTITY/work/...      what a restart needs not ask for again

The draw is decided by the names and sizes of the published files and a seed, so it is the same on every machine.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sources.canonical import content_hash
from sources.fingerprint import file_hash
from sources.problems import SourceError
from sources.remote.hub import list_hub
from sources.remote.hub_errors import Unreachable
from sources.remote.listing import Listing, is_url, list_url
from sources.remote.parquet import ParquetDraw
from sources.remote.tasks import Progress, run_tasks
from sources.remote.walked import walked_tasks
from sources.remote.whole import fetch_tars, local_name, whole_tasks
from sources.spec import SourceSpec, Stream

# As many distinct images as an index decodes in full (`sources.indexing.FULL_DECODE_IMAGES`); probes of 5,000 rows then share a quarter
# of theirs, and at 100 to 300 kB an image it is 2 to 6 GB.
DEFAULT_ROWS = 20_000
_DRAW = 1  # raised when the same files and seed would give other rows
_NOTE = "pool.json"
_FORMATS = {"parquet": "parquet", "tar": "webdataset", "tsv": "tsv", "arrow": "parquet", "packed": "parquet"}
Say = Callable[[str], None]


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
    note = _read_note(pool) if spec.path else None
    if note is None or note.identity != stream_identity(spec):
        raise SourceError(f"The rows drawn of {_where(spec)} are not here; fetch them with `probe sources fetch {spec.slug}`")
    if bad := _changed(pool, note):
        names = ", ".join(bad[:3]) + (", ..." if len(bad) > 3 else "")
        what = f"{len(bad)} of {len(note.files)} files drawn of {_where(spec)} are not here or changed ({names})"
        raise SourceError(f"{what}; fetch them again with `probe sources fetch {spec.slug}`")


def is_here(spec: SourceSpec) -> bool:
    """Say whether a source needs no fetching."""
    try:
        if spec.stream is not None:
            check_here(spec)
    except SourceError:
        return False
    return True


def fetch_source(spec: SourceSpec, pools: Path, say: Say, progress: Progress | None = None) -> SourceSpec:
    """Draw a streamed source into a folder of `pools`, or go on with that, and return it with all that was found out filled in.

    Raises:
        Unreachable: it cannot be reached and was not drawn before.
        SourceError: it cannot be used; the message holds the cure.
    """
    if spec.stream is None or (spec.stream.fixed and spec.path and is_here(spec)):
        return spec
    try:
        found, listing = _listed(spec, spec.stream)
    except Unreachable as unreachable:
        return _drawn_before(spec, pools, say, unreachable)
    pool = Path(spec.path).parent if spec.stream.fixed and spec.path else pools / _pool_name(found)
    note = _read_note(pool)
    if note is None or _changed(pool, note):
        _draw(found, listing, pool, say, progress)
    return _placed(found, pool)


def _listed(spec: SourceSpec, stream: Stream) -> tuple[SourceSpec, Listing]:
    found, listing = (spec, list_url(stream.url)) if is_url(stream.url) else list_hub(spec, stream)
    whole = listing.kind in ("json", "tsv") and not stream.images
    fixed = replace(stream, rows=0 if whole else stream.rows, seed=0 if whole else stream.seed, version=listing.version, fixed=True)
    found = replace(found, stream=fixed)
    if stream.fixed and fixed.version != stream.version:
        raise SourceError(f"The files at {stream.url} are others than {spec.slug} was drawn from; add it again with --replace")
    return found, listing


def _draw(spec: SourceSpec, listing: Listing, pool: Path, say: Say, progress: Progress | None) -> None:
    stream, data, work = spec.stream or Stream(), pool / "data", pool / "work"
    for folder in (data, work):
        folder.mkdir(parents=True, exist_ok=True)
    _remove_changed(pool)
    seed = listing.seed(stream.seed)
    if listing.kind == "parquet":
        draw = ParquetDraw(listing, work, stream.rows, seed, progress)
        tasks = draw.tasks()
        say(_parquet_lines(spec, draw, sum(task.bytes for task in tasks)))
        run_tasks(tasks, data, progress)
    elif listing.kind == "tar":
        size = sum(file.size for file in listing.files)
        about = f"{len(listing.files)} tars of {_bytes(size)}"
        say(f"{_where(spec)}: {about}; whole ones are fetched in a seeded order until {stream.rows or 'all'} rows are here")
        fetch_tars(spec, listing, data, stream.rows, seed, lambda: _count_rows(spec, data), progress)
    elif listing.kind in ("json", "tsv"):
        say(f"{_where(spec)}: {len(listing.files)} files of {_bytes(sum(file.size for file in listing.files))}, fetched whole")
        whole = work if stream.images else data
        run_tasks(whole_tasks(spec, listing.files), whole, progress)
        if stream.images:
            from sources.remote.pictures import draw_with_images

            draw_with_images(whole, data, stream.images, stream.rows, seed, say, progress)
    else:
        tasks = walked_tasks(listing, stream.rows, seed)
        size = sum(task.bytes for task in tasks)
        say(f"{_where(spec)}: {len(tasks)} of {len(listing.files)} files are read through ({_bytes(size)}), and a share of each is kept")
        run_tasks(tasks, data, progress)
    _write_note(spec, pool)
    shutil.rmtree(work)


def _parquet_lines(spec: SourceSpec, draw: ParquetDraw, size: int) -> str:
    rows = sum(len(block.rows) for block in draw.blocks)
    shards = f"{draw.shards} shards"
    if draw.shards_read < draw.shards:
        shards = f"{draw.shards_read} shards picked of {draw.shards}"
    return f"{_where(spec)}: {rows:,} of {draw.rows_seen:,} rows, {_bytes(size)} in {len(draw.blocks):,} of {draw.groups:,} row groups, {shards}"


def _placed(spec: SourceSpec, pool: Path) -> SourceSpec:
    """Return the source as an ordinary one that lies in its pool."""
    from sources.formats.registry import detect_format

    data, images = pool / "data", pool / "images"
    form = spec.format if spec.format not in ("", "auto") else ""
    root = str(images) if images.is_dir() else spec.image_root
    return replace(spec, path=str(data), image_root=root, format=form or detect_format(data))


def _count_rows(spec: SourceSpec, data: Path) -> int:
    from sources.formats.registry import open_rows

    return len(open_rows(replace(spec, format="webdataset", path=str(data), stream=None)))


def _asked(spec: SourceSpec) -> dict[str, Any]:
    """Return what the user asks for, before anything is looked up."""
    stream = spec.stream or Stream()
    return {
        "hub_id": spec.hub_id,
        "subset": spec.subset,
        "url": stream.url,
        "file": stream.file,
        "split": stream.split,
        "rows": stream.rows,
        "seed": stream.seed,
    }


def _drawn_before(spec: SourceSpec, pools: Path, say: Say, unreachable: Unreachable) -> SourceSpec:
    """Return the source as it was drawn here before, whatever its revision was unless one is asked for."""
    notes = [(note.stat().st_mtime, note.parent) for note in pools.glob(f"*/{_NOTE}")]
    for _, pool in sorted(notes, reverse=True):
        note = _read_note(pool)
        if note is None or _changed(pool, note):
            continue
        found = replace(spec, revision=note.revision, stream=replace(spec.stream or Stream(), fixed=True))
        for candidate in (found, replace(found, stream=replace(found.stream or Stream(), rows=0, seed=0))):
            same = note.asked == _asked(candidate) and spec.revision in ("", note.revision)
            if same and stream_identity(candidate) == note.identity:
                say(
                    f"The hub cannot be asked: taking the rows of {_where(candidate)} that were drawn before, revision {note.revision[:12]}"
                )
                return _placed(candidate, pool)
    raise unreachable


def _pool_name(spec: SourceSpec) -> str:
    stream = spec.stream or Stream()
    named = "-".join(filter(None, (spec.hub_id or stream.url.rstrip("/*").rpartition("/")[2], spec.subset)))
    return f"{local_name(named)[:80]}-{stream_identity(spec)[:12]}"


def _where(spec: SourceSpec) -> str:
    stream = spec.stream or Stream()
    return " ".join(filter(None, (spec.hub_id or stream.url, spec.subset)))


def _files(pool: Path) -> list[str]:
    """Return the names of a pool's files, within it."""
    found = (path for path in pool.rglob("*") if not path.is_dir() and not path.name.endswith(".partial"))
    names = sorted(path.relative_to(pool).as_posix() for path in found)
    return [name for name in names if name.startswith(("data/", "images/"))]


def _write_note(spec: SourceSpec, pool: Path) -> None:
    files = {name: file_hash(pool / name) if name.startswith("data/") else "" for name in _files(pool)}
    note = {"identity": stream_identity(spec), "asked": _asked(spec), "revision": spec.revision, "files": files}
    temporary = pool / f".{_NOTE}.partial"
    temporary.write_text(json.dumps(note, indent=1), encoding="utf-8")
    os.replace(temporary, pool / _NOTE)


def _read_note(pool: Path) -> PoolNote | None:
    try:
        held = json.loads((pool / _NOTE).read_text(encoding="utf-8"))
        return PoolNote(held["identity"], held["asked"], held["revision"], dict(held["files"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _changed(pool: Path, note: PoolNote) -> list[str]:
    """Return the names of the files that are not as they were written; of an image only whether it is there."""
    return [name for name, digest in note.files.items() if (_hash(pool / name) != digest if digest else not (pool / name).exists())]


def _remove_changed(pool: Path) -> None:
    """Remove what cannot be trusted, so that it is fetched again, and the note, so that nobody reads the pool meanwhile."""
    if note := _read_note(pool):
        for name in _changed(pool, note):
            (pool / name).unlink(missing_ok=True)
        (pool / _NOTE).unlink()


def _hash(path: Path) -> str:
    try:
        return file_hash(path)
    except SourceError:
        return ""


def _bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
