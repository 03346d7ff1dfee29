"""Means of merged adapters, kept in the workspace: one JSON file a set of adapters and items, whole or not at all."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from sources.canonical import content_hash
from sources.whole_files import write_whole_text

VERSION = 1  # raised when the same adapters and items would give other means
MOST_BYTES = 50_000_000
DIGITS = 9  # of shares


class MergedMeans:
    """Each mixture's mean score on one benchmark's items, by its shares of the adapters."""

    def __init__(self, file: Path, means: dict[tuple[float, ...], float]) -> None:
        self.file = file
        self._means = means
        self._written = len(means)

    @classmethod
    def read(cls, folder: Path, adapters: Sequence[str], items: str) -> MergedMeans:
        """Return what is kept of these adapters (training ids, in the shares' order) on these items (their hash).

        What cannot be read counts as nothing: it is scored again then.
        """
        file = folder / f"{content_hash([VERSION, list(adapters), items])}.json"
        try:
            if file.stat().st_size > MOST_BYTES:
                return cls(file, {})
            rows = json.loads(file.read_text(encoding="utf-8"))["mixtures"]
            means = {tuple(float(share) for share in shares): float(mean) for shares, mean in rows}
        except (OSError, ValueError, TypeError, KeyError):
            return cls(file, {})
        good = all(len(shares) == len(adapters) and math.isfinite(mean) for shares, mean in means.items())
        return cls(file, means if good else {})

    def __contains__(self, weights: ArrayLike) -> bool:
        return _key(weights) in self._means

    def __getitem__(self, weights: ArrayLike) -> float:
        return self._means[_key(weights)]

    def __setitem__(self, weights: ArrayLike, mean: float) -> None:
        self._means[_key(weights)] = mean

    def write(self) -> None:
        """Write what is new."""
        if len(self._means) > self._written:
            rows = [[list(shares), mean] for shares, mean in self._means.items()]
            write_whole_text(self.file, json.dumps({"mixtures": rows}) + "\n")
            self._written = len(self._means)


def _key(weights: ArrayLike) -> tuple[float, ...]:
    return tuple(np.asarray(weights, dtype=np.float64).round(DIGITS).tolist())
