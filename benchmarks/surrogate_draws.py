"""Draws of `surrogate.py`: surrogates and their rivals fitted to a few runs, and what they predict for the tested ones."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from surrogate_runs import Floats, Problem

from probe.decide.surrogates import GaussianProcess, fit_objective
from probe.decide.surrogates.cross_validation import folds
from probe.decide.surrogates.families import FAMILIES
from probe.decide.surrogates.robust import robust_scores

OURS, SAME_UNITS = "stacked", "same_units"


def rivals(weights: Floats, scores: Floats, problem: Problem, points: Floats) -> dict[str, Floats]:
    """Return what every single surrogate, fitted to the scores as they are, predicts for each target `[point, target]`."""
    noise = np.zeros(scores.shape)
    fitted: dict[str, Sequence[Any]] = {
        "gaussian-process": [GaussianProcess().fit(weights, y) for y in scores.T],
        "gaussian-process, pooled prior": GaussianProcess.fit_all(weights, scores, noise),
        **{name: fit(weights, scores, noise) for name, fit in FAMILIES.items() if name != "gaussian-process"},
    }
    return {name: np.column_stack([s.predict(points)[0] for s in fits]) for name, fits in fitted.items()}


def one_fit(problem: Problem, rows: NDArray[np.intp], points: Floats, held: NDArray[np.intp]) -> dict[str, Any]:
    """Fit to `rows` and predict the points; cover the `held` training runs."""
    weights, scores = problem.train.weights[rows], problem.train.scores[rows]
    said = rivals(weights, scores, problem, points)
    total = {name: problem.overall(p) for name, p in said.items()}
    whole = FAMILIES["ridge"](weights, problem.overall(scores)[:, None], np.zeros((len(rows), 1)))[0]
    total["ridge of the mean"] = whole.predict(points)[0]
    robust, shares = fit_objective(weights, robust_scores(scores), raise_tail=False)
    total[OURS] = robust.predict(points)[0]
    kept, choice = fit_objective(weights, scores, coefficients=1 / problem.unit() / scores.shape[1])
    total[SAME_UNITS] = kept.predict(points)[0]
    said[OURS] = np.column_stack([s.predict(points)[0] for s in kept.surrogates])
    covered: dict[str, Any] = {}
    if len(held):
        left, truth = problem.train.weights[held], problem.train.scores[held]
        mean, deviation = kept.predict_run(left)
        summed = truth @ (1 / problem.unit() / scores.shape[1])
        runs = [s.predict_run(left) for s in kept.surrogates]
        covered = {
            "overall": float((np.abs(summed - mean) <= 1.645 * deviation).mean()),
            "targets": [float((np.abs(truth[:, t] - m) <= 1.645 * d).mean()) for t, (m, d) in enumerate(runs)],
        }
    told = shares.spearman.value if shares.spearman else None
    return {"overall": total, "targets": said, "coverage": covered, "shares": shares.shares, "raised": choice.raised, "told": told}


def one_draw(problem: Problem, n: int, draw: int) -> dict[str, Any]:
    """Return the predictions for all tested runs from `n` training runs, and the coverage of the others."""
    rng = np.random.default_rng(draw)
    count = len(problem.train.weights)
    if problem.test is not None:
        rows = rng.choice(count, n, replace=False)
        return one_fit(problem, rows, problem.test.weights, np.setdiff1d(np.arange(count), rows))
    assigned = folds(problem.train.weights, 5, 1, draw)[0]
    parts: list[tuple[NDArray[np.intp], dict[str, Any]]] = []
    for k in range(5):
        out, rest = np.flatnonzero(assigned == k), np.flatnonzero(assigned != k)
        rows = rng.choice(rest, min(n, len(rest)), replace=False)
        parts.append((out, one_fit(problem, rows, problem.train.weights[out], out)))
    return _joined(count, parts)


def _joined(count: int, parts: list[tuple[NDArray[np.intp], dict[str, Any]]]) -> dict[str, Any]:
    """Put the folds' predictions together; coverage is averaged."""
    joined: dict[str, Any] = {"overall": {}, "targets": {}, "shares": parts[0][1]["shares"], "raised": parts[0][1]["raised"], "told": None}
    for level in ("overall", "targets"):
        for name, first in parts[0][1][level].items():
            whole = np.empty((count, *first.shape[1:]))
            for out, part in parts:
                whole[out] = part[level][name]
            joined[level][name] = whole
    joined["coverage"] = {
        "overall": float(np.mean([p["coverage"]["overall"] for _, p in parts])),
        "targets": np.mean([p["coverage"]["targets"] for _, p in parts], axis=0).tolist(),
    }
    return joined


def draws_of(problem: Problem, n: int, count: int, kept: dict[str, Any], out: Path | None, key: str) -> Iterator[dict[str, Any]]:
    """Yield the draws, each taken from those that are kept or computed and kept."""
    for draw in range(count):
        name = f"{key}/{n}/{draw}"
        if name not in kept:
            began = time.process_time()
            found = one_draw(problem, n, draw)
            record = json.loads(json.dumps(found, default=lambda a: np.round(a, 9).tolist())) | {"key": name}
            record["cpu_s"] = round(time.process_time() - began, 2)
            kept[name] = record
            if out is not None:
                with out.open("a") as file:
                    file.write(json.dumps(record) + "\n")
            print(f"{n} runs, draw {draw + 1} of {count}: {record['cpu_s']:.0f} CPU-seconds", file=sys.stderr)
        yield kept[name]


def kept_draws(out: Path | None) -> dict[str, Any]:
    """Return finished draws by key; a line that was cut off is left out."""
    kept = {}
    if out is not None and out.exists():
        for line in out.read_text().splitlines():
            try:
                record = json.loads(line)
                kept[record["key"]] = record
            except (ValueError, KeyError, TypeError):
                continue
    return kept
