#!/usr/bin/env python3
"""Measure whether scaling laws are told rightly: synthetic curves of known law, put through `probe.decide.scaling`.

    python benchmarks/scaling.py [--quick] [--curves 200] [--json]

Cells: five true curves (logarithmic; powers .5 and 1; saturating .5 and 1, each rising by .2 over its sizes) x 4, 5, 6 doublings x seed
deviations .02, .01, .005; five seeds, whose common shift has a deviation of .01. A curve counts where the tool says that its sizes tell the
law. Figures have exact 95 % intervals: `right` (of the curves told), `told` (of all), `coverage` (of the 90 % forecasts at twice and at
eight times the largest size).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
from calibration_figures import exact  # noqa: E402

from probe.decide.scaling.choice import choose_law, forecast  # noqa: E402
from probe.decide.scaling.curves import seed_covariance  # noqa: E402
from probe.decide.scaling.laws import Curve, Law, growth  # noqa: E402

TRUTH = {
    "log": (Law.LOG, 0.0),
    "power .5": (Law.POWER, 0.5),
    "power 1": (Law.POWER, 1.0),
    "saturating .5": (Law.SATURATING, -0.5),
    "saturating 1": (Law.SATURATING, -1.0),
}
SIZES, DEVIATIONS, SEEDS = (4, 5, 6), (0.02, 0.01, 0.005), 5
START, RISE, SHARED = 250.0, 0.2, 0.01
AHEAD = (2.0, 8.0)


def score(exponent: float, sizes: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any]:
    whole = growth([START * 2.0 ** (count - 1)], START, exponent)[0]
    return np.asarray(0.3 + RISE * growth(sizes, START, exponent) / whole)


def one(exponent: float, count: int, deviation: float, rng: np.random.Generator) -> tuple[Curve, np.ndarray[Any, Any]]:
    """Return a simulated curve, and the true scores where it is to be forecast."""
    sizes = START * 2.0 ** np.arange(count)
    true = score(exponent, sizes, count)[:, None]
    runs = true + deviation * rng.standard_normal((count, SEEDS)) + SHARED * rng.standard_normal((1, SEEDS))
    covariance, df = seed_covariance(runs)
    return Curve(sizes, runs.mean(axis=1), covariance / SEEDS, df), score(exponent, sizes[-1] * np.array(AHEAD), count)


def cell(name: str, count: int, deviation: float, curves: int) -> dict[str, Any]:
    law, exponent = TRUTH[name]
    rng = np.random.default_rng([list(TRUTH).index(name), count, round(1000 * deviation)])
    told = right = covered = 0
    for _ in range(curves):
        curve, ahead = one(exponent, count, deviation, rng)
        choice = choose_law(curve)
        told += choice.told
        right += choice.told and choice.law is law
        found = forecast(curve, curve.sizes[-1] * np.array(AHEAD))
        covered += sum(bool(one.low <= true <= one.high) for one, true in zip(found, ahead, strict=True))
    return {"truth": name, "sizes": count, "deviation": deviation, "curves": curves, "told": told, "right": right, "covered": covered}


def share(part: float, whole: int) -> dict[str, float]:
    low, high = exact(part, whole) if whole else (0.0, 1.0)
    return {"value": part / whole if whole else float("nan"), "low": low, "high": high}


def figures(cells: list[dict[str, Any]]) -> dict[str, Any]:
    total = {key: sum(one[key] for one in cells) for key in ("curves", "told", "right", "covered")}
    return {
        "right": share(total["right"], total["told"]),
        "told": share(total["told"], total["curves"]),
        "coverage": share(total["covered"] / len(AHEAD), total["curves"]),  # a curve's two forecasts count as one answer
        "curves": total["curves"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20 curves a cell")
    parser.add_argument("--curves", type=int, default=200, help="of each cell")
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    curves = 20 if wanted.quick else wanted.curves
    cells = [cell(name, count, deviation, curves) for name in TRUTH for count in SIZES for deviation in DEVIATIONS]
    found = figures(cells) | {"by_truth": {name: figures([one for one in cells if one["truth"] == name]) for name in TRUTH}, "cells": cells}
    if wanted.json:
        print(json.dumps(found, indent=1))
        return
    for title, values in [("all", found), *found["by_truth"].items()]:
        shown = {key: values[key] for key in ("right", "told", "coverage")}
        print(f"{title:14}", *(f"{key} {one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]" for key, one in shown.items()))


if __name__ == "__main__":
    main()
