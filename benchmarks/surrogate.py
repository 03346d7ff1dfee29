#!/usr/bin/env python3
"""How well surrogates fitted to a few cheap runs order mixtures that were trained elsewhere.

    python benchmarks/surrogate.py --weights W.csv --targets T.csv [--test-weights W2.csv --test-targets T2.csv] [--json]
    python benchmarks/surrogate.py --regmix FOLDER [--draws 10] [--quick] [--out draws.jsonl] [--json]

Any CSV files will do: one row a run, one column a source or a target, an index column or none (then rows go by their order), weights
brought to sum to 1. Targets are losses unless --higher-is-better. N runs are drawn, everything is chosen on them alone, and the test
runs are ordered; without a test pair the runs are split in five, and each fifth is ordered from N of the others. --regmix takes a
folder with RegMix's public files: fitted to 1M models, tested on the 1B ones. With --out, finished draws are kept, and the same
command goes on.

`overall` is the mean of the targets, each standardised by its deviation over all training runs. Fixed in advance, not fitted: the
surrogates see each target's robust z-score (median, MAD) held within 1.5, and their sum is what orders mixtures. This is another
estimand than the mean that is tested, on purpose: an ordinary deviation is made by the few worst runs. Shares of the stack come from
cross-validation on the N runs. `same_units` is the same without that step: worst runs raised where cross-validation says so, ordinary
deviations; `per_target`, intervals and their coverage are its. Rivals are fitted to the scores as they are. The own-weight baseline
needs no run: a target's own source is the one of the same name, words like train, val, metric and loss left out; the overall baseline
is the sum of the square roots of the own weights. All intervals are 90 %, by bootstrap over test runs, paired between methods.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))

from probe.decide.surrogates import GaussianProcess, fit_objective
from probe.decide.surrogates.cross_validation import folds
from probe.decide.surrogates.families import FAMILIES
from probe.decide.surrogates.robust import robust_scores

Floats = NDArray[np.float64]
VERSION = 1
RUNS = (32, 64, 128)
RESAMPLES = 2000
OURS, SAME_UNITS, OWN = "stacked", "same_units", "own-weight"
INDEX = {"index", "id", "run", "run_id", "name", "unnamed: 0", ""}
UNTOLD = {"train", "training", "valid", "validation", "val", "test", "eval", "metric", "loss", "score"}


@dataclass(frozen=True)
class Runs:
    """`weights[run, source]`, `scores[run, target]` (higher is better)."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    weights: Floats
    scores: Floats


def read_table(path: Path) -> tuple[list[str] | None, list[str], Floats]:
    """Return the index (None: there is none), the columns' names and the numbers of a CSV file."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if row]
    if len(rows) < 2 or len({len(row) for row in rows}) != 1:
        raise SystemExit(f"{path} needs a line of names, and rows as long as it.")
    names = [name.strip() for name in rows[0]]
    first = 1 if names[0].lower() in INDEX else 0
    try:
        numbers = np.array([[float(cell) for cell in row[first:]] for row in rows[1:]])
    except ValueError as error:
        raise SystemExit(f"{path} holds something that is no number: {error}.") from None
    if not numbers.size or not np.isfinite(numbers).all():
        raise SystemExit(f"{path} holds missing or infinite numbers: take those rows out.")
    return ([row[0] for row in rows[1:]] if first else None), names[first:], numbers


def read_runs(weights: Path, targets: Path, higher: bool) -> Runs:
    """Read a pair of CSV files, joined by their index or by their order."""
    index, sources, w = read_table(weights)
    other, names, y = read_table(targets)
    if index is not None and other is not None:
        place = {key: k for k, key in enumerate(other)}
        kept = [k for k, key in enumerate(index) if key in place]
        if len(place) < len(other) or len(set(index)) < len(index) or not kept:
            raise SystemExit(f"the indices of {weights} and {targets} do not match one to one.")
        w, y = w[kept], y[[place[index[k]] for k in kept]]
    if len(w) != len(y):
        raise SystemExit(f"{weights} has {len(w)} rows, {targets} {len(y)}: give both an index column, or equal rows.")
    if (w < 0).any() or (w.sum(axis=1) <= 0).any():
        raise SystemExit(f"{weights} holds negative weights, or a row without any.")
    return Runs(tuple(sources), tuple(names), w / w.sum(axis=1, keepdims=True), y if higher else -y)


def own_sources(runs: Runs) -> list[int | None]:
    """Return each target's own source by name, None where there is none or more than one."""

    def words(name: str) -> tuple[str, ...]:
        return tuple(word for word in re.split(r"[^a-z0-9]+", name.lower()) if word and word not in UNTOLD)

    known = [words(source) for source in runs.sources]
    return [known.index(words(t)) if known.count(words(t)) == 1 else None for t in runs.targets]


@dataclass(frozen=True)
class Problem:
    """Training runs, test runs, and the test's standardising unit of each target."""

    train: Runs
    test: Runs | None

    @property
    def tested(self) -> Runs:
        return self.test or self.train

    def unit(self) -> Floats:
        spread = self.train.scores.std(axis=0)
        return np.where(spread > 0, spread, 1.0)

    def overall(self, scores: Floats) -> Floats:
        return ((scores - self.train.scores.mean(axis=0)) / self.unit()).mean(axis=1)

    def baseline(self) -> tuple[Floats | None, list[int | None]]:
        own = own_sources(self.train)
        if any(k is None for k in own):
            return None, own
        return np.sqrt(self.tested.weights[:, [k for k in own if k is not None]]).sum(axis=1), own


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


def ranks(values: Floats) -> Floats:
    """Return standardised ranks along the last axis; zeros where all are equal."""
    from scipy.stats import rankdata

    r = rankdata(values, axis=-1)
    r = r - r.mean(axis=-1, keepdims=True)
    size = np.sqrt((r**2).sum(axis=-1, keepdims=True))
    return np.where(size > 0, r / np.where(size > 0, size, 1.0), 0.0)


def mean_spearman(predictions: Floats, truth: Floats, rows: NDArray[np.intp]) -> Floats:
    """Return the mean over draws of the rank correlation of `predictions[draw, run]` with the truth, for each resample `rows[b, run]`."""
    expected = ranks(truth[rows])
    return np.mean([(ranks(one[rows]) * expected).sum(axis=-1) for one in predictions], axis=0)


def partial(predictions: Floats, truth: Floats, given: Floats) -> float | None:
    """Return the mean partial rank correlation given a third variable; None where that one settles either."""
    a, b, c = ranks(predictions), ranks(truth), ranks(given)
    ab, ac, bc = a @ b, a @ c, float(b @ c)
    below = np.sqrt(np.maximum((1 - ac**2) * (1 - bc**2), 0))
    return float(((ab - ac * bc) / below).mean()) if (below > 1e-9).all() else None


def figures(predicted: dict[str, Floats], ours: str, truth: Floats, given: Floats | None, coverage: list[float]) -> dict[str, Any]:
    """Return all figures of one target for one N: `predicted[method][draw, run]`."""
    rng = np.random.default_rng(0)
    resamples = rng.integers(0, len(truth), (RESAMPLES, len(truth)))
    again = {name: mean_spearman(p, truth, resamples) for name, p in predicted.items()}
    exact = {name: float(mean_spearman(p, truth, np.arange(len(truth))[None])[0]) for name, p in predicted.items()}

    def estimate(value: float, drawn: Floats) -> dict[str, float]:
        low, high = np.quantile(drawn, [0.05, 0.95]).tolist()
        return {"value": value, "low": low, "high": high}

    spearman = {name: estimate(exact[name], again[name]) for name in predicted}
    gains = {
        name: estimate(spearman[ours]["value"] - spearman[name]["value"], again[ours] - again[name])
        for name in predicted
        if name not in (OURS, SAME_UNITS)
    }
    spread = float(truth.std()) or 1.0
    lost = np.array([(truth.max() - truth[int(np.argmax(one))]) / spread for one in predicted[ours]])
    c = np.array(coverage)
    error = 1.645 * float(c.std(ddof=1)) / len(c) ** 0.5 if len(c) > 1 else float("nan")
    return {
        "spearman": spearman[ours],
        "gain_low": min(gain["low"] for gain in gains.values()),
        "gains": gains,
        "rivals": {name: value for name, value in spearman.items() if name != ours},
        "partial": None if given is None else partial(predicted[ours], truth, given),
        "regret": {"value": float(lost.mean()), "low": float(lost.min()), "high": float(lost.max())},
        "coverage": {"value": float(c.mean()), "low": float(c.mean()) - error, "high": float(c.mean()) + error} if len(c) else None,
    }


def report(problem: Problem, counts: Sequence[int], draws: int, out: Path | None) -> dict[str, Any]:
    """Run all draws and return the figures."""
    parts = [problem.train.weights, problem.train.scores, problem.tested.weights, problem.tested.scores]
    key = hashlib.sha256(b"".join(p.tobytes() for p in parts) + str(VERSION).encode()).hexdigest()[:12]
    kept = kept_draws(out)
    truth = problem.tested.scores
    baseline, own = problem.baseline()
    overall: dict[str, Any] = {}
    per_target: dict[str, dict[str, Any]] = {name: {} for name in problem.train.targets}
    told: dict[str, Any] = {}
    for n in counts:
        found = list(draws_of(problem, n, draws, kept, out, key))
        predicted = {name: np.array([draw["overall"][name] for draw in found]) for name in found[0]["overall"]}
        if baseline is not None:
            predicted[OWN] = np.repeat(baseline[None], len(found), axis=0)
        covered = [draw["coverage"]["overall"] for draw in found if draw["coverage"]]
        overall[str(n)] = figures(predicted, OURS, problem.overall(truth), baseline, covered)
        overall[str(n)]["same_units"] = figures(predicted, SAME_UNITS, problem.overall(truth), baseline, covered)
        for t, name in enumerate(problem.train.targets):
            each = {method: np.array([draw["targets"][method] for draw in found])[:, :, t] for method in found[0]["targets"]}
            source = own[t]
            weight = None if source is None else problem.tested.weights[:, source]
            if weight is not None:
                each[OWN] = np.repeat(weight[None], len(found), axis=0)
            inside = [draw["coverage"]["targets"][t] for draw in found if draw["coverage"]]
            per_target[name][str(n)] = figures(each, OURS, truth[:, t], weight, inside)
        names = sorted({member for draw in found for member in draw["shares"]})
        told[str(n)] = {
            "mean_shares": {member: float(np.mean([draw["shares"].get(member, 0.0) for draw in found])) for member in names},
            "tails_raised": float(np.mean([draw["raised"] for draw in found])),
            "cpu_s": float(sum(draw["cpu_s"] for draw in found)),
        }
    return {
        "overall": overall,
        "per_target": per_target,
        "chosen": told,
        "fixed_in_advance": {
            "robust_scores": "median, MAD, held within 1.5; the sum of these orders mixtures",
            "stack": "half by cross-validation, half even over smooth families near the best (rank correlation .05, R2 .1)",
            "seen_before": "these forms were settled with RegMix's 1B results in sight: other data are the cleaner test",
        },
        "runs": {"train": len(problem.train.weights), "test": len(truth), "draws": draws, "sources": len(problem.train.sources)},
        "tested_on": "another file" if problem.test is not None else "five folds",
    }


def regmix(folder: Path) -> Problem:
    """Return RegMix's public runs: fitted to 1M models, tested on 1B ones."""

    def pair(kind: str, size: str) -> Runs:
        return read_runs(folder / f"{kind}_mixture_{size}.csv", folder / f"{kind}_pile_loss_{size}.csv", False)

    return Problem(pair("train", "1m"), pair("test", "1B"))


def problem_of(wanted: argparse.Namespace) -> Problem:
    if wanted.regmix:
        return regmix(wanted.regmix)
    if not (wanted.weights and wanted.targets) or bool(wanted.test_weights) != bool(wanted.test_targets):
        raise SystemExit("give --weights and --targets (and both --test-weights and --test-targets, or neither), or --regmix FOLDER.")
    train = read_runs(wanted.weights, wanted.targets, wanted.higher_is_better)
    if not wanted.test_weights:
        return Problem(train, None)
    test = read_runs(wanted.test_weights, wanted.test_targets, wanted.higher_is_better)
    if set(test.sources) != set(train.sources) or set(test.targets) != set(train.targets):
        raise SystemExit("the test files need the same sources and targets as the others.")
    columns, rows = [test.sources.index(s) for s in train.sources], [test.targets.index(t) for t in train.targets]
    return Problem(train, Runs(train.sources, train.targets, test.weights[:, columns], test.scores[:, rows]))


def counts_of(wanted: argparse.Namespace, problem: Problem) -> list[int]:
    """Return the numbers of runs to fit; where none of the usual ones can be drawn, as many as there are."""
    most = len(problem.train.weights) if problem.test is not None else len(problem.train.weights) * 4 // 5
    asked = [int(n) for n in wanted.runs.split(",")] if wanted.runs else list(RUNS[:1] if wanted.quick else RUNS)
    counts = [n for n in asked if 4 <= n <= most] or [most]
    if most < 4:
        raise SystemExit("too few runs: at least five are needed.")
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--weights", "--targets", "--test-weights", "--test-targets", "--regmix", "--out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--runs", default="", help="numbers of runs to fit to, like 32,64,128")
    parser.add_argument("--draws", type=int, default=0, help="default 10, with --quick 2")
    parser.add_argument("--higher-is-better", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    problem = problem_of(wanted)
    found = report(problem, counts_of(wanted, problem), wanted.draws or (2 if wanted.quick else 10), wanted.out)
    if wanted.json:
        print(json.dumps(found, indent=1))
        return
    for n, row in found["overall"].items():
        for title, f in (("robust", row), ("same units", row["same_units"])):
            s = f["spearman"]
            print(f"{n:>4} runs, {title:<10} {s['value']:.3f} [{s['low']:.3f}, {s['high']:.3f}], gain at least {f['gain_low']:+.3f}")
        for name, s in row["rivals"].items():
            print(f"           {name:<32} {s['value']:.3f} [{s['low']:.3f}, {s['high']:.3f}]")
        c = row["coverage"]
        print(f"           regret {row['regret']['value']:.2f} deviations, coverage {c['value']:.3f}" if c else "")


if __name__ == "__main__":
    main()
