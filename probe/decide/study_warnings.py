"""What a reader of a ranking must know before believing it, one sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from db.values import ArmRole
from probe.decide.comparison import LevelResult
from probe.decide.levels import CEILING, BenchmarkPanel
from probe.decide.study_scores import BenchmarkArrays, StudyScores

FEW_REPEATS = 3


def study_warnings(
    inputs: StudyScores,
    places: list[int],
    overall: Sequence[LevelResult],
    parts: Sequence[BenchmarkPanel],
    left_out: Mapping[str, str],
) -> tuple[str, ...]:
    """Return the sentences, most important first; `parts` are the benchmarks that were ranked on, `left_out` says why others were not."""
    return (
        *_repeats(overall),
        *(f"benchmark {name} is left out: {why}" for name, why in left_out.items()),
        *_missing(inputs, places, overall),
        *_sources(inputs),
        *ceiling_notes(parts),
        *_at_chance(inputs, places),
    )


def _repeats(overall: Sequence[LevelResult]) -> Iterator[str]:
    fewest = min(repeats for result in overall for repeats in result.repeats)
    if fewest == 1:
        yield "some arms have a single repeat: without a second one nothing is known of seed noise, so their intervals cover new items only"
    elif fewest < FEW_REPEATS:
        yield f"only {fewest} repeats: intervals are wide and lean on variances pooled over arms; use at least {FEW_REPEATS}"


def _missing(inputs: StudyScores, places: list[int], overall: Sequence[LevelResult]) -> Iterator[str]:
    ranked = {places[arm] for result in overall for arm in (*result.arms, result.reference)}
    absent = [arm.name for k, arm in enumerate(inputs.arms) if arm.role is ArmRole.SOURCE and k not in ranked]
    if absent:
        yield f"not ranked overall, because no repeat is scored on every benchmark together with its reference: {', '.join(absent)}"


def _sources(inputs: StudyScores) -> Iterator[str]:
    if inputs.too_small:
        shares = ", ".join(f"{arm} ({overlap:.0%} of the rows are the same)" for arm, overlap in inputs.too_small)
        yield f"too small for repeats to draw other rows, so intervals leave out much of what another draw would change: {shares}"


def ceiling_notes(parts: Sequence[BenchmarkPanel]) -> Iterator[str]:
    """Yield what is said of benchmarks that every arm has all but solved."""
    full = [part for part in parts if part.at_ceiling()]
    without = "and separates nothing" if len(full) == len(parts) else "so it is left out where others are beside it"
    for part in full:
        yield f"benchmark {part.name} is at its ceiling for every arm (accuracy at least {CEILING}), {without}"


def _at_chance(inputs: StudyScores, places: list[int]) -> Iterator[str]:
    for benchmark in inputs.benchmarks:
        accuracy = benchmark.accuracy(places)
        accuracy = accuracy[np.isfinite(accuracy)]
        if len(accuracy) and benchmark.chance > 0 and (accuracy - benchmark.chance < 2 * _chance_error(benchmark)).all():
            yield f"benchmark {benchmark.name} is at chance ({benchmark.chance:.2f}) for every arm: read its effects with care"


def _chance_error(benchmark: BenchmarkArrays) -> float:
    """Return the standard error of guessing, as if an image were one item."""
    clusters = len(np.unique(benchmark.groups))
    return float(np.sqrt(benchmark.chance * (1 - benchmark.chance) / clusters))
