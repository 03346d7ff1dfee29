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
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from surrogate_draws import OURS, SAME_UNITS, draws_of, kept_draws
from surrogate_figures import figures
from surrogate_runs import Problem, Runs, read_runs, regmix

VERSION = 1
RUNS = (32, 64, 128)
OWN = "own-weight"


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
