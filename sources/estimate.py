"""`Estimate`: the only form in which a score travels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its standard error, an interval (its level is the study's, .90 by default) and the number of items behind it."""

    value: float
    stderr: float
    low: float
    high: float
    n: int

    def apart_from_zero(self) -> bool:
        """Say whether the interval excludes zero."""
        return self.low > 0 or self.high < 0
