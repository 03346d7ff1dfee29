"""Curves of a study: every unit that was trained at several sizes, at every level of detail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from probe.decide.levels import LevelPanel, level_panels
from probe.decide.scaling.bounds import Bounds, score_bounds
from probe.decide.scaling.choice import LEAST_SIZES, LawChoice, choose_law, forecast
from probe.decide.scaling.curves import curve_of
from probe.decide.study_scores import StudyScores
from sources.estimate import Estimate

Point = tuple[float, Estimate]


@dataclass(frozen=True, slots=True)
class StudyCurve:
    """One unit at one level: mean score at each size, the law, and the scores forecast at sizes that were not trained.

    `choice` is None where no law can be fitted, and `why` says what is missing. Forecasts keep within what the score can be; `cut` says in
    words where the laws went beyond it, and is empty where they did not.
    """

    unit: str
    level: str
    name: str
    metric: str
    points: tuple[Point, ...]
    choice: LawChoice | None = None
    forecasts: tuple[Point, ...] = ()
    why: str = ""
    cut: str = ""


def study_curves(
    inputs: StudyScores,
    ladders: Mapping[str, Mapping[str, float]],
    at: Sequence[float] = (),
    level: float = 0.90,
    wanted: tuple[str, str] | None = None,
) -> tuple[StudyCurve, ...]:
    """Fit a law to every unit of `ladders` (unit -> arm -> size) at the levels overall, capability and benchmark.

    With `wanted` (a level and its name) that level alone. Forecasts are for the sizes `at`, by default one and two doublings of the
    unit's largest size.

    Raises:
        ValueError: no benchmark is scored.
    """
    known = {arm.name: place for place, arm in enumerate(inputs.arms)}
    places = [known[arm] for arms in ladders.values() for arm in arms if arm in known]
    parts = [benchmark.panel(places, []) for benchmark in inputs.benchmarks if places and benchmark.scored()]
    if not parts:
        raise ValueError(f"study {inputs.study!r} has no scores of a ladder yet")
    row = {inputs.arms[place].name: k for k, place in enumerate(places)}
    panels = level_panels(parts, range(len(places)))
    return tuple(
        _curve(unit, panel, {row[arm]: size for arm, size in arms.items() if arm in row}, at, level)
        for unit, arms in ladders.items()
        for panel in panels
        if wanted in (None, (panel.level, panel.name))
    )


def _curve(unit: str, scores: LevelPanel, sizes: Mapping[int, float], at: Sequence[float], level: float) -> StudyCurve:
    done = {arm: size for arm, size in sizes.items() if np.isfinite(scores.panel.means[arm]).any()}
    arms = sorted(done, key=lambda arm: done[arm])
    try:
        curve = curve_of(scores.panel, arms, [done[arm] for arm in arms])
    except ValueError as error:
        return StudyCurve(unit, scores.level, scores.name, scores.metric, (), why=str(error))
    points = tuple(zip(curve.sizes.tolist(), curve.estimates(level), strict=True))
    if len(arms) < LEAST_SIZES:
        return StudyCurve(unit, scores.level, scores.name, scores.metric, points, why=f"a law needs at least {LEAST_SIZES} sizes")
    wanted = tuple(at) or (2 * float(curve.sizes[-1]), 4 * float(curve.sizes[-1]))
    free, bounds, last = forecast(curve, wanted, level), score_bounds(scores.metric), points[-1][1]
    forecasts = tuple((size, bounds.keep(one, last)) for size, one in zip(wanted, free, strict=True))
    cut = _cut(bounds, free)
    return StudyCurve(unit, scores.level, scores.name, scores.metric, points, choose_law(curve, level), forecasts, cut=cut)


def _cut(bounds: Bounds, forecasts: Sequence[Estimate]) -> str:
    """Say where the laws went beyond what the score can be; nothing where they did not."""
    over = [bounds.high] * any(one.high > bounds.high for one in forecasts)
    under = [bounds.low] * any(one.low < bounds.low for one in forecasts)
    ends = " and ".join(f"{end:g}" for end in (*under, *over))
    return (
        f"forecasts are cut at {ends}, where this score ends: these sizes do not show where it levels off; train larger ones"
        if ends
        else ""
    )
