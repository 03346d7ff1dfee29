"""Figures of `surrogate.py`: rank correlations with intervals, gains over rivals, regret and coverage."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent))
from surrogate_draws import OURS, SAME_UNITS
from surrogate_runs import Floats

RESAMPLES = 2000


def ranks(values: Floats) -> Floats:
    """Return standardised ranks along the last axis; zeros where all are equal."""
    from scipy.stats import rankdata

    r = rankdata(values, axis=-1)
    r = r - r.mean(axis=-1, keepdims=True)
    size = np.sqrt((r**2).sum(axis=-1, keepdims=True))
    return np.where(size > 0, r / np.where(size > 0, size, 1.0), 0.0)


def mean_spearman(predictions: Floats, truth: Floats, rows: NDArray[np.intp]) -> Floats:
    """Return the mean over draws of the rank correlation of `predictions[draw, run]` with the truth, for each resample `rows[b, run]`."""
    expected = ranks(truth[rows])
    return np.mean([(ranks(one[rows]) * expected).sum(axis=-1) for one in predictions], axis=0)


def partial(predictions: Floats, truth: Floats, given: Floats) -> float | None:
    """Return the mean partial rank correlation given a third variable; None where that one settles either."""
    a, b, c = ranks(predictions), ranks(truth), ranks(given)
    ab, ac, bc = a @ b, a @ c, float(b @ c)
    below = np.sqrt(np.maximum((1 - ac**2) * (1 - bc**2), 0))
    return float(((ab - ac * bc) / below).mean()) if (below > 1e-9).all() else None


def figures(predicted: dict[str, Floats], ours: str, truth: Floats, given: Floats | None, coverage: list[float]) -> dict[str, Any]:
    """Return all figures of one target for one N: `predicted[method][draw, run]`."""
    rng = np.random.default_rng(0)
    resamples = rng.integers(0, len(truth), (RESAMPLES, len(truth)))
    again = {name: mean_spearman(p, truth, resamples) for name, p in predicted.items()}
    exact = {name: float(mean_spearman(p, truth, np.arange(len(truth))[None])[0]) for name, p in predicted.items()}

    def estimate(value: float, drawn: Floats) -> dict[str, float]:
        low, high = np.quantile(drawn, [0.05, 0.95]).tolist()
        return {"value": value, "low": low, "high": high}

    spearman = {name: estimate(exact[name], again[name]) for name in predicted}
    gains = {
        name: estimate(spearman[ours]["value"] - spearman[name]["value"], again[ours] - again[name])
        for name in predicted
        if name not in (OURS, SAME_UNITS)
    }
    spread = float(truth.std()) or 1.0
    lost = np.array([(truth.max() - truth[int(np.argmax(one))]) / spread for one in predicted[ours]])
    c = np.array(coverage)
    error = 1.645 * float(c.std(ddof=1)) / len(c) ** 0.5 if len(c) > 1 else float("nan")
    return {
        "spearman": spearman[ours],
        "gain_low": min(gain["low"] for gain in gains.values()),
        "gains": gains,
        "rivals": {name: value for name, value in spearman.items() if name != ours},
        "partial": None if given is None else partial(predicted[ours], truth, given),
        "regret": {"value": float(lost.mean()), "low": float(lost.min()), "high": float(lost.max())},
        "coverage": {"value": float(c.mean()), "low": float(c.mean()) - error, "high": float(c.mean()) + error} if len(c) else None,
    }
