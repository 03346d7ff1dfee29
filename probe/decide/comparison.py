"""Questions on one design: arms against their reference and among themselves, at all levels of detail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from db.values import Design, Verdict
from probe.decide.asked import ANSWERS, Answers
from probe.decide.effects import Contrasts, Effects, Pair, contrasts, effects, family_prior, joined
from probe.decide.hierarchy import Question, plan
from probe.decide.levels import LevelPanel
from probe.decide.moderation import VariancePrior
from probe.decide.multiplicity import holm
from probe.decide.panel import Panel
from probe.decide.sequential import sequential_effects
from probe.decide.tiers import tiers
from probe.decide.verdicts import deviation_of_pairs, judge, minimum_detectable_effect, seeds_to_decide
from sources.estimate import Estimate

Item = TypeVar("Item")

TURNED = {
    Verdict.HELPS: Verdict.HURTS,
    Verdict.HURTS: Verdict.HELPS,
    Verdict.NEUTRAL: Verdict.NEUTRAL,
    Verdict.UNDECIDED: Verdict.UNDECIDED,
}


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What to compare: `arms` of one design with `reference`, as places in the panel.

    `less` are those arms that have less of their source than the reference: of these a verdict is on the source, not on the arm, so
    one that scores lower says that the source `helps`.
    """

    panel: LevelPanel
    design: Design
    reference: int
    arms: tuple[int, ...]
    less: frozenset[int] = frozenset()

    def answers(self) -> Answers:
        """Return what may be said of it."""
        return ANSWERS[self.design]


@dataclass(frozen=True, slots=True, eq=False)
class LevelResult:
    """The answers at one level; lists run parallel to `arms` or to `pairs`. `same` pairs are shown to differ by less than the margin.
    `deviation` is that of one repeat's paired difference."""

    level: str
    name: str
    metric: str
    design: Design
    reference: int
    arms: tuple[int, ...]
    effects: tuple[Estimate, ...]
    tiers: tuple[int | None, ...]
    verdicts: tuple[Verdict, ...]
    seeds_to_decide: tuple[int | None, ...]
    pairs: tuple[Pair, ...]
    differences: tuple[Estimate, ...]
    decided: tuple[bool, ...]
    same: tuple[bool, ...]
    accuracy: NDArray[np.float64]
    repeats: tuple[int, ...]
    deviation: float
    minimum_detectable_effect: float

    def noise_floor(self) -> float:
        """Return how far two equal arms typically differ at the study's number of repeats, by seeds and draws alone."""
        return self.deviation / float(np.sqrt(np.median(self.repeats)))


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    """A comparison's numbers before any correction."""

    asked: Comparison
    arms: tuple[int, ...]
    against: Effects
    pairs: tuple[Pair, ...]
    between: Effects | None
    deviation: float


def compare(
    asked: Sequence[Comparison], *, level: float, alpha: float, margin: float | None, looks: Sequence[int] = ()
) -> list[LevelResult]:
    """Answer the comparisons of one design; those without a scored arm are left out.

    With `looks` (numbers of seeds, fixed beforehand) the answers hold at every look, whatever made the seeds end (`sequential`).

    Verdicts are corrected together over all levels of detail (`hierarchy`); pairs, and so tiers, over all parts of one level (Holm).
    """
    measured = [found for one in asked if (found := _measure(one, looks)) is not None]
    if not measured:
        return []
    decided: dict[int, list[bool]] = {}
    for detail in {found.asked.panel.level for found in measured}:
        members = [k for k, found in enumerate(measured) if found.asked.panel.level == detail]
        answers = _split(_decided_pairs([measured[k] for k in members], alpha), [len(measured[k].pairs) for k in members])
        decided |= dict(zip(members, answers, strict=True))
    same = [_same_pairs(found, alpha, margin) for found in measured]
    given, seeds, levels = _verdicts(measured, alpha, margin)
    return [_result(found, decided[k], same[k], given[k], seeds[k], levels[k], level) for k, found in enumerate(measured)]


def _measure(asked: Comparison, looks: Sequence[int]) -> _Measured | None:
    panel, done = asked.panel.panel, np.isfinite(asked.panel.panel.means)
    arms = tuple(arm for arm in asked.arms if (done[arm] & done[asked.reference]).any())
    if not arms:
        return None
    has_seed = asked.answers().has_seed
    against_prior = partial(_prior, (asked.reference, *arms), None) if has_seed else partial(_prior, arms, asked.reference)
    against = tuple((arm, asked.reference) for arm in arms)
    versus = contrasts(panel, against)
    together = done.astype(np.int64) @ done.T  # repeats that two arms have in common
    pairs = tuple((a, b) for k, a in enumerate(arms) for b in arms[k + 1 :] if together[a, b]) if asked.answers().pairs else ()
    differences = contrasts(panel, pairs) if pairs else None
    between_prior = against_prior if has_seed else partial(_prior, arms, None)
    between = _effects(panel, pairs, differences, between_prior, looks) if differences is not None else None
    noise = versus if has_seed or differences is None else differences
    return _Measured(asked, arms, _effects(panel, against, versus, against_prior, looks), pairs, between, deviation_of_pairs(noise))


def _prior(arms: tuple[int, ...], reference: int | None, panel: Panel) -> VariancePrior:
    return family_prior(panel, arms, reference)


def _effects(
    panel: Panel, pairs: Sequence[Pair], found: Contrasts, prior_of: Callable[[Panel], VariancePrior], looks: Sequence[int]
) -> Effects:
    return sequential_effects(panel, pairs, prior_of, looks) if looks else effects(found, prior_of(panel))


def _decided_pairs(measured: Sequence[_Measured], alpha: float) -> list[bool]:
    between = [found.between for found in measured if found.between is not None]
    if not between:
        return []
    return list((holm(joined(between).p_two_sided()) <= alpha).tolist())


def _verdicts(
    measured: Sequence[_Measured], alpha: float, margin: float | None
) -> tuple[list[list[Verdict]], list[list[int | None]], list[float]]:
    """Return verdicts, more seeds, and the level that the smallest detectable effect is for."""
    sizes = [len(found.arms) for found in measured]
    if not measured[0].asked.answers().verdicts:
        return [[] for _ in sizes], [[] for _ in sizes], [alpha / max(1, len(found.pairs) or len(found.arms)) for found in measured]
    against = joined([found.against for found in measured])
    margins = np.repeat([found.deviation if margin is None else margin for found in measured], sizes)
    shared = plan([Question(arm, found.asked.panel.benchmarks) for found in measured for arm in found.arms])
    given = judge(against, margins, alpha=alpha, shared=shared)
    seeds = seeds_to_decide(against, margins, given)
    begun = _split((shared.weights[shared.node] * alpha).tolist(), sizes)
    less = [arm in found.asked.less for found in measured for arm in found.arms]
    about = [TURNED[verdict] if turned else verdict for verdict, turned in zip(given.verdicts, less, strict=True)]
    return _split(about, sizes), _split(list(seeds), sizes), [float(np.median(part)) for part in begun]


def _split(values: list[Item], sizes: Sequence[int]) -> list[list[Item]]:
    ends = np.cumsum(sizes).tolist()
    return [values[end - size : end] for end, size in zip(ends, sizes, strict=True)]


def _same_pairs(found: _Measured, alpha: float, margin: float | None) -> list[bool]:
    """Return which pairs are shown to differ by less than the margin: a claim of its own kind, corrected over a level's pairs (Holm)."""
    if found.between is None:
        return []
    inside = found.between.p_inside(np.asarray(found.deviation if margin is None else margin))
    return list((holm(inside) <= alpha).tolist())


def _result(
    found: _Measured, decided: list[bool], same: list[bool], given: list[Verdict], seeds: list[int | None], asked_at: float, level: float
) -> LevelResult:
    values = dict(zip(found.arms, found.against.value.tolist(), strict=True))
    return LevelResult(
        level=found.asked.panel.level,
        name=found.asked.panel.name,
        metric=found.asked.panel.metric,
        design=found.asked.design,
        reference=found.asked.reference,
        arms=found.arms,
        effects=found.against.estimates(level),
        tiers=_tiers(found, decided, values),
        verdicts=tuple(given),
        seeds_to_decide=tuple(seeds),
        pairs=found.pairs,
        differences=found.between.estimates(level) if found.between is not None else (),
        decided=tuple(decided),
        same=tuple(same),
        accuracy=found.asked.panel.accuracy,
        repeats=tuple(found.against.repeats.tolist()),
        deviation=found.deviation,
        minimum_detectable_effect=minimum_detectable_effect(
            found.against if found.asked.answers().has_seed or found.between is None else found.between, level=asked_at
        ),
    )


def _tiers(found: _Measured, decided: list[bool], values: dict[int, float]) -> tuple[int | None, ...]:
    """Give tiers where the design has any; arms are named by zero-padded place, so that ties keep the study's order."""
    if not found.asked.answers().tiers:
        return tuple(None for _ in found.arms)
    names = {arm: f"{arm:06d}" for arm in found.arms}
    below = set()
    for k, (pair, apart) in enumerate(zip(found.pairs, decided, strict=True)):
        if apart and found.between is not None:
            better, worse = pair if found.between.value[k] > 0 else pair[::-1]
            below.add((names[better], names[worse]))
    ranked = tiers({names[arm]: value for arm, value in values.items()}, below)
    return tuple(ranked[names[arm]] for arm in found.arms)
