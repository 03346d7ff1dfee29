"""The feature store: every image through the frozen tower and connector once, kept on disk by content.

A *space* is everything but the image that decides a feature: image policy, processor, tower and connector weights,
precision. Under it lie shards, each an array [tokens, width] and an index written last, so that a shard without its index
does not exist. Readers map shards into memory; writers take a lock, so two processes never compute the same image twice.
With a limit, the shards that were used longest ago go first.
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from proxy_training.families.base import LoadedBase, ProcessedImage
from sources.canonical import content_hash
from sources.images import IMAGE_POLICY, load_image
from sources.problems import RowError
from sources.sample import ImageRef

SHARD_IMAGES = 512
ENCODE_BATCH = 32
CROWD = "+"  # ends the key of an image in a row of several, where the family processes it otherwise
NOTE = "space"  # beside the shards: whose features these are, so that they can be cleaned away with their proxy


@dataclass(frozen=True, slots=True)
class Feature:
    """One image's features: `tokens` [image tokens, width] and the text that stands in its place."""

    tokens: Tensor
    expansion: str


class ImageStore(Protocol):
    """What preparing rows asks of images."""

    base: LoadedBase
    encoded: int  # images that were computed here

    def ensure(self, images: Mapping[str, ImageRef], progress: Callable[[int, int], None] | None = None) -> dict[str, RowError]:
        """Make images ready; return those (by key) that could not be loaded, with the reason."""
        ...

    def expansion(self, key: str) -> str:
        """Return the text that stands in an image's place."""
        ...

    def gather(self, keys: Sequence[str]) -> Tensor:
        """Return the features of images in order [tokens, width]."""
        ...


def process(base: LoadedBase, key: str, image: Image.Image) -> ProcessedImage:
    """Turn the image of a key into the tower's input."""
    return base.process_crowded(image) if key.endswith(CROWD) else base.process_image(image)


class FeatureStore:
    """One space of the store, for one loaded base."""

    def __init__(self, root: Path, base: LoadedBase, weights_hash: str, limit: int | None = None) -> None:
        """Open a space of the store at `root`, of which all spaces together keep to `limit` bytes; None: no limit."""
        dtype = next(base.model.parameters()).dtype
        self.base = base
        self.folder = root / content_hash([IMAGE_POLICY, base.processor_digest, weights_hash, str(dtype)])
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / NOTE).write_text(json.dumps({"weights_hash": weights_hash}), "utf-8")
        self.limit = limit
        self._root = root
        self._dtype = dtype
        self._places: dict[str, tuple[NDArray[np.generic], int, int, str]] = {}
        self._shards: dict[str, Path] = {}  # key -> index file
        self._seen: set[str] = set()
        self.encoded = 0  # images that went through processor and tower here

    def ensure(self, images: Mapping[str, ImageRef], progress: Callable[[int, int], None] | None = None) -> dict[str, RowError]:
        """Compute what is missing; return the images (by key) that could not be loaded, with the reason.

        Args:
            images: content key -> where the image is.
            progress: called with (done, of all) images.
        """
        failed: dict[str, RowError] = {}
        if all(key in self._places for key in images):
            return failed
        with self._lock():
            self._rescan()
            missing = [key for key in images if key not in self._places]
            for at in range(0, len(missing), SHARD_IMAGES):
                chunk = missing[at : at + SHARD_IMAGES]
                failed |= self._write_shard({key: images[key] for key in chunk})
                self.encoded += len(chunk)
                if progress:
                    progress(min(at + SHARD_IMAGES, len(missing)), len(missing))
            self._keep_to_limit(images)
        return failed

    def get(self, key: str) -> Feature:
        """Return one image's features, on the base's device.

        Raises:
            KeyError: `ensure` was not called for it, or it could not be loaded.
        """
        array, start, stop, expansion = self._places[key]
        tokens = torch.from_numpy(np.array(array[start:stop]))
        if self._dtype is torch.bfloat16:
            tokens = tokens.view(torch.bfloat16)
        return Feature(tokens.to(self.base.device), expansion)

    def gather(self, keys: Sequence[str]) -> Tensor:
        """Return the features of images in order [tokens, width], on the base's device; empty when there are none."""
        if not keys:
            return torch.zeros(0, 1, device=self.base.device)
        return torch.cat([self.get(key).tokens for key in keys])

    def expansion(self, key: str) -> str:
        """Return the text that stands in an image's place."""
        return self._places[key][3]

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with open(self.folder / ".lock", "w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _rescan(self) -> None:
        for index in sorted(self.folder.glob("*.json")):
            if index.name not in self._seen:
                try:
                    entries = json.loads(index.read_text("utf-8"))
                    array = np.load(index.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
                except FileNotFoundError:  # another process has just thrown it out
                    continue
                for key, (start, stop, expansion) in entries.items():
                    self._places[key] = (array, start, stop, expansion)
                    self._shards[key] = index
                self._seen.add(index.name)

    def _keep_to_limit(self, used: Iterable[str]) -> None:
        """Throw out the least recently used shards of all spaces until the limit holds, but none that is `used` now.

        Whoever has a shard mapped keeps it: on POSIX a file lives until its last mapping goes.
        """
        if self.limit is None:
            return
        mine = {self._shards[key] for key in used if key in self._shards}
        for index in mine:
            if index.exists():
                os.utime(index)
        shards = []
        for index in self._root.glob("*/*.json"):
            try:
                shards.append((index.stat().st_mtime_ns, index.with_suffix(".npy").stat().st_size, index))
            except FileNotFoundError:
                continue
        total = sum(size for _, size, _ in shards)
        for _, size, index in sorted(shards):
            if total <= self.limit:
                return
            if index not in mine:
                index.unlink(missing_ok=True)  # first: without its index a shard does not exist
                index.with_suffix(".npy").unlink(missing_ok=True)
                total -= size

    def _write_shard(self, images: Mapping[str, ImageRef]) -> dict[str, RowError]:
        failed, entries, arrays, at = {}, {}, [], 0
        keys = list(images)
        for start in range(0, len(keys), ENCODE_BATCH):
            processed = {}
            for key in keys[start : start + ENCODE_BATCH]:
                try:
                    processed[key] = process(self.base, key, load_image(images[key]))
                except RowError as error:
                    failed[key] = error
            if not processed:
                continue
            with torch.no_grad():
                encoded = self.base.encode_images(list(processed.values()))
            for key, tokens in zip(processed, encoded, strict=True):
                entries[key] = (at, at + len(tokens), processed[key].expansion)
                arrays.append(_storable(tokens))
                at += len(tokens)
        if arrays:
            self._publish(np.concatenate(arrays), entries)
            self._rescan()
        return failed

    def _publish(self, array: NDArray[np.generic], entries: Mapping[str, tuple[int, int, str]]) -> None:
        name = uuid.uuid4().hex
        partial = self.folder / f"{name}.partial"
        with open(partial, "wb") as handle:
            np.save(handle, array, allow_pickle=False)
        os.replace(partial, self.folder / f"{name}.npy")
        partial.write_text(json.dumps(entries), "utf-8")
        os.replace(partial, self.folder / f"{name}.json")


def _storable(tokens: Tensor) -> NDArray[np.generic]:
    tokens = tokens.detach().cpu()
    array: NDArray[np.generic] = (tokens.view(torch.uint16) if tokens.dtype is torch.bfloat16 else tokens).numpy()
    return array
