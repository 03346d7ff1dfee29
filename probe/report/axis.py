"""A horizontal axis in percent of its width, so that a drawing is as wide as the screen or the paper."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from sources.estimate import Estimate

MARGIN = 0.04  # of the range, on either side
MOST_TICKS = 5


@dataclass(frozen=True, slots=True)
class Axis:
    """The range from `low` to `high`, which holds zero."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """Return where a value stands, in percent from the left; one outside stands at the end."""
        return round(min(100.0, max(0.0, 100 * (value - self.low) / (self.high - self.low))), 2)

    def ticks(self) -> list[float]:
        """Return at most five round numbers inside the range."""
        rough = (self.high - self.low) / MOST_TICKS
        size = 10 ** math.floor(math.log10(rough))
        step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
        return [number * step for number in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


def axis_over(values: Iterable[float], most: float = math.inf) -> Axis:
    """Return an axis that holds zero and every known value, and ends at `most`."""
    known = [0.0, *(value for value in values if math.isfinite(value))]
    low, high = min(known), max(known)
    margin = MARGIN * (high - low) or 1.0
    return Axis(low - margin if low < 0 else 0.0, min(high + margin, most))


def ends(estimates: Iterable[Estimate]) -> list[float]:
    """Return the values of estimates and both ends of their intervals."""
    return [end for one in estimates for end in (one.low, one.value, one.high)]
