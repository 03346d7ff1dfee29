"""The index of a source: every row read and checked once, and what a draw needs of the good ones.

It is kept in a folder, because checking a large source takes long; what is finished of it is kept too, so that it goes on where it was
interrupted. The rows are the same whatever the number of processes. An index whose images have changed is put aside, as `former-...`:
only it knows which rows were what (`sources.row_changes`).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path

from sources.canonical import content_hash
from sources.columns import HASH, column, sorted_digest
from sources.fingerprint import fingerprint
from sources.formats.files import image_root
from sources.formats.registry import find_reader
from sources.images import IMAGE_POLICY
from sources.index_images import HASHED_IMAGES, name_images
from sources.index_keys import name_rows
from sources.index_rows import join_parts, read_rows
from sources.parts import Progress
from sources.reader import Rows
from sources.row_index import RowIndex, forget_with, load_index, write_index
from sources.spec import SourceSpec

# So many distinct images are decoded, by their names and not by where they stand, so that nothing else in the source decides which;
# of the others a draw decodes what it takes.
FULL_DECODE_IMAGES = 20_000
FORMER_INDEXES = 3  # that are kept of a source's files
_LAYOUT = 4
_KEPT = ("ids", "names", "reasons", "rows", "places", "by_row", "place_images", "begins")


def index_key(spec: SourceSpec, known: str = "") -> str:
    """Return what names the index of a source, whatever its view options; `known` is a fingerprint, by default that of now."""
    spec = spec.unviewed()
    reader = find_reader(spec.format)
    return content_hash([_LAYOUT, known or fingerprint(spec), reader.name, reader.version, IMAGE_POLICY, FULL_DECODE_IMAGES, HASHED_IMAGES])


def open_index(rows: Rows, spec: SourceSpec, cache_dir: Path | None, progress: Progress | None, jobs: int = 1) -> RowIndex:
    """Return the index of a source's opened rows, from the cache while neither its files nor its images have changed.

    View options are ignored here.

    Raises:
        SourceError: the source cannot be used at all.
    """
    root = image_root(spec) if spec.path else ""
    name = f"index-{index_key(spec)}"
    if cache_dir and (held := load_index(cache_dir / name, root)):
        return held
    if cache_dir and _writable(cache_dir):
        return _kept_index(rows, cache_dir / name, root, progress, jobs)
    folder = Path(tempfile.mkdtemp(prefix="probe-index-"))
    try:
        _build(rows, folder / "work", folder / "index", progress, jobs)
        index = _loaded(folder / "index")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    forget_with(index, folder)
    return index


def _kept_index(rows: Rows, folder: Path, root: str, progress: Progress | None, jobs: int) -> RowIndex:
    work = folder.with_name(f".{folder.name}.part")
    with _alone(folder.with_name(f".{folder.name}.lock")):
        if held := load_index(folder, root):  # another process made it meanwhile
            return held
        _drop_stale(work, folder)
        goes_on = work.exists()
        _build_kept(rows, work, folder, progress, jobs)
        if goes_on and not load_index(folder, root):  # an image changed since the part that was kept
            _build_kept(rows, work, folder, progress, jobs)
    return _loaded(folder)


def _build_kept(rows: Rows, work: Path, folder: Path, progress: Progress | None, jobs: int) -> None:
    _build(rows, work, work / "index", progress, jobs)
    shutil.rmtree(folder, ignore_errors=True)
    (work / "index").rename(folder)
    shutil.rmtree(work, ignore_errors=True)


def _drop_stale(work: Path, folder: Path) -> None:
    """Start again where there was an index that is not believed any more: finished parts may tell of the same old images."""
    if folder.exists():
        shutil.rmtree(work, ignore_errors=True)
        _put_aside(folder)


def _put_aside(folder: Path) -> None:
    """Keep an index as it was under another name, and of such ones the newest; a damaged one is removed."""
    held = load_index(folder, "")
    if held is not None:
        former = f"former-{folder.name.removeprefix('index-')}"
        aside = folder.with_name(f"{former}-{held.content}")
        shutil.rmtree(aside, ignore_errors=True)
        with suppress(OSError):
            folder.rename(aside)
        made = sorted(folder.parent.glob(f"{former}-*"), key=lambda one: one.stat().st_mtime_ns)
        for old in made[:-FORMER_INDEXES]:
            shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def _build(rows: Rows, work: Path, into: Path, progress: Progress | None, jobs: int) -> None:
    columns = work / "columns"
    for fresh in (columns, into):
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
    read_rows(rows, work, jobs, progress)
    read = join_parts(work, len(rows), columns, into)
    images = name_images(rows, read, work, columns, into, FULL_DECODE_IMAGES, jobs, progress)
    facts = name_rows(read.reasons, read.names, work, columns, into, len(rows), jobs, progress)
    for name in _KEPT:
        (columns / name).touch()
        (columns / name).replace(into / name)
    keys = column(into / "keys", HASH)
    write_index(
        into,
        {field.name: getattr(facts, field.name) for field in fields(facts)}
        | {
            "total": len(rows),
            "usable": len(keys),
            "content": sorted_digest(keys),
            "images": images.n,
            "by_path": images.by_path,
            "decoded_to": images.decoded_to,
            "decoded_images": images.decoded,
            "decoded_bad": images.decoded_bad,
            "undecoded_images": images.undecoded,
            "folders": read.folders,
        },
    )


def _loaded(folder: Path) -> RowIndex:
    index = load_index(folder, "")
    if index is None:
        raise RuntimeError(f"the index just written to {folder} cannot be read")
    return index


def _writable(cache_dir: Path) -> bool:
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache_dir):
            return True
    except OSError:  # it costs the cache, nothing else
        return False


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Wait until no other process makes the same index."""
    import fcntl

    with lock.open("w") as handle:
        with suppress(OSError):  # a file system without locks: both do the same work
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
