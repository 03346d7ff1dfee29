"""The arms of a confirmation: the candidate and its baselines."""

from __future__ import annotations

from collections.abc import Mapping

from db.values import Arm, ArmRole
from sources.mixture import Curriculum, Mixture


def confirm_arms(candidates: Mapping[str, Mixture]) -> list[Arm]:
    """Return the candidate and its baselines, to be trained with fresh seeds."""
    return [Arm(f"confirm/{name}", ArmRole.CONFIRM, None, Curriculum.static(mixture)) for name, mixture in candidates.items()]
