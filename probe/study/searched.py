"""What a search saw, kept with its manifest so that people can look at it: trained mixtures, held-out predictions, score against cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from db.values import BudgetUnit
from probe.study.front import SCORE, TOKENS, UNIQUE_ROWS, front_of
from probe.study.mixture_search import Search
from sources.estimate import Estimate

if TYPE_CHECKING:
    from db.store import Store

DIGITS = 6


def searched_json(store: Store, found: Search) -> dict[str, Any]:
    """Return the mixtures that a search was fitted to, by the names of their arms, and the front of the objective against its cost.

    A score's interval is that of its repeats, None where no mixture was trained twice; `held_out` is what fits predicted that did not see
    the mixture, with the interval of one run. Costs are tokens trained on, or different rows where the budget is in tokens.
    """
    return {"mixtures": _mixtures(found), "coverage": _coverage(found), "front": _front(store, found)}


def _mixtures(found: Search) -> list[dict[str, Any]]:
    from scipy.special import ndtri

    c, z = np.array(found.fitted.weights), float(ndtri(0.5 + found.request.level / 2))
    scores, deviations = found.fitted.values @ c, np.sqrt(found.fitted.noise) @ c
    predicted = {one.run: one.predicted for one in found.surrogate.held_out}
    return [
        {
            "arm": arm,
            "score": _numbers(score, score - z * deviation, score + z * deviation) if deviation else {"value": round(score, DIGITS)},
            "held_out": _estimate(predicted[k]) if k in predicted else None,
        }
        for k, (arm, score, deviation) in enumerate(zip(found.seen.arms, scores.tolist(), deviations.tolist(), strict=True))
    ]


def _coverage(found: Search) -> dict[str, Any] | None:
    from probe.decide.surrogates.judgement import coverage

    share = coverage(found.surrogate.held_out)
    return None if share is None else _estimate(share) | {"n": share.n, "promised": found.request.level}


def _front(store: Store, found: Search) -> dict[str, Any]:
    cost = TOKENS if found.unit is BudgetUnit.SAMPLES else UNIQUE_ROWS
    points = front_of(store, found, (SCORE, cost)).points
    return {
        "cost": cost,
        "points": [
            {"weights": _shares(dict(point.weights)), "gain": _estimate(point.gains[SCORE]), "cost": round(point.costs[cost])}
            for point in points
        ],
    }


def _shares(weights: dict[str, float]) -> dict[str, float]:
    return {slug: round(share, DIGITS) for slug, share in weights.items()}


def _estimate(one: Estimate) -> dict[str, float]:
    return _numbers(one.value, one.low, one.high)


def _numbers(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": round(value, DIGITS), "low": round(low, DIGITS), "high": round(high, DIGITS)}
