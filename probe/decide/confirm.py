"""Confirmation: fresh seeds on confirmation items, the only thing that a manifest claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from probe.decide.effects import contrasts, effects, family_prior
from probe.decide.levels import Combination
from probe.decide.multiplicity import hochberg
from probe.decide.study_scores import BenchmarkArrays
from sources.estimate import Estimate


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Gains of the candidate over each baseline, and which of them hold; "better than all" holds exactly when each one does."""

    metric: str
    gains: Mapping[str, Estimate]
    holds: Mapping[str, bool]


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
    if candidate not in arms or len(arms) < 2:
        raise ValueError(f"needs the candidate and at least one baseline, got {candidate!r} among {list(arms)}")
    every = list(range(len(arms)))
    panel = objective.panel([benchmark.panel(every, []) for benchmark in benchmarks])
    first = arms.index(candidate)
    others = [k for k in every if k != first]
    found = effects(contrasts(panel, [(first, k) for k in others]), family_prior(panel, every))
    p = found.p_above(0.0)
    names = [arms[k] for k in others]
    return Confirmation(
        objective.metric,
        dict(zip(names, found.estimates(level), strict=True)),
        dict(zip(names, (hochberg(p) <= alpha).tolist(), strict=True)),
    )
