"""Which surrogates to believe, by how they predict runs that they did not see; and the objective that comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probe.decide.surrogates.base import Floats
from probe.decide.surrogates.cross_validation import HeldOut, Rows, folds, held_out, quantile_scale, ranked, simplex_shares
from probe.decide.surrogates.families import FAMILIES, GAUSSIAN_PROCESS, QUICK_FAMILIES, TREES, Family
from probe.decide.surrogates.judgement import Prediction, judged
from probe.decide.surrogates.merged import MERGED, MergedScores, is_single, merged_family
from probe.decide.surrogates.objective import Objective, fully_correlated, summed_deviation
from probe.decide.surrogates.robust import without_bad_tail
from probe.decide.surrogates.stacked import Stacked
from sources.estimate import Estimate

FEW_RUNS, FEWEST = 10, 4  # distinct mixtures; below, shares would be noise, or nothing can be held out
TREES_FROM = 32  # runs
REPEATED_BELOW, REPEATS, FOLDS = 40, 2, 5
TOLERANCE, LOSS = 0.05, 0.1  # rank correlation (far less than what a proxy loses to full scale) and R2
HEDGE = 0.5
SMALLEST_SHARE = 0.05
STACKED = "stacked"


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen, and how well it orders and predicts held-out runs of the objective.

    `shares` of the families that are used; `raised` says that bad tails were raised (`without_bad_tail`). `spearman` and `r2` are
    cross-validated with 90 % intervals over runs, `families` each family's own rank correlation; None where it cannot be told.
    `held_out` are the predictions behind them (of the first repeat of the folds), each fold's intervals as wide as the other folds say.
    """

    name: str
    shares: Mapping[str, float]
    raised: bool
    runs: int
    spearman: Estimate | None
    r2: Estimate | None
    families: Mapping[str, Estimate | None]
    held_out: tuple[Prediction, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Data:
    """Runs to learn from: `values[run, target]` as they are, `fitted` as they are fitted to, both higher is better."""

    weights: Floats
    values: Floats
    fitted: Floats
    noise: Floats
    coefficients: Floats
    fold: Rows  # -1: never held out

    def held(self) -> _Data:
        """Return the runs that are held out in turn."""
        rows = self.fold[0] >= 0
        parts = (self.weights[rows], self.values[rows], self.fitted[rows], self.noise[rows])
        return _Data(*parts, self.coefficients, self.fold[:, rows])


def fit_objective(
    weights: ArrayLike,
    values: ArrayLike,
    noise: ArrayLike | None = None,
    coefficients: ArrayLike | None = None,
    *,
    seed: int = 0,
    level: float = 0.90,
    raise_tail: bool | None = None,
    merged: MergedScores | None = None,
) -> tuple[Objective, Choice]:
    """Fit every target `values[run, target]` (higher is better, `noise` their known variances) and return their weighted sum.

    Families are stacked by shares from cross-validation that all targets have in common. Half of the weight follows the least squared
    error of held-out runs, half is spread evenly over the smooth families whose rank correlation is within `TOLERANCE` and whose R2 is
    within `LOSS` of the best of them: what differs less on the proxy than the proxy itself differs from full scale does not tell them
    apart, and means of forecasts beat fitted shares (Timmermann 2006, Forecast combinations, sec. 4); trees are steps, and no surface
    is. Whether bad tails are raised first (`raise_tail` None) is decided by the Gaussian process' rank correlation on held-out runs.
    With fewer than `FEW_RUNS` mixtures it is the Gaussian process alone.

    With `merged` scores there is one more family, the Gaussian process on them (`MergedProcess`), which is taken only if its squared
    error on held-out runs is no greater than the plain one's. Single sources are then never held out: their merged scores are the
    trained ones, so that to predict them would prove nothing.

    Raises:
        ValueError: fewer than two runs, or shapes that disagree.
    """
    data = _data(weights, values, noise, coefficients, seed, apart=merged is not None)
    if data.fold.max() + 1 < FEWEST and merged is not None:
        data, merged = _data(weights, values, noise, coefficients, seed), None
    process = {GAUSSIAN_PROCESS: FAMILIES[GAUSSIAN_PROCESS]}
    mixtures = _mixtures(data.weights)
    if mixtures < FEW_RUNS:
        families = process | _merged_families(merged, raised=False)
        held = _cross_validated(families, data) if mixtures >= FEWEST else None
        left = {} if held is None else _errors(held, data)
        best = MERGED if left.get(MERGED, np.inf) <= left.get(GAUSSIAN_PROCESS, 0.0) else GAUSSIAN_PROCESS
        believed = None if held is None else held.of([best])
        return _finished(data, families, held, believed, np.array([float(name == best) for name in families]), False, level)
    if raise_tail is None:
        plain, raised = data, _raised(data)
        orders = [_order(_cross_validated(process, one).mean[0], one.held()) for one in (plain, raised)]
        raise_tail = bool(orders[1] >= orders[0])
    data = _raised(data) if raise_tail else data
    families = {name: fit for name, fit in FAMILIES.items() if name != TREES or len(data.weights) >= TREES_FROM}
    families |= _merged_families(merged, raise_tail)
    held = _cross_validated(families, data)
    believed = _believed(held, data)
    shares = _shares(believed, data.held(), np.ones(believed.fold.shape, dtype=np.bool_))
    every = dict.fromkeys(families, 0.0) | dict(zip(believed.members, shares.tolist(), strict=True))
    return _finished(data, families, held, believed, np.array(list(every.values())), raise_tail, level)


def _merged_families(merged: MergedScores | None, raised: bool) -> dict[str, Family]:
    if merged is None:
        return {}
    return {MERGED: merged_family((merged.raised() if raised else merged).surfaces())}


def _errors(held: HeldOut, data: _Data) -> dict[str, float]:
    """Return each member's mean squared error of the objective on held-out runs."""
    away = (held.mean - data.held().fitted) @ data.coefficients
    return dict(zip(held.members, (away**2).mean(axis=(1, 2)).tolist(), strict=True))


def _believed(held: HeldOut, data: _Data) -> HeldOut:
    """Return the members without the merged family where that predicts worse than the plain Gaussian process."""
    left = _errors(held, data)
    if MERGED not in left or left[MERGED] <= left[GAUSSIAN_PROCESS]:
        return held
    return held.of([name for name in held.members if name != MERGED])


def _mixtures(weights: Floats) -> int:
    return len(np.unique(weights.round(9), axis=0))


def _data(
    weights: ArrayLike, values: ArrayLike, noise: ArrayLike | None, coefficients: ArrayLike | None, seed: int, apart: bool = False
) -> _Data:
    """Return runs with their folds; with `apart`, single sources are in none."""
    points, y = np.asarray(weights, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if points.ndim != 2 or y.ndim != 2 or len(points) != len(y) or len(y) < 2:
        raise ValueError(f"weights are [run, source] and values [run, target] of at least two runs, got {points.shape} and {y.shape}")
    known = np.zeros(y.shape) if noise is None else np.broadcast_to(np.asarray(noise, dtype=np.float64), y.shape)
    c = np.full(y.shape[1], 1 / y.shape[1]) if coefficients is None else np.asarray(coefficients, dtype=np.float64)
    few = _mixtures(points) < FEW_RUNS
    rows = ~is_single(points) if apart else np.ones(len(y), dtype=np.bool_)
    fold = np.full((REPEATS if not few and len(y) < REPEATED_BELOW else 1, len(y)), -1)
    if rows.any():
        fold[:, rows] = folds(points[rows], _mixtures(points[rows]) if few else FOLDS, len(fold), seed)
    return _Data(points, y, y, known, c, fold)


def _raised(data: _Data) -> _Data:
    return _Data(data.weights, data.values, without_bad_tail(data.values), data.noise, data.coefficients, data.fold)


def _cross_validated(families: Mapping[str, Family], data: _Data) -> HeldOut:
    return held_out(
        {name: QUICK_FAMILIES.get(name, fit) for name, fit in families.items()}, data.weights, data.fitted, data.noise, data.fold
    )


def _order(mean: Floats, data: _Data) -> float:
    """Return the mean rank correlation over repeats of predictions `[repeat, run, target]` with the objective; -1 where it has none."""
    truth = data.values @ data.coefficients
    found = [ranked(prediction, truth) for prediction in mean @ data.coefficients]
    return float(np.mean(found)) if np.isfinite(found).all() else -1.0


def _shares(held: HeldOut, data: _Data, used: NDArray[np.bool_]) -> Floats:
    """Return the shares of the members from the held-out predictions of the runs that are `used[repeat, run]`."""
    # In the objective's unit, so that a target counts by what it adds; a constant target adds nothing.
    unit, centre = np.abs(data.coefficients), data.fitted.mean(axis=0)
    predicted = ((held.mean - centre) * unit)[:, used].reshape(len(held.members), -1)
    truths = ((data.fitted - centre) * unit)[_runs(used)].ravel()
    best = simplex_shares(predicted, truths)
    truth = data.values @ data.coefficients
    orders = np.array([ranked((mean @ data.coefficients)[used], truth[_runs(used)]) for mean in held.mean])
    orders = np.nan_to_num(orders, nan=-1.0)
    smooth = np.array([name != TREES for name in held.members])
    left = ((predicted - truths) ** 2).mean(axis=1) / max(float(truths.var()), 1e-300)
    near = smooth & (orders >= orders[smooth].max() - TOLERANCE) & (left <= left[smooth].min() + LOSS)
    near = near if near.any() else smooth & (left == left[smooth].min())
    shares = (1 - HEDGE) * best + HEDGE * near / near.sum()
    shares = np.where(shares < SMALLEST_SHARE, 0.0, shares)
    return np.asarray(shares / shares.sum(), dtype=np.float64)


def _runs(used: NDArray[np.bool_]) -> Rows:
    return np.nonzero(used)[1]


def _finished(
    data: _Data,
    families: Mapping[str, Family],
    held: HeldOut | None,
    believed: HeldOut | None,
    shares: Floats,
    raised: bool,
    level: float,
) -> tuple[Objective, Choice]:
    """Fit the families that have a share; `held` judges each, `believed` those that could have one."""
    one = np.ones(len(data.coefficients))
    surface, run, correlation, whole = one, one, fully_correlated(data.coefficients.tolist()), 1.0
    spearman, r2, families_judged = None, None, {}
    predictions: tuple[Prediction, ...] = ()
    if held is not None and believed is not None:
        seen = data.held()
        truth = seen.values @ seen.coefficients
        mean, variance = _stacked_held_out(believed, seen)
        spearman, r2 = judged(truth, mean @ seen.coefficients, level)
        families_judged = {name: judged(truth, m @ seen.coefficients, level)[0] for name, m in zip(held.members, held.mean, strict=True)}
        predictions = _predictions(data, mean, np.sqrt(variance), len(believed.members) > 1, level)
        if len(believed.members) > 1:
            surface, run, correlation, whole = _calibration(seen, mean, np.sqrt(variance))
    members = [families[name](data.weights, data.fitted, data.noise) for name, share in zip(families, shares, strict=True) if share > 0]
    kept = {name: float(share) for name, share in zip(families, shares, strict=True) if share > 0}
    surrogates = [
        Stacked([fits[t] for fits in members], list(kept.values()), data.weights, surface_scale=surface[t], run_scale=run[t])
        for t in range(data.values.shape[1])
    ]
    name = STACKED if len(kept) > 1 else next(iter(kept))
    choice = Choice(name, kept, raised, len(data.weights), spearman, r2, families_judged, predictions)
    return Objective(surrogates, data.coefficients.tolist(), correlation, whole), choice


def _stacked_held_out(held: HeldOut, data: _Data) -> tuple[Floats, Floats]:
    """Return mean and run variance `[repeat, run, target]` of the stack, the shares of each fold learnt from the other folds."""
    mean, variance = np.empty(held.mean.shape[1:]), np.empty(held.mean.shape[1:])
    for k in range(int(held.fold.max()) + 1):
        out = held.fold == k
        shares = _shares(held, data, ~out)
        mean[out] = np.tensordot(shares, held.mean[:, out], 1)
        variance[out] = np.tensordot(shares, held.variance[:, out] + (held.mean[:, out] - mean[out]) ** 2, 1)
    return mean, variance


def _calibration(data: _Data, mean: Floats, deviation: Floats) -> tuple[Floats, Floats, Floats, float]:
    """Return the scales of each target's surface and runs, the correlation of errors, and the scale of the sum's runs."""
    n = len(data.weights)
    surface = _scales((data.fitted - mean) / deviation, n)
    run = _scales((data.values - mean) / deviation, n)
    errors = ((data.fitted - mean) / deviation).reshape(-1, mean.shape[-1])
    moments = errors.T @ errors
    size = np.sqrt(np.maximum(np.diag(moments), 1e-12))
    trust = n / (n + FEW_RUNS)
    correlation = trust * moments / np.outer(size, size) + (1 - trust) * fully_correlated(data.coefficients.tolist())
    np.fill_diagonal(correlation, 1.0)
    total = summed_deviation(np.moveaxis(deviation * run, -1, 0), data.coefficients, correlation)
    away = (data.values - mean) @ data.coefficients
    return surface, run, correlation, max(quantile_scale(away / np.maximum(total, 1e-12)), 0.5)


def _scales(standard: Floats, n: int) -> Floats:
    """Return each target's scale, drawn to that of all targets where runs are few, and never below a half."""
    pooled = max(quantile_scale(standard), 0.5)
    own = np.array([max(quantile_scale(standard[..., t]), 0.5) for t in range(standard.shape[-1])])
    return np.exp((n * np.log(own) + 2 * FEW_RUNS * np.log(pooled)) / (n + 2 * FEW_RUNS))  # type: ignore[no-any-return]


def _predictions(data: _Data, mean: Floats, deviation: Floats, calibrated: bool, level: float) -> tuple[Prediction, ...]:
    """Return held-out predictions of the objective; no run's own error widens its interval, so that coverage can be judged."""
    from scipy.special import ndtri

    seen, places = data.held(), np.flatnonzero(data.fold[0] >= 0)
    truth, predicted = seen.values @ seen.coefficients, mean[0] @ seen.coefficients
    width = np.empty(len(truth))
    for k in range(int(seen.fold[0].max()) + 1):
        out = seen.fold[0] == k
        run, correlation, whole = np.ones(len(seen.coefficients)), fully_correlated(seen.coefficients.tolist()), 1.0
        if calibrated and (~out).sum() >= FEWEST:
            rest = _Data(seen.weights[~out], seen.values[~out], seen.fitted[~out], seen.noise[~out], seen.coefficients, seen.fold[:, ~out])
            _, run, correlation, whole = _calibration(rest, mean[:, ~out], deviation[:, ~out])
        width[out] = whole * summed_deviation(np.moveaxis(deviation[0, out] * run, -1, 0), seen.coefficients, correlation)
    z = float(ndtri(0.5 + level / 2))
    rows = zip(places.tolist(), truth.tolist(), predicted.tolist(), width.tolist(), strict=True)
    return tuple(Prediction(k, y, Estimate(m, w, m - z * w, m + z * w, len(truth))) for k, y, m, w in rows)
