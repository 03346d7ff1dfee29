"""Several questions at once: p-values corrected for how many were asked."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def hochberg(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return Hochberg-adjusted p-values (Hochberg 1988, Biometrika 75, 800-802): as Holm's, but stepping up from the largest.

    Held for one-sided tests that depend positively on each other (Sarkar 1998, Ann. Statist. 26, 494-504), such as one candidate
    against several baselines: they share the candidate. All are rejected exactly when the largest p-value is.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(-p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum.accumulate(p[order] * np.arange(1, len(p) + 1))
    return np.minimum(adjusted, 1.0)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return Holm-adjusted p-values (Holm 1979, Scand. J. Statist. 6, 65-70): family-wise error held under any dependence."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
