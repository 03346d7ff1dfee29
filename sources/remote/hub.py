"""Data sets of the hub: their revision, subset, split and files, found by `datasets` and `huggingface_hub` as the user has them set up.

`HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME` and `HF_HUB_OFFLINE` mean what they mean there. Nothing of a data set is run: `datasets` reads
data files only. A folder laid out as a hub repository is read in the same way, and so is what lies complete in the hub's cache.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from sources.canonical import content_hash
from sources.problems import SourceError
from sources.remote.hub_errors import UnreachableError, hub_error, no_split, no_subset
from sources.remote.listing import KINDS, Listing, RemoteFile
from sources.spec import SourceSpec, Stream
from sources.subsources import subsource_slug

_KIND_OF_MODULE = {"parquet": "parquet", "json": "json", "webdataset": "tar", "arrow": "arrow", "csv": "tsv"}
_BESIDE = ".nv-meta/dataset.yaml"


def list_hub(spec: SourceSpec, stream: Stream) -> tuple[SourceSpec, Listing]:
    """Return the source with its revision and subset filled in, and its data files.

    Raises:
        UnreachableError: the hub cannot be reached, and its cache does not hold the data set.
        SourceError: no such data set, revision, subset or split, it is gated, or it holds no data that `datasets` reads.
    """
    if stream.url:
        return _list_folder(spec, stream, stream.url)
    try:
        with _explained(spec):
            revision = _commit(spec)
    except UnreachableError as unreachable:
        return _list_cached(spec, stream, unreachable)
    spec = replace(spec, revision=revision)
    with _explained(spec):
        subset, module, urls = _data_files(spec, stream, spec.hub_id, revision)
        root = f"hf://datasets/{spec.hub_id}@{revision}/"
        files = [_hub_file(spec, url, root) for url in urls]
        beside = _hub_beside(spec, module)
    return replace(spec, subset=subset), Listing(_kind(spec, module, files), tuple(files), beside=beside)


def hub_subsets(spec: SourceSpec) -> list[str]:
    """Return the names of a data set's subsets.

    Raises:
        UnreachableError, SourceError: it cannot be reached, or there is none of that name.
    """
    import datasets

    with _explained(spec):
        return list(datasets.get_dataset_config_names(spec.hub_id, revision=spec.revision or _commit(spec)))


def cached_file(spec: SourceSpec, name: str) -> str | None:
    """Return where a file of the data set lies in the hub's cache, if it does."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(spec.hub_id, name, repo_type="dataset", revision=spec.revision)
    return found if isinstance(found, str) else None


def download_file(spec: SourceSpec, name: str) -> Path:
    """Fetch a whole file through the hub's cache, which goes on where it was interrupted.

    Raises:
        UnreachableError, SourceError: it cannot be fetched.
    """
    from huggingface_hub import hf_hub_download

    with _explained(spec):
        return Path(hf_hub_download(spec.hub_id, name, repo_type="dataset", revision=spec.revision))


def _commit(spec: SourceSpec) -> str:
    from huggingface_hub import HfApi

    info = HfApi().dataset_info(spec.hub_id, revision=spec.revision or None, timeout=30.0)
    if not info.sha:
        raise SourceError(f"The hub does not say which revision of {spec.hub_id} is the newest; name one with --revision")
    return info.sha


def _data_files(spec: SourceSpec, stream: Stream, place: str, revision: str | None) -> tuple[str, str, Sequence[str]]:
    """Return the subset, the name of the module of `datasets` that reads it, and the URLs or paths of its files."""
    import datasets

    try:
        builder = datasets.load_dataset_builder(place, spec.subset or None, revision=revision, data_files=stream.file or None)
    except ValueError as error:
        if "onfig" not in str(error):  # neither `BuilderConfig ... not found` nor `Config name is missing`
            raise
        raise no_subset(spec, datasets.get_dataset_config_names(place, revision=revision)) from error
    found: Mapping[str, Sequence[str]] = builder.config.data_files or {}
    if stream.split not in found:
        raise no_split(spec, stream.split, list(map(str, found)))
    return spec.subset, builder.__module__.rpartition(".")[2], sorted(map(str, found[stream.split]))


def _kind(spec: SourceSpec, module: str, files: Sequence[RemoteFile]) -> str:
    kind = _KIND_OF_MODULE.get(module, "")
    if kind and all(file.name.lower().endswith(KINDS[kind]) for file in files):
        return kind
    if kind == "json":
        return "packed"
    held = files[0].name if files else "nothing"
    raise SourceError(f"{spec.hub_id or 'The folder'} holds {held}, which no reader here understands; name other files with --file")


def _hub_file(spec: SourceSpec, url: str, root: str) -> RemoteFile:
    from fsspec.core import url_to_fs

    name = url.removeprefix(root)
    if cached := cached_file(spec, name):
        return RemoteFile(name, cached, os.stat(cached).st_size)
    fs, path = url_to_fs(url)
    return RemoteFile(name, url, int(fs.info(path)["size"]))


def _hub_beside(spec: SourceSpec, module: str) -> tuple[RemoteFile, ...]:
    """Return Energon's description of a folder of tars, where there is one."""
    from fsspec.core import url_to_fs

    if module != "webdataset":
        return ()
    url = f"hf://datasets/{spec.hub_id}@{spec.revision}/{_BESIDE}"
    fs, path = url_to_fs(url)
    return (RemoteFile(_BESIDE, url, int(fs.info(path)["size"])),) if fs.exists(path) else ()


def _list_folder(spec: SourceSpec, stream: Stream, folder: str) -> tuple[SourceSpec, Listing]:
    """List a folder that is laid out as a hub repository."""
    with _explained(spec):
        subset, module, paths = _data_files(spec, stream, folder, None)
    files = [_local_file(folder, path) for path in paths]
    version = content_hash([[file.name, file.size, os.stat(file.url).st_mtime_ns] for file in files])
    beside = tuple(_local_file(folder, str(p)) for p in [Path(folder) / _BESIDE] if module == "webdataset" and p.is_file())
    return replace(spec, subset=subset), Listing(_kind(spec, module, files), tuple(files), version, beside)


def _local_file(folder: str, path: str) -> RemoteFile:
    return RemoteFile(os.path.relpath(path, folder), path, os.stat(path).st_size)


def _list_cached(spec: SourceSpec, stream: Stream, unreachable: UnreachableError) -> tuple[SourceSpec, Listing]:
    """List what the hub's cache holds of a data set, where the cache knows that nothing of it is missing."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    def snapshot(patterns: list[str]) -> Path:
        return Path(
            snapshot_download(
                spec.hub_id, repo_type="dataset", revision=spec.revision or None, allow_patterns=patterns, local_files_only=True
            )
        )

    try:
        folder = snapshot(["README.md"])
        spec, listing = _list_folder(replace(spec, revision=folder.name), stream, str(folder))
        snapshot(sorted({f"{name}/*" if name else "*" for name in (os.path.dirname(file.name) for file in listing.files)}))
    except LocalEntryNotFoundError as error:
        raise unreachable from error
    return spec, replace(listing, version="")


def named_subset(spec: SourceSpec, name: str) -> str:
    """Return the subset that a part of a slug means: its own name, or the only one whose name becomes that in a slug.

    Raises:
        UnreachableError, SourceError: there is none, or the hub cannot be asked.
    """
    names = hub_subsets(spec)
    alike = [known for known in names if known == name] or [known for known in names if subsource_slug(known).lower() == name.lower()]
    if len(alike) != 1:
        raise no_subset(replace(spec, subset=name), names)
    return alike[0]


@contextmanager
def _explained(spec: SourceSpec) -> Iterator[None]:
    try:
        yield
    except SourceError:
        raise
    except Exception as error:
        explained = hub_error(spec, error)
        if explained is None:
            raise
        raise explained from error
