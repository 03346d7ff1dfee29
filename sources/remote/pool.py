"""The pool of a streamed source: the rows drawn from it once, as local files in its own format, and a note written last.

    NAME-IDENTITY/pool.json     what was drawn, with the hash of every file: its existence means that the draw is complete
    NAME-IDENTITY/data/...      what the ordinary readers read
    NAME-IDENTITY/work/...      what a restart needs not ask for again, removed when all is there

The draw is decided by the names and sizes of the published files and a seed, so it is the same on every machine.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from sources.problems import SourceError
from sources.remote.hub import list_hub
from sources.remote.hub_errors import UnreachableError
from sources.remote.listing import Listing, is_url, list_url
from sources.remote.note import (
    NOTE,
    asked_for,
    changed_files,
    is_here,
    read_note,
    remove_changed,
    shown_name,
    stream_identity,
    write_note,
)
from sources.remote.parquet import ParquetDraw
from sources.remote.tasks import Progress, run_tasks
from sources.remote.walked import walked_tasks
from sources.remote.whole import fetch_tars, local_name, whole_tasks
from sources.spec import SourceSpec, Stream

# As many distinct images as an index decodes in full (`sources.indexing.FULL_DECODE_IMAGES`); probes of 5,000 rows then share a quarter
# of theirs, and at 100 to 300 kB an image it is 2 to 6 GB.
DEFAULT_ROWS = 20_000
_FORMATS = {"parquet": "parquet", "tar": "webdataset", "tsv": "tsv", "arrow": "parquet", "packed": "parquet"}
Say = Callable[[str], None]


def fetch_source(spec: SourceSpec, pools: Path, say: Say, progress: Progress | None = None) -> SourceSpec:
    """Draw a streamed source into a folder of `pools`, or go on with that, and return it with all that was found out filled in.

    Raises:
        UnreachableError: it cannot be reached and was not drawn before.
        SourceError: it cannot be used; the message holds the cure.
    """
    if spec.stream is None or (spec.stream.fixed and spec.path and is_here(spec)):
        return spec
    try:
        found, listing = _listed(spec, spec.stream)
    except UnreachableError as unreachable:
        return _drawn_before(spec, pools, say, unreachable)
    pool = Path(spec.path).parent if spec.stream.fixed and spec.path else pools / _pool_name(found)
    with _alone(pool):
        note = read_note(pool)
        if note is None or changed_files(pool, note):
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


@contextmanager
def _alone(pool: Path) -> Iterator[None]:
    """Wait until no other process fetches into a pool."""
    pool.mkdir(parents=True, exist_ok=True)
    with open(pool / ".lock", "a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _draw(spec: SourceSpec, listing: Listing, pool: Path, say: Say, progress: Progress | None) -> None:
    stream, data, work = spec.stream or Stream(), pool / "data", pool / "work"
    for folder in (data, work):
        folder.mkdir(parents=True, exist_ok=True)
    remove_changed(pool)
    seed = listing.seed(stream.seed)
    if listing.kind == "parquet":
        draw = ParquetDraw(listing, work, pool / "groups.json", stream.rows, seed, progress)
        tasks = draw.tasks()
        say(_parquet_lines(spec, draw, sum(task.bytes for task in tasks)))
        run_tasks(tasks, data, progress)
    elif listing.kind == "tar":
        size = sum(file.size for file in listing.files)
        about = f"{len(listing.files)} tars of {_bytes(size)}"
        say(f"{shown_name(spec)}: {about}; whole ones are fetched in a seeded order until {stream.rows or 'all'} rows are here")
        fetch_tars(spec, listing, data, stream.rows, seed, lambda: _count_rows(spec, data), progress)
    elif listing.kind in ("json", "tsv"):
        say(f"{shown_name(spec)}: {len(listing.files)} files of {_bytes(sum(file.size for file in listing.files))}, fetched whole")
        whole = work if stream.images else data
        run_tasks(whole_tasks(spec, listing.files), whole, progress)
        if stream.images:
            from sources.remote.pictures import draw_with_images

            draw_with_images(whole, data, stream.images, stream.rows, seed, say, progress)
    else:
        tasks = walked_tasks(listing, stream.rows, seed)
        size = sum(task.bytes for task in tasks)
        say(
            f"{shown_name(spec)}: {len(tasks)} of {len(listing.files)} files are read through ({_bytes(size)}), and a share of each is kept"
        )
        run_tasks(tasks, data, progress)
    write_note(spec, pool)
    shutil.rmtree(work)


def _parquet_lines(spec: SourceSpec, draw: ParquetDraw, size: int) -> str:
    rows = sum(len(block.rows) for block in draw.blocks)
    shards = f"{draw.shards} shards"
    if draw.shards_read < draw.shards:
        shards = f"{draw.shards_read} shards picked of {draw.shards}"
    groups = f"{len(draw.blocks):,} of {draw.groups:,} row groups"
    return f"{shown_name(spec)}: {rows:,} of {draw.rows_seen:,} rows, {_bytes(size)} in {groups}, {shards}"


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


def _drawn_before(spec: SourceSpec, pools: Path, say: Say, unreachable: UnreachableError) -> SourceSpec:
    """Return the source as it was drawn here before, whatever its revision was unless one is asked for."""
    notes = [(note.stat().st_mtime, note.parent) for note in pools.glob(f"*/{NOTE}")]
    for _, pool in sorted(notes, reverse=True):
        note = read_note(pool)
        if note is None or changed_files(pool, note):
            continue
        found = replace(spec, revision=note.revision, stream=replace(spec.stream or Stream(), fixed=True))
        for candidate in (found, replace(found, stream=replace(found.stream or Stream(), rows=0, seed=0))):
            same = note.asked == asked_for(candidate) and spec.revision in ("", note.revision)
            if same and stream_identity(candidate) == note.identity:
                say(f"The hub cannot be asked: taking the rows drawn before of {shown_name(candidate)}, revision {note.revision[:12]}")
                return _placed(candidate, pool)
    raise unreachable


def _pool_name(spec: SourceSpec) -> str:
    stream = spec.stream or Stream()
    named = "-".join(filter(None, (spec.hub_id or stream.url.rstrip("/*").rpartition("/")[2], spec.subset)))
    return f"{local_name(named)[:80]}-{stream_identity(spec)[:12]}"


def _bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
