"""`Panel`: arms' scores on items reduced to per-repeat means and image-cluster influences, the only form the statistics read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """Scores of arms at one level.

    `means[arm, repeat]` is NaN where a probe is not done. `influence[arm, repeat, cluster]` is how far the cluster moves that mean
    (sums to zero over a benchmark's clusters), so both are linear: an arm minus an arm, or a weighted sum of benchmarks, is a panel
    again. `clusters` are (pool, group) keys; equal keys are the same images. `n` counts items.
    """

    means: Floats
    influence: Floats
    clusters: tuple[tuple[str, int], ...]
    n: int


def benchmark_panel(scores: ArrayLike, groups: ArrayLike, *, one_run: Sequence[int] = (), pool: str = "") -> Panel:
    """Reduce `scores[arm, repeat, item]` (NaN = missing) to a panel over the items that every probe has scored.

    Arms in `one_run` (the untrained proxy) have no seed: their single run stands for every repeat. Clusters enter by the linearised
    ratio estimator of a mean over clusters of unequal size (Cochran 1977, Sampling Techniques, 6.4).

    Raises:
        ValueError: shapes disagree, no item is common to all probes, or fewer than two clusters remain.
    """
    scores = np.array(scores, dtype=np.float64)
    groups = np.asarray(groups)
    if scores.ndim != 3 or groups.shape != scores.shape[2:]:
        raise ValueError(f"scores are [arm, repeat, item] and groups [item], got {scores.shape} and {groups.shape}")
    for arm in one_run:
        scores[arm] = _single_run(scores[arm])
    done = np.isfinite(scores).any(axis=2)
    common = np.isfinite(scores[done]).all(axis=0) if done.any() else np.zeros(groups.shape, dtype=bool)
    keys, index, sizes = np.unique(groups[common], return_inverse=True, return_counts=True)
    if len(keys) < 2:
        raise ValueError(f"needs items of at least two image clusters that every probe has scored, got {len(keys)}")
    kept = scores[:, :, common]
    member = np.zeros((len(index), len(keys)))
    member[np.arange(len(index)), index] = 1.0
    means = kept.mean(axis=2)
    # The factor makes sums of squares over a benchmark's clusters unbiased after its own mean is taken out.
    unbiased = np.sqrt(len(keys) / (len(keys) - 1)) / len(index)
    influence = (kept @ member - means[:, :, None] * sizes) * unbiased
    return Panel(means, influence, tuple((pool, int(key)) for key in keys), len(index))


def _single_run(scores: Floats) -> Floats:
    runs = np.flatnonzero(np.isfinite(scores).any(axis=1))
    if not len(runs):
        return scores
    return np.broadcast_to(scores[runs].mean(axis=0), scores.shape).copy()


def combine(panels: Sequence[Panel], weights: Sequence[float]) -> Panel:
    """Return the weighted sum of panels of the same arms and repeats; clusters with equal keys are joined, others stay apart.

    Per-repeat means are combined before any variance is taken, because the same seeds run through all benchmarks.
    """
    keys = {key: None for panel in panels for key in panel.clusters}
    column = {key: k for k, key in enumerate(keys)}
    influence = np.zeros((*panels[0].means.shape, len(column)))
    for panel, weight in zip(panels, weights, strict=True):
        influence[:, :, [column[key] for key in panel.clusters]] += weight * panel.influence
    means = np.sum([weight * panel.means for panel, weight in zip(panels, weights, strict=True)], axis=0)
    return Panel(means, influence, tuple(column), sum(panel.n for panel in panels))


def repeat_deviation(panel: Panel, arms: Sequence[int]) -> float:
    """Return the deviation over repeats of an arm's own mean, pooled over `arms`; NaN where no arm has two repeats."""
    squares, df = 0.0, 0
    for arm in arms:
        runs = panel.means[arm][np.isfinite(panel.means[arm])]
        if len(runs) > 1:
            squares += float(((runs - runs.mean()) ** 2).sum())
            df += len(runs) - 1
    return float(np.sqrt(squares / df)) if df else float("nan")


def item_deviation(panel: Panel, arms: Sequence[int]) -> float:
    """Return the deviation that other items would give an arm's mean beside the other `arms` (what moves all alike is taken out)."""
    squares, df = 0.0, 0
    for repeat in range(panel.means.shape[1]):
        rows = panel.influence[[arm for arm in arms if np.isfinite(panel.means[arm, repeat])], repeat]
        centred = rows - rows.mean(axis=0) if len(rows) > 1 else rows
        squares += float((centred**2).sum())
        df += max(len(rows) - 1, min(len(rows), 1))
    return float(np.sqrt(squares / df)) if df else 0.0
