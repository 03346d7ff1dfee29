"""Images looked at once: decoded in parts that are kept as they are done, so that an interrupted scan goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from sources.canonical import content_hash
from sources.images import IMAGE_POLICY, load_image
from sources.overlap.gallery import Gallery
from sources.overlap.look import VERSION, Look, look_at
from sources.parts import write_part
from sources.problems import RowError
from sources.sample import ImageRef, Sample
from sources.sampling import SourcePool

Progress = Callable[[int, int], None]
PART = 2048  # images
_PREFIX = f"looks-{content_hash([VERSION, IMAGE_POLICY])[:12]}-"


def named_images(pool: SourcePool, sample: Sample, images: dict[str, ImageRef]) -> tuple[str, ...]:
    """Return the hashes of a row's images and note where each lies; one that cannot be read any more is left out."""
    names = []
    for ref in sample.images:
        with suppress(RowError):
            names.append(pool.index.image_hash(ref))
            images[names[-1]] = ref
    return tuple(names)


def scan_images(images: Mapping[str, ImageRef], cache_dir: Path | None, progress: Progress | None = None) -> Gallery:
    """Return the gallery of images, which are named by the hashes of their bytes; those that any scan saw before come from the cache.

    One that cannot be decoded any more is left out: where it is drawn or scored, that is told.
    """
    parts = _kept(set(images), cache_dir) if cache_dir else []
    missing = sorted(set(images).difference(part.name(place) for part in parts for place in range(len(part))))
    for start in range(0, len(missing), PART):
        chosen = missing[start : start + PART]
        part = Gallery.of(*_looked_at(chosen, images, _beyond(progress, start, len(missing))))
        if cache_dir:
            _save(part, cache_dir / f"{_PREFIX}{content_hash(chosen)}.npz")
        parts.append(part)
        if progress:
            progress(start + len(chosen), len(missing))
    return Gallery.joined(parts)


def _beyond(progress: Progress | None, before: int, total: int) -> Callable[[int], None]:
    return lambda done: progress(before + done, total) if progress else None


def _kept(wanted: set[str], cache_dir: Path) -> list[Gallery]:
    """Return what earlier scans saw of the images, each once."""
    parts, left = [], {bytes.fromhex(digest) for digest in wanted}
    for file in sorted(cache_dir.glob(f"{_PREFIX}*.npz")):
        digests = _digests(file)
        places = [place for place, digest in enumerate(digests) if digest in left]
        part = _load(file) if places else None
        if part is not None:
            parts.append(part.some(np.array(places)))
            left.difference_update(digests)
    return parts


def _digests(file: Path) -> list[bytes]:
    try:
        with np.load(file, allow_pickle=False) as held:
            digests: list[bytes] = held["digests"].tolist()
            return digests
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return []


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
    """Keep a part. A folder that cannot be written costs the cache, nothing else."""
    with suppress(OSError):
        write_part(file, {name: getattr(part, name) for name in Gallery.__slots__})
