"""Shares and medians with exact intervals, where answers within a study depend on one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta, binom

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Share:
    """A share as sums over studies: `total` and `squares` of the studies' own shares, each of `answers` answers."""

    studies: int
    total: float
    squares: float
    answers: int

    @classmethod
    def of(cls, shares: Sequence[float], answers: int) -> Share:
        values = np.asarray(shares, dtype=np.float64)
        return cls(len(values), float(values.sum()), float((values**2).sum()), answers)

    def variance(self) -> float:
        """Return the variance of the mean, studies as units."""
        if self.studies < 2:
            return float("nan")
        return max(self.squares - self.total**2 / self.studies, 0.0) / (self.studies - 1) / self.studies


def figure(parts: Sequence[Share]) -> dict[str, float]:
    """Return the share over all cells, each study counted alike, with its exact interval.

    Clopper-Pearson (1934) at the effective number of answers, p (1 - p) / variance of p with studies as units (Korn and Graubard 1998,
    Survey Methodology 24, 193-201). Where each study gives one answer, that is the plain exact interval.
    """
    studies = sum(part.studies for part in parts)
    if not studies:
        return {"value": float("nan"), "low": float("nan"), "high": float("nan"), "studies": 0}
    value = sum(part.total for part in parts) / studies
    most = sum(part.studies * part.answers for part in parts)
    spread = sum(part.variance() * part.studies**2 for part in parts) / studies**2
    single = all(part.answers == 1 for part in parts)
    effective = most if single else min(most, value * (1 - value) / spread) if spread > 0 else studies
    low, high = exact(value * effective, effective)
    return {"value": value, "low": low, "high": high, "studies": studies}


def exact(hits: float, of: float) -> tuple[float, float]:
    """Return the Clopper-Pearson interval."""
    tail = (1 - LEVEL) / 2
    low = 0.0 if hits <= 0 else float(beta.ppf(tail, hits, of - hits + 1))
    return low, 1.0 if hits >= of else float(beta.ppf(1 - tail, hits + 1, of - hits))


def median_figure(values: Sequence[float]) -> dict[str, float]:
    """Return the median over studies with its distribution-free interval (order statistics)."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n = len(ordered)
    if not n:
        return {"value": float("nan"), "low": float("nan"), "high": float("nan"), "studies": 0}
    rank = max(int(binom.ppf((1 - LEVEL) / 2, n, 0.5)) - 1, 0)
    return {"value": float(np.median(ordered)), "low": float(ordered[rank]), "high": float(ordered[n - 1 - rank]), "studies": n}
