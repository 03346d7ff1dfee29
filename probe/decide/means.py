"""Means over items with intervals over new images: one model's scores, or the difference of two on the same items."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from probe.decide.panel import Panel, benchmark_panel
from sources.estimate import Estimate

LEVEL = 0.90
ROUNDING = 1e-12  # a share or a standard error up to this is none


def mean_with_interval(values: ArrayLike, groups: ArrayLike, level: float = LEVEL) -> Estimate | None:
    """Return the mean of the finite `values[item]` with a t interval over image clusters `groups[item]`; None of fewer than two.

    The model is taken as it is: the interval is about new images, not about new seeds. Where all values are 0 or all are 1, which
    leaves no spread to estimate, it is the exact one over as many images (Clopper & Pearson 1934, Biometrika 26, 404-413).
    """
    values, groups = np.asarray(values, dtype=np.float64), np.asarray(groups)
    if len(np.unique(groups[np.isfinite(values)])) < 2:
        return None
    panel = benchmark_panel(values[None, None], groups)
    value, stderr = float(panel.means[0, 0]), float(np.sqrt((panel.influence[0, 0] ** 2).sum()))
    if value in (0.0, 1.0) and stderr == 0.0:
        reach = 1 - float(((1 - level) / 2) ** (1 / len(panel.clusters)))
        return Estimate(value, 0.0, max(0.0, value - reach), min(1.0, value + reach), panel.n)
    return _interval(value, stderr, panel, level)


def share_with_interval(values: ArrayLike, groups: ArrayLike, level: float = LEVEL) -> Estimate | None:
    """Return the mean of the finite `values[item]`, each in 0..1, with an interval inside 0..1 over image clusters `groups[item]`.

    Clopper & Pearson's interval (1934, Biometrika 26, 404-413) at the effective number of items n = p (1 - p) / se^2, which the clusters
    leave of them (Korn & Graubard 1998, Survey Methodology 24, 193-201), made smaller by the squared ratio of the normal to the t quantile
    because the error itself is estimated, from as many clusters. Where all values are 0, all are 1 or all clusters have the same mean,
    which leaves no spread to estimate, n is the number of clusters. None of fewer than two clusters.
    """
    from scipy.special import betaincinv, ndtri, stdtrit

    values, groups = np.asarray(values, dtype=np.float64), np.asarray(groups)
    if len(np.unique(groups[np.isfinite(values)])) < 2:
        return None
    panel = benchmark_panel(values[None, None], groups)
    value = min(1.0, max(0.0, float(panel.means[0, 0])))
    stderr, clusters = float(np.sqrt((panel.influence[0, 0] ** 2).sum())), len(panel.clusters)
    tail = (1 - level) / 2
    if value * (1 - value) <= ROUNDING or stderr <= ROUNDING:
        effective = float(clusters)
    else:
        effective = value * (1 - value) / stderr**2 * float(ndtri(1 - tail) / stdtrit(clusters - 1.0, 1 - tail)) ** 2
    right = value * effective
    low = float(betaincinv(right, effective - right + 1, tail)) if value > ROUNDING else 0.0
    high = float(betaincinv(right + 1, effective - right, 1 - tail)) if value < 1 - ROUNDING else 1.0
    return Estimate(value, stderr, min(low, value), max(high, value), panel.n)


def score_with_interval(values: ArrayLike, groups: ArrayLike, level: float = LEVEL) -> Estimate | None:
    """Return the mean of `values[item]` with the interval of a share where all of them are in 0..1, else that of any mean."""
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    shares = bool(((known >= 0) & (known <= 1)).all())
    return (share_with_interval if shares else mean_with_interval)(values, groups, level)


def ratio_with_interval(above: ArrayLike, below: ArrayLike, groups: ArrayLike, level: float = LEVEL) -> Estimate | None:
    """Return mean(above) / mean(below) of `[item]` arrays with a linearised interval over image clusters (Cochran 1977, 6.4).

    None where the interval of the lower mean is not above zero: such a ratio could be anything.
    """
    above, below, groups = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64), np.asarray(groups)
    known = np.isfinite(above) & np.isfinite(below)
    base = mean_with_interval(below[known], groups[known], level)
    if base is None or base.low <= 0:
        return None
    panel = benchmark_panel(np.stack([above, below])[:, None, known], groups[known])
    ratio = float(panel.means[0, 0] / panel.means[1, 0])
    influence = (panel.influence[0, 0] - ratio * panel.influence[1, 0]) / panel.means[1, 0]
    return _interval(ratio, float(np.sqrt((influence**2).sum())), panel, level)


def _interval(value: float, stderr: float, panel: Panel, level: float) -> Estimate:
    from scipy.special import stdtrit

    half = float(stdtrit(len(panel.clusters) - 1.0, 0.5 + level / 2)) * stderr
    return Estimate(value, stderr, value - half, value + half, panel.n)
