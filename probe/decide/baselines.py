"""What a chosen mixture has to beat, as shares: caps of single sources, and what the surface predicts against each baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from sources.estimate import Estimate

if TYPE_CHECKING:  # both import the surrogates, which a list of baselines does not need
    from probe.decide.search import Optimum
    from probe.decide.surrogates import Objective


def capped(rows: Mapping[str, float], held: Mapping[str, float], cap: float) -> dict[str, float]:
    """Return shares proportional to min(rows, `cap`) of each source.

    The examples-proportional mixing of T5 (Raffel et al. 2020, JMLR 21(140), 3.5.2: artificial data set size limit), as FLAN uses it
    (Wei et al. 2022, arXiv:2109.01652) and Cambrian-1 caps single sources (Tong et al. 2024, arXiv:2406.16860). `held` is what the
    source's rows make in the budget's unit (rows, or tokens), so that a source of long rows keeps its greater share.
    """
    kept = {slug: held[slug] * min(1.0, cap / rows[slug]) if rows[slug] else 0.0 for slug in rows}
    total = sum(kept.values())
    return {slug: share / total for slug, share in kept.items()}


def default_cap(rows: Mapping[str, float]) -> float:
    """Return the median of the sources' rows: the larger half is cut to it."""
    return float(median(rows.values()))


def against(optimum: Optimum, surface: Objective, named: Mapping[str, Mapping[str, float]], level: float) -> Optimum:
    """Return the optimum with these baselines in place of its own, and what the surface predicts that it gains over each."""
    from scipy.special import ndtri

    z = float(ndtri(0.5 + level / 2))
    found = np.array([optimum.weights[slug].value for slug in optimum.sources])
    gains = {}
    for name, shares in named.items():
        mean, deviation = surface.difference(found, np.array([shares.get(slug, 0.0) for slug in optimum.sources]))
        gains[name] = Estimate(mean, deviation, mean - z * deviation, mean + z * deviation, optimum.predicted.n)
    return replace(optimum, baselines={name: dict(shares) for name, shares in named.items()}, predicted_gain=gains)
