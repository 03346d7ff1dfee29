"""A benchmark's items for the engine, and their one split into selection and confirmation, by image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from proxy_training.jobs import EvalSet
from sources.benchmark import BenchmarkSpec, Item
from sources.canonical import hash_bytes
from sources.problems import RowError


def read_eval_set(spec: BenchmarkSpec) -> EvalSet:
    """Read a benchmark's items in their fixed order.

    Raises:
        SourceError: it cannot be read, or has no usable item.
    """
    from sources.benchmark_data import read_benchmark

    data = read_benchmark(spec)
    return EvalSet(spec, data.fingerprint, data.items)


def split_items(items: Sequence[Item]) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """Return each item's image cluster [items] and split code [items].

    Both are functions of the image's bytes alone: an image that stands in two benchmarks has one cluster number in both, so that
    its noise is not counted as independent, and never is on both sides of the split.
    """
    hashes = [hash_bytes(b"image", _cluster_key(item).encode()) for item in items]
    groups = np.array([int(digest[:7], 16) for digest in hashes], np.int32)
    splits = np.array([int(digest[8], 16) % 2 for digest in hashes], np.int8)
    return groups, splits


def _cluster_key(item: Item) -> str:
    from sources.images import read_image_bytes

    if not item.images:
        return item.image_group()
    try:
        return hash_bytes(read_image_bytes(item.images[0]))
    except RowError:
        return item.image_group()
