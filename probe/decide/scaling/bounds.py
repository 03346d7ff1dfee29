"""What a score can be at all, which a law of its growth does not know."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from probe.decide.study_scores import ACCURACY, CHOICE_METRIC, FREE_TEXT_METRIC, GENERATED_METRIC
from sources.estimate import Estimate


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the greatest value of a score; infinite where it has no end there."""

    low: float = -math.inf
    high: float = math.inf

    def keep(self, forecast: Estimate, last: Estimate) -> Estimate:
        """Return a forecast within the bounds: the same probability lies in the interval, or more, because no score lies outside.

        Where the forecast itself lies beyond a bound, the laws do not hold that far out, and what is left is what was seen: the interval
        reaches from the bound back to that of the score at the largest size, `last`, so that it never claims the bound for certain.
        """
        low, high = (min(max(end, self.low), self.high) for end in (forecast.low, forecast.high))
        if forecast.value > self.high:
            low = min(low, max(last.low, self.low))
        if forecast.value < self.low:
            high = max(high, min(last.high, self.high))
        share = (high - low) / (forecast.high - forecast.low) if forecast.high > forecast.low else 1.0
        value = min(max(forecast.value, self.low), self.high)
        return replace(forecast, value=value, low=low, high=high, stderr=forecast.stderr * min(1.0, share))


def score_bounds(metric: str) -> Bounds:
    """Return the bounds of a metric in which higher is better: probabilities, accuracies and rules' scores lie between 0 and 1.

    Bits a byte are turned round, so they end at 0. A standardised score has no ends.
    """
    if metric == FREE_TEXT_METRIC:
        return Bounds(high=0.0)
    return Bounds(0.0, 1.0) if metric.startswith((CHOICE_METRIC, ACCURACY, GENERATED_METRIC)) else Bounds()
