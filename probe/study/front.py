"""`probe optimize --front`: mixtures that no other beats in several goals at once, with what they are predicted to gain and cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from db.values import BudgetUnit
from probe.errors import ProbeError, UsageError
from probe.study.mixture_search import Fit, OptimizeRequest, fit_runs, tokens_per_row
from sources.estimate import Estimate

if TYPE_CHECKING:
    from db.store import Store

Floats = NDArray[np.float64]
SCORE, TOKENS, UNIQUE_ROWS = "score", "tokens", "unique-rows"
COSTS = (TOKENS, UNIQUE_ROWS)


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """A mixture; `gains` over the base for every goal that is a score, `costs` of the budget for those that are costs."""

    weights: Mapping[str, float]
    gains: Mapping[str, Estimate]
    costs: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Front:
    """Points ordered by the first goal, the best first."""

    fit: Fit
    goals: tuple[str, ...]
    points: tuple[FrontPoint, ...]


def find_front(store: Store, request: OptimizeRequest, goals: Sequence[str], most: int = 12) -> Front:
    """Find the front of capabilities, `score` (the whole objective), `tokens` and `unique-rows`; costs are to be small.

    Raises:
        ProbeError: too few mixtures were trained, no mixture keeps the constraints, or the goals make no front.
    """
    names = tuple(dict.fromkeys(goals))
    if len(names) < 2:
        raise UsageError("a front needs two goals or more, such as --front OCR,recognition or --front score,unique-rows.")
    return front_of(store, fit_runs(store, request, [name for name in names if name not in (SCORE, *COSTS)]), names, most)


def front_of(store: Store, fit: Fit, names: tuple[str, ...], most: int = 12) -> Front:
    """Find the front of goals on a fit that is there, which holds the capabilities among them.

    Raises:
        ProbeError: no mixture keeps the constraints, or the goals make no front.
    """
    from probe.decide.fronts import front

    costs = _costs(store, fit, names)
    scores = {name: fit.surface if name == SCORE else fit.capabilities[name] for name in names if name not in COSTS}
    if not scores:
        raise UsageError("a front needs a capability or `score` among its goals.")

    def goal(name: str) -> Callable[[Floats], Floats]:
        return (lambda points: -costs[name](points)) if name in costs else (lambda points: scores[name].predict(points)[0])

    try:
        found = front([goal(name) for name in names], fit.region, fit.seen.weights, most=most, seed=fit.request.seed)
    except ValueError as error:
        raise ProbeError(f"{error}: loosen one.") from None
    points = []
    for row in found:
        gains = {name: _gain(fit, surface.difference(row, fit.setting.baseline())) for name, surface in scores.items()}
        weights = {slug: float(share) for slug, share in zip(fit.seen.sources, row, strict=True) if share > 1e-6}
        points.append(FrontPoint(weights, gains, {name: float(cost(row[None])[0]) for name, cost in costs.items()}))
    return Front(fit, names, tuple(points))


def _costs(store: Store, fit: Fit, names: Sequence[str]) -> dict[str, Callable[[Floats], Floats]]:
    """Return what a mixture costs at the budget: tokens trained on, and different rows that have to be had."""
    per_row = tokens_per_row(store, fit.study, fit.seen.sources)
    each = np.array([per_row[slug] for slug in fit.seen.sources])
    in_tokens = fit.unit is BudgetUnit.TOKENS
    if TOKENS in names and in_tokens:
        raise UsageError(
            "with a budget in tokens every mixture costs the same tokens: give the budget with --samples, or take unique-rows."
        )
    usable = np.array([fit.setting.usable[slug] for slug in fit.seen.sources])
    usable = usable / each if in_tokens else usable

    def rows(points: Floats) -> Floats:
        return np.asarray(points * fit.budget / (each if in_tokens else 1.0))

    known: dict[str, Callable[[Floats], Floats]] = {
        TOKENS: lambda points: rows(points) @ each,
        UNIQUE_ROWS: lambda points: np.minimum(rows(points), usable).sum(axis=1),
    }
    return {name: cost for name, cost in known.items() if name in names}


def _gain(fit: Fit, difference: tuple[float, float]) -> Estimate:
    from scipy.special import ndtri

    mean, deviation = difference
    z = float(ndtri(0.5 + fit.request.level / 2))
    return Estimate(mean, deviation, mean - z * deviation, mean + z * deviation, fit.fitted.n_items)
