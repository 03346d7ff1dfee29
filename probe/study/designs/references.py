"""Arms that others are compared with."""

from __future__ import annotations

from db.values import Arm, ArmRole
from sources.mixture import Curriculum, Mixture

UNTRAINED = "untrained"
BASE = "base"


def untrained_arm() -> Arm:
    """Return the proxy as it is: the reference of `solo` and `ladder`, and what every score starts from."""
    return Arm(UNTRAINED, ArmRole.UNTRAINED, None, Curriculum(()))


def base_arm(base: Mixture) -> Arm:
    """Return the base mixture: the reference of `add-one`, `leave-one-out` and `halving`."""
    return Arm(BASE, ArmRole.BASE, None, Curriculum.static(base))
