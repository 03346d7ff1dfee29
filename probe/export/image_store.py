"""The images of an export: one file an image, named by the hash of its bytes, whatever source it came from.

Every source then has the same representation (a relative path), which trainers that concatenate data sets need.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

from probe.export.report import Images
from sources.canonical import hash_bytes
from sources.image_bytes import safe_path
from sources.images import image_facts, load_image, read_image_bytes
from sources.sample import ImageRef

FOLDER = "images"
_SIGNATURES = (
    (b"\xff\xd8\xff", "jpg"),
    (b"\x89PNG", "png"),
    (b"GIF8", "gif"),
    (b"RIFF", "webp"),
    (b"BM", "bmp"),
    (b"II", "tif"),
    (b"MM", "tif"),
)
_EXIF_MARKS = (b"Exif", b"eXIf", b"EXIF")  # JPEG, PNG, WebP


class ImageStore:
    """Puts images into `root/images`; `rotated` and `copied_instead` count what a user has to know."""

    def __init__(self, root: Path, how: Images) -> None:
        self._root = root
        self._how = how
        self._paths: dict[tuple[str | None, str], str] = {}
        self._rotated: set[str] = set()
        self.copied_instead = 0

    @property
    def rotated(self) -> int:
        """The number of images that EXIF asks to turn and that were written as stored."""
        return len(self._rotated)

    def __len__(self) -> int:
        """Return the number of distinct images."""
        return len(set(self._paths.values()))

    def store(self, ref: ImageRef) -> str:
        """Put an image into the export and return its path relative to the export's root.

        Raises:
            RowError: it cannot be read.
        """
        key = (ref.root, ref.identity())
        if key not in self._paths:
            self._paths[key] = self._store(ref)
        return self._paths[key]

    def _store(self, ref: ImageRef) -> str:
        data = _under_policy(ref) if self._how is Images.POLICY else read_image_bytes(ref)
        digest = hash_bytes(data)
        name = f"{FOLDER}/{digest[:2]}/{digest}.{_extension(data)}"
        path = self._root / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write(ref, data, path)
        if any(mark in data for mark in _EXIF_MARKS) and image_facts(ImageRef(data=data)).rotated:
            self._rotated.add(name)
        return name

    def _write(self, ref: ImageRef, data: bytes, path: Path) -> None:
        if self._how is Images.LINK and ref.path is not None:
            try:
                os.link(safe_path(ref), path)
                return
            except OSError:  # another file system, or one without links
                self.copied_instead += 1
        path.write_bytes(data)


def _under_policy(ref: ImageRef) -> bytes:
    buffer = io.BytesIO()
    load_image(ref).save(buffer, format="PNG")
    return buffer.getvalue()


def _extension(data: bytes) -> str:
    return next((extension for signature, extension in _SIGNATURES if data.startswith(signature)), "img")
