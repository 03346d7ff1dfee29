"""The images of an export: one file an image, named by the hash of its bytes, whatever source it came from.

Every source then has the same representation (a relative path), which trainers that concatenate data sets need. Trainers make pixels
of a file by a plain `convert("RGB")`: they leave a picture on its side that EXIF asks to turn, and show transparency black. Where
that would not be what the proxy saw, the picture is written as the proxy saw it.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

from probe.export.report import Images
from sources.canonical import hash_bytes
from sources.image_bytes import safe_path
from sources.images import decode_image, image_facts, read_image_bytes
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


class ImageStore:
    """Puts images into `root/images`; `rewritten` and `copied_instead` count what a user has to know."""

    def __init__(self, root: Path, how: Images) -> None:
        self._root = root
        self._how = how
        self._paths: dict[tuple[str | None, str], str] = {}
        self._rewritten: set[str] = set()
        self.copied_instead = 0

    @property
    def rewritten(self) -> int:
        """The number of images that a plain reading would show otherwise, and that were written as the proxy saw them."""
        return len(self._rewritten)

    @property
    def files(self) -> int:
        """The number of files in the folder."""
        return len(set(self._paths.values()))

    def store(self, ref: ImageRef) -> str:
        """Put an image into the export and return its path relative to the export's root.

        Raises:
            RowError: it cannot be read.
        """
        key = (ref.root, ref.identity())
        if key not in self._paths:
            data, as_stored = self._picture(ref)
            name = picture_name(data)
            path = self._root / FOLDER / name[:2] / name
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                self._write(ref if as_stored else ImageRef(data=data), data, path)
            self._paths[key] = f"{FOLDER}/{name[:2]}/{name}"
        return self._paths[key]

    def picture(self, ref: ImageRef) -> tuple[str, bytes]:
        """Return an image's name (hash and extension) and the bytes to hand over, for exports that hold images inside their files.

        Raises:
            RowError: it cannot be read.
        """
        data, _ = self._picture(ref)
        return picture_name(data), data

    def _picture(self, ref: ImageRef) -> tuple[bytes, bool]:
        stored = read_image_bytes(ref)
        if self._how is Images.POLICY:
            return _under_policy(stored), False
        if not image_facts(ImageRef(data=stored)).shown_otherwise:
            return stored, True
        shown = _under_policy(stored)
        self._rewritten.add(hash_bytes(shown))
        return shown, False

    def _write(self, ref: ImageRef, data: bytes, path: Path) -> None:
        if self._how is Images.LINK and ref.path is not None:
            try:
                os.link(safe_path(ref), path)
                return
            except OSError:  # another file system, or one without links
                self.copied_instead += 1
        path.write_bytes(data)


def picture_name(data: bytes) -> str:
    """Return the hash of an image's bytes with the extension that they ask for."""
    return f"{hash_bytes(data)}.{next((ending for start, ending in _SIGNATURES if data.startswith(start)), 'img')}"


def _under_policy(data: bytes) -> bytes:
    buffer = io.BytesIO()
    decode_image(data).save(buffer, format="PNG")
    return buffer.getvalue()
