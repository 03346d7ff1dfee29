"""Mixtures scored without training: weighted sums of the proxy's adapters of single sources, and what a surrogate makes of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from decisions_runs import Lab
from numpy.typing import NDArray

from sources.mixture import Mixture


def score_merged(lab: Lab, mixtures: Sequence[Mixture]) -> None:
    """Score the merged adapters of mixtures: the tool cannot yet; the adapters are kept in `lab.adapter(run)`."""


def merged_predictions(lab: Lab, few: Sequence[Mixture], held: Sequence[Mixture]) -> dict[str, NDArray[np.float64]]:
    """Return what merging predicts of the held-out mixtures: nothing yet."""
    return {}
