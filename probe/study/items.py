"""A benchmark's items for the engine, and their one split into selection and confirmation, by image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from proxy_training.jobs import EvalSet
from sources.benchmark import BenchmarkSpec, Item
from sources.canonical import hash_bytes
from sources.problems import RowError

if TYPE_CHECKING:
    from sources.benchmark_data import BenchmarkData

_NO_DIGESTS: Mapping[str, str] = MappingProxyType({})


class BenchmarkReader:
    """Benchmarks as they are now, each read once and kept for as long as the reader is."""

    def __init__(self) -> None:
        self._read: dict[BenchmarkSpec, BenchmarkData] = {}

    def read(self, spec: BenchmarkSpec) -> BenchmarkData:
        """Return a benchmark's data, as `sources.benchmark_data.read_benchmark` does.

        Raises:
            SourceError: it cannot be read, or has no usable item.
        """
        from sources.benchmark_data import read_benchmark

        if spec not in self._read:
            self._read[spec] = read_benchmark(spec)
        return self._read[spec]


def read_eval_set(spec: BenchmarkSpec) -> EvalSet:
    """Read a benchmark's items in their fixed order.

    Raises:
        SourceError: it cannot be read, or has no usable item.
    """
    data = BenchmarkReader().read(spec)
    return EvalSet(spec, data.fingerprint, data.items)


def split_items(items: Sequence[Item], digests: Mapping[str, str] = _NO_DIGESTS) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """Return each item's image cluster [items] and split code [items].

    Both are functions of the image's bytes alone: an image that stands in two benchmarks has one cluster number in both, so that
    its noise is not counted as independent, and never is on both sides of the split. `digests` are those that are known, by the
    image's identity; other images are read.
    """
    hashes = [hash_bytes(b"image", _cluster_key(item, digests).encode()) for item in items]
    groups = np.array([int(digest[:7], 16) for digest in hashes], np.int32)
    splits = np.array([int(digest[8], 16) % 2 for digest in hashes], np.int8)
    return groups, splits


def _cluster_key(item: Item, digests: Mapping[str, str]) -> str:
    from sources.images import image_digest

    if not item.images:
        return item.image_group()
    try:
        return digests.get(item.images[0].identity()) or image_digest(item.images[0])
    except RowError:
        return item.image_group()
