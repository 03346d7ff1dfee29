"""The files of a source that is not on this machine: names, places and sizes, and which are read how."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from sources.canonical import content_hash
from sources.ordering import seeded_key
from sources.problems import SourceError

KINDS = {
    "parquet": (".parquet", ".geoparquet"),
    "tar": (".tar",),
    "json": (".json", ".jsonl", ".ndjson"),
    "tsv": (".tsv",),
    "arrow": (".arrow",),
}
_ABOUT = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "config.json", "state.json")  # of the data, and no data
_VERSIONS = ("ETag", "etag", "md5Hash", "md5", "mtime", "LastModified", "last_modified", "modified", "created")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file: its name within the source, where it is (a URL or a path on this machine), and its size in bytes."""

    name: str
    url: str
    size: int


@dataclass(frozen=True, slots=True)
class Listing:
    """A source's data files sorted by name, and the kind of files they are: one of `KINDS`, or `packed` for compressed JSON.

    `beside` are small files that a reader wants next to them. `version` changes when a file does.
    """

    kind: str
    files: tuple[RemoteFile, ...]
    version: str = ""
    beside: tuple[RemoteFile, ...] = ()

    def seed(self, chosen: int) -> str:
        """Return what decides the draw: the files' names and sizes, so that a mirror or a later commit of the same files draws alike."""
        return f"{seeded_key(chosen, *(f'{file.name} {file.size}' for file in self.files)):x}"


def is_url(place: str) -> bool:
    """Say whether a place is a URL and not a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", place) is not None


def local_path(place: str) -> str:
    """Return the path behind a `file://` URL; any other place as it is."""
    from urllib.parse import unquote, urlparse

    return unquote(urlparse(place).path) if place.startswith("file://") else place


def file_system(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URL and the path in it.

    Raises:
        SourceError: no such protocol, or the package that speaks it is not installed.
    """
    from fsspec.core import url_to_fs

    protocol = url.partition("://")[0]
    try:
        fs, path = url_to_fs(url)
    except ImportError as error:
        package = {"http": "aiohttp", "https": "aiohttp", "s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs"}.get(protocol)
        cure = f"pip install {package}" if package else str(error)
        raise SourceError(f"{protocol}:// needs a package that is not installed: {cure}") from error
    except ValueError as error:
        raise SourceError(f"{url} cannot be opened ({error}); fsspec knows s3://, gs://, https:// and others") from error
    return fs, cast(str, path)


def list_url(url: str) -> Listing:
    """List the data files at a URL: one file, a pattern with `*`, or a folder.

    Raises:
        SourceError: nothing is there, it cannot be reached, or nothing there is a kind of data that is known.
    """
    fs, path = file_system(url)
    with reachable(url):
        found = _found(fs, path)
    files = [(RemoteFile(_name(name, path), _url(fs, name), int(info.get("size") or 0)), info) for name, info in sorted(found.items())]
    kind = _kind(url, [file.name for file, _ in files])
    chosen = [(file, info) for file, info in files if _is_data(file.name, kind)]
    if unknown := [file.name for file, _ in chosen if not file.size]:
        raise SourceError(f"{url} does not say how large {unknown[0]} is, or it is empty; download it and give it with --path")
    version = content_hash([[file.name, file.size, _version(info)] for file, info in chosen])
    beside = tuple(file for file, _ in files if kind == "tar" and ".nv-meta/" in f"/{file.name}" and file.name.endswith(".yaml"))
    return Listing(kind, tuple(file for file, _ in chosen), version, beside)


@contextmanager
def reachable(place: str) -> Iterator[None]:
    """Turn what a file system raises into a sentence.

    Raises:
        SourceError: nothing is there, or it cannot be reached or read.
    """
    try:
        yield
    except SourceError:
        raise
    except FileNotFoundError as error:
        raise SourceError(f"There is nothing at {place}; check the address") from error
    except PermissionError as error:
        raise SourceError(f"{place} may not be read ({_short(error)}); check the credentials that fsspec finds for it") from error
    except Exception as error:
        if not is_network_error(error):
            raise
        if place.startswith("hf://"):
            _refuse_gated(place, error)
        message = f"{place} cannot be reached or read ({_short(error)}); try again: what was fetched is kept and not fetched again"
        raise SourceError(message) from error


def is_network_error(error: BaseException) -> bool:
    """Say whether a library gave up on a connection: their errors share no base class but their modules tell them."""
    modules = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return isinstance(error, (OSError, TimeoutError)) or bool(modules & {"httpx", "httpx2", "aiohttp", "botocore", "fsspec", "gcsfs"})


@contextmanager
def open_remote(file: RemoteFile) -> Iterator[BinaryIO]:
    """Open a file so that every read is one request for exactly its range."""
    if not is_url(file.url):
        with open(file.url, "rb") as handle:
            yield handle
        return
    fs, path = file_system(file.url)
    with fs.open(path, "rb", cache_type="none", size=file.size) as handle:
        yield handle


def _refuse_gated(url: str, error: Exception) -> None:
    from huggingface_hub.errors import GatedRepoError

    from sources.remote.hub_errors import gated

    if isinstance(error, GatedRepoError):
        raise SourceError(gated(url.removeprefix("hf://datasets/").partition("@")[0])) from error


def _found(fs: Any, path: str) -> Mapping[str, Mapping[str, Any]]:
    if any(char in path for char in "*[") and not fs.exists(path):
        matched: Mapping[str, Mapping[str, Any]] = fs.glob(path, detail=True)
        return _with_sizes(fs, {name: info for name, info in matched.items() if info["type"] == "file"})
    info = fs.info(path)
    if info["type"] == "file" and not (path.endswith("/") and info.get("mimetype", "").startswith("text/html")):
        return {path: info}
    return _with_sizes(fs, fs.find(path, detail=True))


def _with_sizes(fs: Any, found: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    return {name: info if info.get("size") is not None else {**info, **fs.info(name)} for name, info in found.items()}


def _name(name: str, root: str) -> str:
    folder = root if not any(char in root for char in "*[") else root[: min(root.index(char) for char in "*[" if char in root)]
    folder = folder if folder.endswith("/") else folder if name.startswith(folder + "/") else folder.rpartition("/")[0]
    return name.removeprefix(folder).lstrip("/") or name.rpartition("/")[2]


def _url(fs: Any, name: str) -> str:
    return str(fs.unstrip_protocol(name))


def _kind(url: str, names: Iterable[str]) -> str:
    names = list(names)
    for kind in KINDS:
        if any(_is_data(name, kind) for name in names):
            return kind
    held = ", ".join(names[:5]) or "nothing"
    raise SourceError(
        f"{url} holds {held}, and no parquet, tar, JSON, TSV or arrow file; give the address of the data files, with * if need be"
    )


def _is_data(name: str, kind: str) -> bool:
    return name.lower().endswith(KINDS[kind]) and name.rpartition("/")[2] not in _ABOUT and not re.search(r"(^|/)[._]", name)


def _version(info: Mapping[str, Any]) -> str:
    return next((str(info[name]) for name in _VERSIONS if info.get(name) is not None), "")


def _short(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
