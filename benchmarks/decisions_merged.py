"""Mixtures scored without training, by merging the adapters of single sources; filled in when the tool can."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from decisions_runs import Lab

from sources.mixture import Mixture


def merged_scores(lab: Lab, mixtures: Sequence[Mixture]) -> Any:
    """Return what merging predicts of mixtures, or None: the tool has no merged adapters yet. They are kept in `lab.adapter(run)`."""
    return None
