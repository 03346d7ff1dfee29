"""Confirmation: fresh seeds on confirmation items, the only thing that a manifest claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from probe.decide.effects import Effects, contrasts, effects, family_prior, joined
from probe.decide.levels import Combination
from probe.decide.multiplicity import hochberg, holm
from probe.decide.panel import Panel
from probe.decide.study_scores import BenchmarkArrays
from sources.estimate import Estimate


@dataclass(frozen=True, slots=True)
class OutsideGain:
    """The candidate's gains on a benchmark that the objective does not hold, in its own metric; `lost` where it is worse beyond doubt."""

    benchmark: str
    metric: str
    gains: Mapping[str, Estimate]
    lost: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Gains of the candidate over each baseline, and which of them hold; "better than all" holds exactly when each one does.

    `outside` are benchmarks beside the objective: they are shown and can warn, and are no part of any claim.
    """

    metric: str
    gains: Mapping[str, Estimate]
    holds: Mapping[str, bool]
    outside: tuple[OutsideGain, ...] = ()


def confirm(
    arms: Sequence[str],
    benchmarks: Sequence[BenchmarkArrays],
    candidate: str,
    objective: Combination,
    *,
    level: float = 0.90,
    alpha: float = 0.05,
) -> Confirmation:
    """Compare the candidate with every other arm on confirmation items; all arms are trained, with the same fresh seeds.

    `objective` is the one that was searched, weights and units alike, so that predicted and confirmed gains are the same quantity.

    `benchmarks` hold `values[metric, arm, repeat, item]` of these `arms` in this order. "Better than each of them" is an
    intersection-union test: one-sided `alpha` against each needs no correction (Berger 1982, Technometrics 24, 295-300). Single
    baselines, looked at one by one, are corrected by Hochberg, which agrees with that: all of them hold exactly when the whole claim does.

    Raises:
        ValueError: the candidate is unknown or alone, shares no repeat with a baseline, or a benchmark of the objective is not scored.
    """
    _check(arms, candidate)
    panel = objective.panel([benchmark.panel(list(range(len(arms))), []) for benchmark in benchmarks])
    found = _over_each(panel, arms, candidate)
    names = [name for name in arms if name != candidate]
    holds = hochberg(found.p_above(0.0)) <= alpha
    return Confirmation(
        objective.metric,
        dict(zip(names, found.estimates(level), strict=True)),
        dict(zip(names, holds.tolist(), strict=True)),
    )


def outside_gains(
    arms: Sequence[str], benchmarks: Sequence[BenchmarkArrays], candidate: str, *, level: float = 0.90, alpha: float = 0.05
) -> tuple[OutsideGain, ...]:
    """Compare the candidate with every other arm on each benchmark by itself, as `confirm` does on the objective.

    A loss is beyond doubt where the one-sided test of "no worse" is refuted at `alpha` over all benchmarks and baselines together (Holm),
    so that where nothing is lost any warning has a probability of at most `alpha`.

    Raises:
        ValueError: the candidate is unknown or alone, or shares no repeat with a baseline.
    """
    _check(arms, candidate)
    if not benchmarks:
        return ()
    parts = [benchmark.panel(list(range(len(arms))), []) for benchmark in benchmarks]
    found = [_over_each(part.panel, arms, candidate) for part in parts]
    every = joined(found)
    lost = (holm(replace(every, value=-every.value).p_above(0.0)) <= alpha).reshape(len(parts), -1)
    names = [name for name in arms if name != candidate]
    return tuple(
        OutsideGain(part.name, part.metric, dict(zip(names, one.estimates(level), strict=True)), dict(zip(names, row, strict=True)))
        for part, one, row in zip(parts, found, lost.tolist(), strict=True)
    )


def _over_each(panel: Panel, arms: Sequence[str], candidate: str) -> Effects:
    """Return the candidate's differences to every other arm, in the order of the arms."""
    first = arms.index(candidate)
    pairs = [(first, k) for k in range(len(arms)) if k != first]
    return effects(contrasts(panel, pairs), family_prior(panel, list(range(len(arms)))))


def _check(arms: Sequence[str], candidate: str) -> None:
    if candidate not in arms or len(arms) < 2:
        raise ValueError(f"needs the candidate and at least one baseline, got {candidate!r} among {list(arms)}")
