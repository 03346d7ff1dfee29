"""`probe clean`: remove features, adapters and drawn rows that nothing needs."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from probe.cli.output import bytes_text, listing_options, print_listing
from probe.workspace import Workspace
from sources.difficulty import OPTION as ORDER

if TYPE_CHECKING:
    from db.store import Store

STALE_S = 3600.0  # what a process is writing just now is younger
SPACE_NOTE = "space"  # JSON beside a space's shards that tells whose it is: {"weights_hash": ...}


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file or folder that nothing needs."""

    what: str
    path: Path
    bytes: int


@click.command()
@click.option("--dry-run", is_flag=True, help="Print what would be removed and remove nothing.")
@click.option(
    "--all", "everything", is_flag=True, help="Also features, indexes and losses that are in use; they are made again when needed."
)
@listing_options
@click.pass_obj
def command(workspace: Workspace, dry_run: bool, everything: bool, form: str) -> None:
    """Remove adapters and features that no study needs, rows drawn of sources that are gone, and what interrupted processes left.

    Nothing of a running probe is touched.
    """
    found = leftovers(workspace, everything)
    if not dry_run:
        for leftover in found:
            _remove(leftover.path)
    rows = [{"what": entry.what, "path": str(entry.path), "bytes": entry.bytes} for entry in found]
    print_listing(rows, form, empty="Nothing to remove.", columns=("what", "path", "bytes"))
    if form == "table" and rows:
        verb = "would be freed" if dry_run else "freed"
        click.echo(f"{bytes_text(sum(entry.bytes for entry in found))} {verb}.")


def leftovers(workspace: Workspace, everything: bool = False) -> list[Leftover]:
    """Return what may be removed. While anybody is at work, only adapters without a study that are not fresh."""
    if not workspace.exists():
        return []
    with workspace.open_store() as store:
        studies = store.studies()
        busy = any(_at_work(store, study.name) for study in studies)
        found = list(_adapters(workspace, store.adapters_needed(), busy))
        if not busy:
            weights = {study.proxy.weights_hash for study in studies}
            found += _features(workspace, weights, everything)
            found += _unfinished(workspace)
            found += _pools(workspace, [record.spec.path for record in store.sources()])
            found += _orders(workspace, [record.spec.option(ORDER) for record in store.sources()])
            found += _logs(workspace, {study.name for study in studies})
            if everything:
                found += [_leftover("index", path) for name in ("index-*", "former-*") for path in workspace.indexes.glob(name)]
                found += [_leftover("losses", path) for path in _folders(workspace.difficulty) if _is_stale(path)]
    return found


def _at_work(store: Store, study: str) -> bool:
    from probe.cli.studies import running_owners

    return bool(store.progress(study).running and running_owners(store, study))


def _adapters(workspace: Workspace, needed: set[str], busy: bool) -> Iterator[Leftover]:
    for path in _folders(workspace.adapters):
        if path.name not in needed and (not busy or _is_stale(path)):
            yield _leftover("adapter", path)


def _features(workspace: Workspace, weights: set[str], everything: bool) -> Iterator[Leftover]:
    """Yield spaces of other proxies; one that does not say whose it is counts as needed while there is a study."""
    for path in _folders(workspace.features):
        owner = _owner(path)
        if everything or not weights or (owner and owner not in weights):
            if not _is_being_written(path):
                yield _leftover("features", path)
        else:
            yield from (_leftover("unfinished", shard) for shard in path.glob("*.partial") if _is_stale(shard))
            shards = (shard for shard in path.glob("*.npy") if not shard.with_suffix(".json").exists())
            yield from (_leftover("unfinished", shard) for shard in shards if _is_stale(shard))


def _owner(space: Path) -> str:
    try:
        return str(json.loads((space / SPACE_NOTE).read_text("utf-8"))["weights_hash"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _is_being_written(space: Path) -> bool:
    """Say whether a process holds the lock under which features are written (`probe eval` needs no study)."""
    import fcntl

    try:
        with open(space / ".lock", "a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


def _unfinished(workspace: Workspace) -> Iterator[Leftover]:
    """Yield what was being written when its process died: temporary names begin with a dot."""
    for folder in (workspace.adapters, workspace.manifests, workspace.indexes, workspace.quality, workspace.overlaps, workspace.merged):
        for path in folder.glob(".*"):
            if _is_stale(path):
                yield _leftover("unfinished", path)
    yield from (_leftover("unfinished", path) for path in workspace.difficulty.glob("*/.*") if _is_stale(path))


def _pools(workspace: Workspace, paths: list[str]) -> Iterator[Leftover]:
    """Yield what was drawn of streamed sources that are not registered, but for what may be being fetched."""
    needed = {Path(path).parent for path in paths if path}
    for pool in _folders(workspace.pools):
        if pool not in needed and all(_is_stale(folder) for folder in (pool, *_folders(pool))):
            yield _leftover("pool", pool)


def _orders(workspace: Workspace, options: list[str]) -> Iterator[Leftover]:
    """Yield orders by difficulty that no source's pools are cut from any more."""
    needed = {f"difficulty-{option.partition(':')[0]}" for option in options if option}
    for path in workspace.indexes.glob("difficulty-*"):
        if path.name not in needed and _is_stale(path):
            yield _leftover("order", path)


def _logs(workspace: Workspace, studies: set[str]) -> Iterator[Leftover]:
    kept = {f"{name.replace('/', '_')}.log" for name in studies}
    for path in workspace.logs.glob("*.log"):
        if path.name not in kept and _is_stale(path):
            yield _leftover("log", path)


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("*") if path.is_dir() and not path.is_symlink() and not path.name.startswith("."))


def _is_stale(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > STALE_S
    except OSError:
        return False


def _leftover(what: str, path: Path) -> Leftover:
    files = path.rglob("*") if path.is_dir() else [path]
    return Leftover(what, path, sum(file.stat().st_size for file in files if file.is_file()))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
