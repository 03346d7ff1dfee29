#!/usr/bin/env python3
"""Compare seeds that go where a decision is open (`probe run --until-decided`) with as many seeds for every arm, at equal cost.

    python benchmarks/sequential.py [--quick] [--studies 300] [--json]

Simulated `add-one` studies of 12 sources (effects of 0, 1, 2 and 4 deviations of one repeat's paired difference, mostly 0), noise as in
`calibration_worlds.py`. Until decided: looks at 3, 4, 6, 9 and 12 seeds; an arm gets more while its verdict is `undecided` and the seeds
that are left may decide it, the base as many as any. Equal: the same number of probes dealt out evenly (a study's remainder by lot),
decided once. Both go through the tool's own `compare`.

Figures have 95 % intervals, over studies: `right` (share of the sources with a true effect whose verdict has its sign; of nil ones,
`neutral`), `gain` (paired difference, until decided minus equal), `false_verdict` (any in a study), `coverage` of the 90 % intervals,
`probes`; `all_at_most` is the same of as many seeds for every arm as the last look has.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "probe" / "decide"), str(ROOT / "benchmarks")]
from calibration_figures import exact  # noqa: E402
from calibration_worlds import ALPHA, LEVEL, SHAPES  # noqa: E402

from db.values import Design, Verdict  # noqa: E402
from probe.decide.comparison import Comparison, LevelResult, compare  # noqa: E402
from probe.decide.levels import LevelPanel  # noqa: E402
from probe.decide.open_questions import OpenQuestion  # noqa: E402
from probe.decide.panel import benchmark_panel  # noqa: E402
from probe.decide.sequential import looks  # noqa: E402

SOURCES, AT = 12, looks(3, 12)
EFFECTS = (4.0, -4.0, 2.0, -2.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)  # in deviations of one repeat's paired difference
WORLDS = ("plain", "unequal", "heavy")


def answer(scores: np.ndarray[Any, Any], groups: np.ndarray[Any, Any], at: tuple[int, ...]) -> LevelResult:
    panel = benchmark_panel(scores, groups)
    level = LevelPanel("overall", "overall", "right_probability", panel, np.zeros(len(scores)))
    return compare([Comparison(level, Design.ADD_ONE, 0, tuple(range(1, len(scores))))], level=LEVEL, alpha=ALPHA, margin=None, looks=at)[0]


def until_decided(scores: np.ndarray[Any, Any], groups: np.ndarray[Any, Any]) -> tuple[LevelResult, int]:
    """Return the last look's answers and the probes that were trained."""
    going, seeds = np.ones(len(scores), dtype=bool), np.full(len(scores), AT[0])
    while True:
        shown = np.where(np.arange(scores.shape[1])[None, :, None] < seeds[:, None, None], scores, np.nan)
        found = answer(shown, groups, AT)
        asked = zip(found.verdicts, found.seeds_to_decide, seeds[1:], strict=True)
        going[1:] &= [verdict is Verdict.UNDECIDED and worth(more, AT[-1] - int(have)) for verdict, more, have in asked]
        following = next((look for look in AT if look > seeds.max()), None)
        if following is None or not going[1:].any():
            return found, int(seeds.sum())
        going[0] = True
        seeds[going] = following


def worth(more: int | None, left: int) -> bool:
    return OpenQuestion((), "", 0.0, math.inf if more is None else more).worth(left)


def equally(scores: np.ndarray[Any, Any], groups: np.ndarray[Any, Any], probes: int, rng: np.random.Generator) -> LevelResult:
    each, left = divmod(probes, len(scores))
    count = min(each + int(rng.random() < left / len(scores)), scores.shape[1])
    return answer(scores[:, :count], groups, ())


def judged(found: LevelResult, truth: np.ndarray[Any, Any]) -> dict[str, float]:
    signs = np.array([{Verdict.HELPS: 1, Verdict.HURTS: -1}.get(verdict, 0) for verdict in found.verdicts])
    neutral = np.array([verdict is Verdict.NEUTRAL for verdict in found.verdicts])
    true = truth[1:]
    covered = [one.low <= value <= one.high for one, value in zip(found.effects, true, strict=True)]
    return {
        "right": float(np.where(true == 0, neutral, signs == np.sign(true)).mean()),
        "right_of_effects": float((signs == np.sign(true))[true != 0].mean()),
        "right_of_nil": float(neutral[true == 0].mean()),
        "false_verdict": float(((signs != 0) & (signs != np.sign(true))).any()),
        "coverage": float(np.mean(covered)),
    }


def world(name: str, studies: int) -> dict[str, Any]:
    shape, rng = SHAPES[name], np.random.default_rng(WORLDS.index(name))
    unit = float(np.sqrt(2) * shape.seed)
    truth = np.concatenate([[0.0], unit * np.array(EFFECTS)])
    rows: dict[str, list[dict[str, float]]] = {"until_decided": [], "equal": [], "all_at_most": []}
    probes = []
    for _ in range(studies):
        scores, groups = shape.scores(rng, SOURCES + 1, AT[-1], truth), shape.groups()
        found, spent = until_decided(scores, groups)
        probes.append(spent)
        rows["until_decided"].append(judged(found, truth))
        rows["equal"].append(judged(equally(scores, groups, spent, rng), truth))
        rows["all_at_most"].append(judged(answer(scores, groups, ()), truth))
    told = {kind: {key: mean([row[key] for row in found]) for key in found[0] if key != "false_verdict"} for kind, found in rows.items()}
    for kind, found in rows.items():
        wrong = sum(row["false_verdict"] for row in found)
        low, high = exact(wrong, studies)
        told[kind]["false_verdict"] = {"value": wrong / studies, "low": low, "high": high}
    gains = {
        key: mean([one[key] - other[key] for one, other in zip(rows["until_decided"], rows["equal"], strict=True)])
        for key in ("right", "right_of_effects", "right_of_nil")
    }
    return told | {"gain": gains, "probes": mean(probes), "probes_at_most": (SOURCES + 1) * AT[-1], "studies": studies}


def mean(values: list[float] | list[int]) -> dict[str, float]:
    data = np.asarray(values, dtype=np.float64)
    half = 1.96 * float(data.std(ddof=1)) / np.sqrt(len(data))
    return {"value": float(data.mean()), "low": float(data.mean() - half), "high": float(data.mean() + half)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="40 studies a world")
    parser.add_argument("--studies", type=int, default=300, help="of each world")
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    found = {name: world(name, 40 if wanted.quick else wanted.studies) for name in WORLDS}
    if wanted.json:
        print(json.dumps(found, indent=1))
        return
    for name, told in found.items():
        print(f"{name}: {told['probes']['value']:.0f} probes of at most {told['probes_at_most']}, {told['studies']} studies")
        for kind in ("until_decided", "equal", "all_at_most", "gain"):
            figures = (f"{key} {one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]" for key, one in told[kind].items())
            print(f"  {kind:14}", *figures)


if __name__ == "__main__":
    main()
