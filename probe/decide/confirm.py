"""Confirmation: fresh seeds on confirmation items, the only thing that a manifest claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from probe.decide.effects import contrasts, effects, family_prior
from probe.decide.levels import OVERALL, BenchmarkPanel, level_panels
from probe.decide.multiplicity import holm
from probe.decide.study_scores import BenchmarkArrays
from sources.estimate import Estimate


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Gains of the candidate over each baseline, which of them hold by themselves, and whether the claim holds against all."""

    metric: str
    gains: Mapping[str, Estimate]
    holds: Mapping[str, bool]
    holds_against_all: bool


def confirm(
    arms: Sequence[str], benchmarks: Sequence[BenchmarkArrays], candidate: str, *, level: float = 0.90, alpha: float = 0.05
) -> Confirmation:
    """Compare the candidate with every other arm on confirmation items; all arms are trained, with the same fresh seeds.

    `benchmarks` hold `values[metric, arm, repeat, item]` of these `arms` in this order. "Better than each of them" is an
    intersection-union test: one-sided `alpha` against each needs no correction (Berger 1982, Technometrics 24, 295-300). Single
    baselines, looked at one by one, are corrected by Holm.

    Raises:
        ValueError: the candidate is unknown or alone, or shares no repeat with a baseline.
    """
    if candidate not in arms or len(arms) < 2:
        raise ValueError(f"needs the candidate and at least one baseline, got {candidate!r} among {list(arms)}")
    every = list(range(len(arms)))
    parts: list[BenchmarkPanel] = [benchmark.panel(every, []) for benchmark in benchmarks]
    overall = next(panel for panel in level_panels(parts, every) if panel.level == OVERALL)
    first = arms.index(candidate)
    others = [k for k in every if k != first]
    found = effects(contrasts(overall.panel, [(first, k) for k in others]), family_prior(overall.panel, every))
    p = found.p_above(0.0)
    names = [arms[k] for k in others]
    return Confirmation(
        overall.metric,
        dict(zip(names, found.estimates(level), strict=True)),
        dict(zip(names, (holm(p) <= alpha).tolist(), strict=True)),
        bool(np.max(p) <= alpha),
    )
