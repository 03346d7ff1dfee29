"""Full-scale results as numbers to compare: runs of one mixture joined, scores brought to one per capability and one over all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from db.values import Outcome, OutcomeScore
from sources.mixture import Curriculum, equal_shares

Floats = NDArray[np.float64]
Key = tuple[str, str]  # level and name, as in `OutcomeScore`


@dataclass(frozen=True, slots=True)
class FullScale:
    """One mixture at full scale: its score of each key with its standard error (NaN: unknown)."""

    curriculum: Curriculum
    scores: Mapping[Key, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Compared:
    """What one comparison takes of full scale: which mixtures, their values and errors, and on which benchmarks the proxy answers."""

    name: str
    mixtures: tuple[int, ...]
    values: Floats
    stderrs: Floats
    benchmarks: tuple[str, ...]


def full_scale(outcomes: Sequence[Outcome]) -> tuple[FullScale, ...]:
    """Join the results of one mixture: scores are means over its runs, each counted by its seeds.

    A score without a standard error takes the deviation between results of one mixture, pooled over mixtures, where there is any.
    """
    groups: list[list[Outcome]] = []
    for outcome in outcomes:
        group = next((g for g in groups if same_curriculum(g[0].curriculum, outcome.curriculum)), None)
        if group is None:
            groups.append([outcome])
        else:
            group.append(outcome)
    spread = {key: _run_deviation(groups, key) for key in {key for outcome in outcomes for key in _keys(outcome)}}
    return tuple(FullScale(group[0].curriculum, _joined(group, spread)) for group in groups)


def same_curriculum(one: Curriculum, other: Curriculum) -> bool:
    """Say whether two curricula train on the same mixtures, to a hundred-thousandth of a share."""
    return (
        (len(one.phases), one.budget, one.restarts) == (len(other.phases), other.budget, other.restarts)
        and all(abs(a.share - b.share) <= 1e-5 for a, b in zip(one.phases, other.phases, strict=True))
        and all(equal_shares(a.mixture.weights(), b.mixture.weights()) for a, b in zip(one.phases, other.phases, strict=True))
    )


def comparisons(full: Sequence[FullScale], capabilities: Mapping[str, str]) -> tuple[Compared, ...]:
    """Return what can be compared: over all, then each capability; `capabilities` maps the study's benchmarks to theirs.

    A comparison reads the scores that all its mixtures have, so that no mixture is judged by an easier benchmark than another. Over all:
    the score of that name where every mixture has it, else the mean over capabilities of their means.
    """
    if not full:
        return ()
    whole = {("overall", "overall")}
    if all(whole <= set(one.scores) for one in full):
        first = [_compared("overall", full, {"overall": list(whole)}, capabilities)]
    else:
        grouped = {name: _common(full, name, capabilities, every=True) for name in dict.fromkeys(capabilities.values())}
        first = [_compared("overall", full, {name: keys for name, keys in grouped.items() if keys}, capabilities)]
    rest = [
        _compared(name, full, {name: keys}, capabilities)
        for name in dict.fromkeys(capabilities.values())
        if (keys := _common(full, name, capabilities, every=False))
    ]
    return tuple(one for one in (*first, *rest) if one.mixtures)


def _common(full: Sequence[FullScale], capability: str, capabilities: Mapping[str, str], every: bool) -> list[Key]:
    """Return the scores of a capability that all mixtures have, or all that have any of it; the capability's own score alone, if so."""
    own = ("capability", capability)
    mine = {own} | {("benchmark", name) for name, of in capabilities.items() if of == capability}
    held = [mine & set(one.scores) for one in full]
    common = set.intersection(*(keys for keys in held if keys or every)) if any(held) else set()
    return [own] if own in common else sorted(common)


def _compared(name: str, full: Sequence[FullScale], groups: Mapping[str, Sequence[Key]], capabilities: Mapping[str, str]) -> Compared:
    used = [i for i, one in enumerate(full) if groups and all(key in one.scores for keys in groups.values() for key in keys)]
    means = [[_mean([full[i].scores[key] for key in keys]) for keys in groups.values()] for i in used]
    scores = np.array([_mean(row) for row in means]).reshape(len(used), 2)
    keys = [key for group in groups.values() for key in group]
    asked = [b for b, of in capabilities.items() if {("benchmark", b), ("capability", of), ("overall", "overall")} & set(keys)]
    return Compared(name, tuple(used), scores[:, 0], scores[:, 1], tuple(asked))


def _mean(scores: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the mean of independent scores with its standard error."""
    return sum(value for value, _ in scores) / len(scores), math.sqrt(sum(stderr**2 for _, stderr in scores)) / len(scores)


def _keys(outcome: Outcome) -> dict[Key, OutcomeScore]:
    return {(score.level, score.name): score for score in outcome.scores}


def _run_deviation(groups: Sequence[Sequence[Outcome]], key: Key) -> float:
    """Return the deviation of one seed's score between results of one mixture, pooled; NaN where no mixture has two."""
    squares, freedom = 0.0, 0
    for group in groups:
        runs = [(_keys(one)[key].value, one.seeds) for one in group if key in _keys(one)]
        if len(runs) > 1:
            mean = sum(value * seeds for value, seeds in runs) / sum(seeds for _, seeds in runs)
            squares += sum(seeds * (value - mean) ** 2 for value, seeds in runs)
            freedom += len(runs) - 1
    return math.sqrt(squares / freedom) if freedom else math.nan


def _joined(group: Sequence[Outcome], spread: Mapping[Key, float]) -> dict[Key, tuple[float, float]]:
    found = {}
    for key in {key for outcome in group for key in _keys(outcome)}:
        runs = [(_keys(one)[key], one.seeds) for one in group if key in _keys(one)]
        seeds = sum(count for _, count in runs)
        value = sum(score.value * count for score, count in runs) / seeds
        errors = [score.stderr if math.isfinite(score.stderr) else spread[key] / math.sqrt(count) for score, count in runs]
        weighted = math.sqrt(sum((error * count) ** 2 for error, (_, count) in zip(errors, runs, strict=True))) / seeds
        found[key] = (value, weighted)
    return found
