"""What a manifest is of: the best static mixture, or the order of phases that was chosen; its shares, and what it is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from probe.study.confirmation import STATIC
from probe.study.curriculum import TestedOrder
from probe.study.mixture_search import Search
from sources.estimate import Estimate
from sources.mixture import Curriculum


@dataclass(frozen=True, slots=True)
class Decided:
    """The curriculum with its shares, baselines and predicted gains; `order` is the tested order that it is, None for the optimum."""

    curriculum: Curriculum
    weights: Mapping[str, Estimate]
    baselines: Mapping[str, Mapping[str, float]]
    predicted: Mapping[str, Estimate]
    order: TestedOrder | None = None

    def notes(self) -> tuple[str, ...]:
        """Return what is to be known of an order's manifest."""
        if self.order is None:
            return ()
        again = "; the learning rate starts again at every phase" if self.curriculum.restarts else ""
        return (
            f"phases in the order and with the shares that were tested ({self.order.name}){again}",
            "predicted gains are those of the same shares without an order; what the order brings is in the confirmed ones alone",
        )


def decided_curriculum(found: Search, order: TestedOrder | None) -> Decided:
    """Return the optimum of a search, or an order, whose shares are those tested and which has the optimum among its baselines."""
    optimum = found.optimum
    if order is None:
        return Decided(Curriculum.static(found.mixture()), optimum.weights, optimum.baselines, optimum.predicted_gain)
    shares = order.shares()
    weights = {slug: Estimate(share, 0.0, share, share, 0) for slug, share in sorted(shares.items())}
    baselines = {STATIC: optimum.shares(), **optimum.baselines}
    predicted = {name: _predicted(found, shares, of) for name, of in baselines.items()}
    return Decided(order.curriculum, weights, baselines, predicted, order)


def _predicted(found: Search, shares: Mapping[str, float], baseline: Mapping[str, float]) -> Estimate:
    """Return the surface's gain of one mixture over another."""
    from scipy.special import ndtri

    first, second = ([of.get(slug, 0.0) for slug in found.seen.sources] for of in (shares, baseline))
    mean, deviation = found.surface.difference(first, second)
    z = float(ndtri(0.5 + found.request.level / 2))
    return Estimate(mean, deviation, mean - z * deviation, mean + z * deviation, found.fitted.n_items)
