"""What an index of rows holds, and the file that keeps it: written last and whole, believed while no image has changed."""

from __future__ import annotations

import json
import os
import tempfile
from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sources.canonical import content_hash
from sources.image_bytes import safe_path
from sources.problems import Problem, RowError
from sources.sample import ImageRef

EXAMPLES = 5
EVERY_HASH = "~"  # sorts behind every hash

_PLAIN = (
    "path_hashes",
    "image_paths",
    "distinct_images",
    "duplicate_images",
    "undecoded_images",
    "decoded_to",
    "duplicate_rows",
)


@dataclass(slots=True)
class RowIndex:
    """What the rows of a source are, in file order. Images are named by their bytes, whatever path they lie at.

    Of very many images only some were decoded, those with the smallest hashes: every image whose hash is up to `decoded_to`.
    """

    total: int
    numbers: array[int] = field(default_factory=lambda: array("q"))
    strata: array[int] = field(default_factory=lambda: array("i"))
    names: list[str] = field(default_factory=list)  # of strata
    groups: list[bytes] = field(default_factory=list)  # rows that share an image, also through others, share a group
    keys: list[bytes] = field(default_factory=list)  # content and how often it stood before
    excluded: Counter[Problem] = field(default_factory=Counter)
    examples: dict[Problem, list[tuple[int, str]]] = field(default_factory=dict)
    images_per_row: Counter[int] = field(default_factory=Counter)
    path_hashes: dict[str, str] = field(default_factory=dict)  # path of a usable image -> hash of its bytes
    image_paths: list[str] = field(default_factory=list)  # of broken images too
    distinct_images: int = 0  # by their bytes, of usable rows
    duplicate_images: int = 0  # usable images with the bytes of another one under another path
    undecoded_images: int = 0
    decoded_to: str = EVERY_HASH
    duplicate_rows: int = 0

    def image_hash(self, ref: ImageRef) -> str:
        """Return the hash of a usable image's bytes."""
        return ref.identity() if ref.path is None else self.path_hashes[ref.path]

    def exclude(self, problem: Problem, number: int, detail: str) -> None:
        """Count a row that is not used."""
        self.excluded[problem] += 1
        seen = self.examples.setdefault(problem, [])
        if len(seen) < EXAMPLES:
            seen.append((number, detail[:200]))


def save_index(index: RowIndex, file: Path, root: str) -> None:
    """Write an index under a temporary name and rename it. A folder that cannot be written costs the cache, nothing else."""
    text = json.dumps(_to_json(index, root))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=".index-", delete=False, encoding="utf-8") as temporary:
            temporary.write(text)
        os.replace(temporary.name, file)
    except OSError:
        return


def load_index(file: Path, root: str) -> RowIndex | None:
    """Return a kept index; None if there is none, it is damaged, or an image's size or time is another."""
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
        return _from_json(held) if held["listing"] == _listing(held["image_paths"], root) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _listing(paths: list[str], root: str) -> str:
    """Return the hash of the images' sizes and times; an image that is missing or unsafe counts as such."""
    return content_hash([[path, *_size_and_time(path, root)] for path in sorted(paths)]) if root else ""


def _size_and_time(path: str, root: str) -> tuple[int, int]:
    try:
        status = os.stat(safe_path(ImageRef(path=path, root=root)))
    except (OSError, ValueError, RowError):
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _to_json(index: RowIndex, root: str) -> dict[str, Any]:
    return {
        "listing": _listing(index.image_paths, root),
        "total": index.total,
        "numbers": index.numbers.tolist(),
        "strata": index.strata.tolist(),
        "names": index.names,
        "groups": b"".join(index.groups).hex(),
        "keys": b"".join(index.keys).hex(),
        "excluded": {problem.value: count for problem, count in index.excluded.items()},
        "examples": {problem.value: rows for problem, rows in index.examples.items()},
        "images_per_row": list(index.images_per_row.items()),
        **{name: getattr(index, name) for name in _PLAIN},
    }


def _from_json(held: dict[str, Any]) -> RowIndex:
    return RowIndex(
        total=held["total"],
        numbers=array("q", held["numbers"]),
        strata=array("i", held["strata"]),
        names=held["names"],
        groups=_hashes(held["groups"]),
        keys=_hashes(held["keys"]),
        excluded=Counter({Problem(name): count for name, count in held["excluded"].items()}),
        examples={Problem(name): [(number, detail) for number, detail in rows] for name, rows in held["examples"].items()},
        images_per_row=Counter(dict(held["images_per_row"])),
        **{name: held[name] for name in _PLAIN},
    )


def _hashes(text: str) -> list[bytes]:
    blob = bytes.fromhex(text)
    return [blob[start : start + 16] for start in range(0, len(blob), 16)]
