"""Images looked at once: decoded in parts that are kept as they are done, so that an interrupted scan goes on where it stopped."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from sources.canonical import content_hash
from sources.images import IMAGE_POLICY, load_image
from sources.overlap.gallery import Gallery
from sources.overlap.look import VERSION, Look, look_at
from sources.problems import RowError
from sources.sample import ImageRef

Progress = Callable[[int, int], None]
PART = 2048  # images


def scan_images(images: Mapping[str, ImageRef], cache_dir: Path | None, progress: Progress | None = None) -> Gallery:
    """Return the gallery of images by the hashes of their bytes, from the cache where they were looked at before.

    One that cannot be decoded any more is left out: where it is drawn or scored, that is told.
    """
    digests = sorted(images)
    parts, done = [], 0
    for start in range(0, len(digests), PART):
        chosen = digests[start : start + PART]
        file = cache_dir / f"looks-{content_hash([VERSION, IMAGE_POLICY, chosen])}.npz" if cache_dir else None
        part = _load(file) if file else None
        if part is None:
            part = Gallery.of(*_looked_at(chosen, images, lambda n, before=done: progress and progress(before + n, len(digests))))
            if file:
                _save(part, file)
        parts.append(part)
        done += len(chosen)
        if progress:
            progress(done, len(digests))
    return Gallery.joined(parts)


def _looked_at(digests: list[str], images: Mapping[str, ImageRef], progress: Callable[[int], object]) -> tuple[list[str], list[Look]]:
    seen, looks = [], []
    for count, digest in enumerate(digests, 1):
        with suppress(RowError):
            looks.append(look_at(load_image(images[digest])))
            seen.append(digest)
        if count % 50 == 0:
            progress(count)
    return seen, looks


def _load(file: Path) -> Gallery | None:
    """Return a kept part; None if there is none or it is damaged."""
    try:
        with np.load(file, allow_pickle=False) as held:
            return Gallery(**{name: held[name] for name in Gallery.__slots__})
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def _save(part: Gallery, file: Path) -> None:
    """Write a part under a temporary name and rename it. A folder that cannot be written costs the cache, nothing else."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=".looks-", delete=False) as temporary:
            np.savez(temporary, **{name: getattr(part, name) for name in Gallery.__slots__})
        os.replace(temporary.name, file)
