"""How alike orders are: surrogates and held-out trained mixtures, the proxy and full scale."""

from __future__ import annotations

from typing import Any

import decisions_study as ask
import numpy as np
from decisions_full_scale import FULL, PROXY
from decisions_merged import Asked, merged_scores, with_filling
from decisions_runs import Lab
from decisions_search import merged_for_search, read_by_search
from decisions_study import score
from scipy.stats import spearmanr

from probe.decide.surrogates import fit_objective
from sources.benchmark import Split

Floats = np.ndarray[Any, np.dtype[np.float64]]
Figure = dict[str, Any]
RESAMPLES = 500
TAIL = 0.05  # of the 90 % intervals
CORRELATION = 0.90  # what is asked
DRAWS = 6


def surrogate(lab: Lab) -> Figure:
    """Predict held-out trained mixtures of the proxy from few others, and say how well seeds alone let them be predicted."""
    mixtures, own = ask.random_mixtures(lab), ask.seeds(lab.sizes.seeds)
    few, held = mixtures[: lab.sizes.fitted], mixtures[lab.sizes.fitted : lab.sizes.fitted + lab.sizes.held_out]
    runs = np.array([score(lab, PROXY, mixture, own, Split.SELECTION) for mixture in held])
    full = np.array([score(lab, FULL, mixture, [0], Split.CONFIRMATION)[0] for mixture in held])
    points = ask.weights_of(held, lab.world.sources)
    singles = [(mixture, own) for mixture in ask.solo(lab.world).values()]
    trained = [(mixture, ask.seeds(1)) for mixture in few]
    seen = ask.observed(lab, [*singles, *trained])
    merged = merged_scores(lab, merged_for_surrogate(lab), ask.objective_of(seen))
    order = [int(np.abs(merged.weights - point).max(axis=1).argmin()) for point in points]
    predicted = {
        "regression_few": ask.fitted(ask.observed(lab, trained))[1].predict(points)[0],
        "regression_few_and_singles": ask.fitted(seen)[1].predict(points)[0],
        "merged_alone": merged.values[order].mean(axis=1),
        "merged_and_corrected": ask.fitted(seen, merged)[1].predict(points)[0],
    }
    found: Figure = {name: {"proxy": _spearman(one, runs.mean(axis=1)), "full": _spearman(one, full)} for name, one in predicted.items()}
    found["one_proxy_run"] = {"full": _spearman(runs[:, 0], full)}
    found["proxy_reliability"] = _reliability(runs)
    best = predicted["merged_and_corrected"]
    rivals = ("merged_alone", "regression_few_and_singles")
    found["gain_over"] = {name: _gain(best, predicted[name], runs.mean(axis=1)) for name in rivals}
    better = all(gain["low"] > 0 for gain in found["gain_over"].values())
    return found | {"goal": CORRELATION, "met": found["merged_and_corrected"]["proxy"]["value"] >= CORRELATION and better}


def draws(lab: Lab) -> Figure:
    """Predict the search's own mixtures from the sources and a few of them, in several draws: one draw of ten tells little by itself.

    Each entry is the mean rank correlation with the mixtures that were not drawn, one run each, with the least and the greatest.
    """
    arms = read_by_search(lab)
    seen = ask.observed(lab, arms)
    objective = ask.objective_of(seen)
    known = ask.targets(seen, objective)
    merged = merged_scores(lab, merged_for_search(lab), objective)
    surfaces = merged.surfaces()
    truth = known.values @ known.weights
    single = np.array([len(mixture.shares) == 1 for mixture, _ in arms])
    found: dict[str, list[float]] = {}
    for k in range(DRAWS):
        mixtures = np.random.default_rng([lab.world.seed, lab.sizes.fitted, k]).permutation(np.flatnonzero(~single))
        rows, held = np.concatenate([np.flatnonzero(single), mixtures[: lab.sizes.fitted]]), mixtures[lab.sizes.fitted :]
        runs = (seen.weights[rows], known.values[rows], known.noise[rows], known.weights)
        points = seen.weights[held]
        predicted = {
            "regression": fit_objective(*runs, level=ask.LEVEL)[0].predict(points)[0],
            "merged_alone": np.array([surface.predict(points)[0] for surface in surfaces]).T @ known.weights,
            "merged_and_corrected": fit_objective(*runs, level=ask.LEVEL, merged=merged)[0].predict(points)[0],
        }
        for name, one in predicted.items():
            found.setdefault(name, []).append(_order(one, truth[held]))
    means = {name: {"value": float(np.mean(orders)), "least": min(orders), "greatest": max(orders)} for name, orders in found.items()}
    return means | {"draws": DRAWS, "held_out": int((~single).sum()) - lab.sizes.fitted}


def merged_for_surrogate(lab: Lab) -> Asked:
    """Return the sources, the few mixtures and the held-out ones, all in every seed, with what fills the simplex."""
    mixtures = ask.random_mixtures(lab)[: lab.sizes.fitted + lab.sizes.held_out]
    return with_filling(lab, [*ask.solo(lab.world).values(), *mixtures])


def fidelity(lab: Lab) -> Figure:
    """Return how alike the proxy and full scale order the sources alone and added."""
    own = ask.seeds(lab.sizes.seeds)
    found: Figure = {}
    for name, arms in (("solo", ask.solo(lab.world)), ("add_one", ask.added(lab.world))):
        proxy = np.array([score(lab, PROXY, mixture, own, Split.SELECTION).mean() for mixture in arms.values()])
        full = np.array([score(lab, FULL, mixture, own, Split.CONFIRMATION).mean() for mixture in arms.values()])
        means = {arm: [round(a, 4), round(b, 4)] for arm, a, b in zip(arms, proxy.tolist(), full.tolist(), strict=True)}
        found[name] = {"spearman": _spearman(proxy, full), "proxy_and_full_scale": means}
    return found


def _order(one: Floats, other: Floats) -> float:
    """Return Spearman's rank correlation; NaN where one side is the same for all."""
    return float(spearmanr(one, other).statistic) if np.ptp(one) > 0 and np.ptp(other) > 0 else float("nan")


def _spearman(one: Floats, other: Floats) -> dict[str, float]:
    rng, n = np.random.default_rng(0), len(one)
    again = [_order(one[rows], other[rows]) for rows in (rng.integers(0, n, n) for _ in range(RESAMPLES))]
    told = [value for value in again if np.isfinite(value)]
    low, high = np.quantile(told, [TAIL, 1 - TAIL]).tolist() if told else (-1.0, 1.0)
    return {"value": _order(one, other), "low": low, "high": high, "n": n}


def _gain(one: Floats, other: Floats, truth: Floats) -> dict[str, float]:
    """Return the difference of two rank correlations with its 90 % interval, by a paired bootstrap over mixtures."""
    rng, n = np.random.default_rng(0), len(truth)
    drawn = [np.arange(n), *(rng.integers(0, n, n) for _ in range(RESAMPLES))]
    gains = [_order(one[rows], truth[rows]) - _order(other[rows], truth[rows]) for rows in drawn]
    told = [gain for gain in gains[1:] if np.isfinite(gain)]
    low, high = np.quantile(told, [TAIL, 1 - TAIL]).tolist() if told else (-2.0, 2.0)
    return {"value": gains[0], "low": low, "high": high}


def _reliability(runs: Floats) -> dict[str, float]:
    """Return the share of the variance of the means over seeds that is the mixtures', and the largest correlation that leaves."""
    noise = float(((runs - runs.mean(axis=1, keepdims=True)) ** 2).sum() / (runs.size - len(runs)) / runs.shape[1])
    whole = float(runs.mean(axis=1).var(ddof=1)) if len(runs) > 1 else 0.0
    share = max(0.0, 1 - noise / whole) if whole > 0 else 0.0
    return {"value": share, "most_that_can_be_reached": share**0.5}
