"""Runs of `surrogate.py` from CSV files: weights and scores, brought to one form, and which of them train and test."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
INDEX = {"index", "id", "run", "run_id", "name", "unnamed: 0", ""}
UNTOLD = {"train", "training", "valid", "validation", "val", "test", "eval", "metric", "loss", "score"}


@dataclass(frozen=True)
class Runs:
    """`weights[run, source]`, `scores[run, target]` (higher is better)."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    weights: Floats
    scores: Floats


def read_table(path: Path) -> tuple[list[str] | None, list[str], Floats]:
    """Return the index (None: there is none), the columns' names and the numbers of a CSV file."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if row]
    if len(rows) < 2 or len({len(row) for row in rows}) != 1:
        raise SystemExit(f"{path} needs a line of names, and rows as long as it.")
    names = [name.strip() for name in rows[0]]
    first = 1 if names[0].lower() in INDEX else 0
    try:
        numbers = np.array([[float(cell) for cell in row[first:]] for row in rows[1:]])
    except ValueError as error:
        raise SystemExit(f"{path} holds something that is no number: {error}.") from None
    if not numbers.size or not np.isfinite(numbers).all():
        raise SystemExit(f"{path} holds missing or infinite numbers: take those rows out.")
    return ([row[0] for row in rows[1:]] if first else None), names[first:], numbers


def read_runs(weights: Path, targets: Path, higher: bool) -> Runs:
    """Read a pair of CSV files, joined by their index or by their order."""
    index, sources, w = read_table(weights)
    other, names, y = read_table(targets)
    if index is not None and other is not None:
        place = {key: k for k, key in enumerate(other)}
        kept = [k for k, key in enumerate(index) if key in place]
        if len(place) < len(other) or len(set(index)) < len(index) or not kept:
            raise SystemExit(f"the indices of {weights} and {targets} do not match one to one.")
        w, y = w[kept], y[[place[index[k]] for k in kept]]
    if len(w) != len(y):
        raise SystemExit(f"{weights} has {len(w)} rows, {targets} {len(y)}: give both an index column, or equal rows.")
    if (w < 0).any() or (w.sum(axis=1) <= 0).any():
        raise SystemExit(f"{weights} holds negative weights, or a row without any.")
    return Runs(tuple(sources), tuple(names), w / w.sum(axis=1, keepdims=True), y if higher else -y)


def own_sources(runs: Runs) -> list[int | None]:
    """Return each target's own source by name, None where there is none or more than one."""

    def words(name: str) -> tuple[str, ...]:
        return tuple(word for word in re.split(r"[^a-z0-9]+", name.lower()) if word and word not in UNTOLD)

    known = [words(source) for source in runs.sources]
    return [known.index(words(t)) if known.count(words(t)) == 1 else None for t in runs.targets]


@dataclass(frozen=True)
class Problem:
    """Training runs, test runs, and the test's standardising unit of each target."""

    train: Runs
    test: Runs | None

    @property
    def tested(self) -> Runs:
        return self.test or self.train

    def unit(self) -> Floats:
        spread = self.train.scores.std(axis=0)
        return np.where(spread > 0, spread, 1.0)

    def overall(self, scores: Floats) -> Floats:
        return ((scores - self.train.scores.mean(axis=0)) / self.unit()).mean(axis=1)

    def baseline(self) -> tuple[Floats | None, list[int | None]]:
        own = own_sources(self.train)
        if any(k is None for k in own):
            return None, own
        return np.sqrt(self.tested.weights[:, [k for k in own if k is not None]]).sum(axis=1), own


def regmix(folder: Path) -> Problem:
    """Return RegMix's public runs: fitted to 1M models, tested on 1B ones."""

    def pair(kind: str, size: str) -> Runs:
        return read_runs(folder / f"{kind}_mixture_{size}.csv", folder / f"{kind}_pile_loss_{size}.csv", False)

    return Problem(pair("train", "1m"), pair("test", "1B"))
