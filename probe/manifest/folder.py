"""Manifests that lie in a folder as files, whether a store knows them or not."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from probe.manifest.document import Manifest
from probe.manifest.write import SHORT_HASH_CHARS, ManifestError, read_manifest

LARGEST_FILE = 32 * 1024 * 1024  # bytes


def manifests_in(folder: Path, known: Collection[str] = (), most: int | None = None) -> Iterator[Manifest]:
    """Yield the manifests of a folder's files, by file name; what is no manifest, a link or too large is passed over.

    Files whose names end in one of the `known` short hashes are not opened; of the others at most so many are.
    """
    files = [file for file in sorted(folder.glob("*.json")) if file.stem[-SHORT_HASH_CHARS:] not in known]
    for file in files[:most]:
        if file.is_symlink() or not file.is_file() or file.stat().st_size > LARGEST_FILE:
            continue
        try:
            doc = read_manifest(file)
        except ManifestError:
            continue
        if doc.hash[:SHORT_HASH_CHARS] not in known:
            yield doc
