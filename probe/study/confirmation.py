"""`probe optimize`, the confirmation: the chosen mixture and its baselines with fresh seeds, compared on confirmation items."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, TypeVar

from db.values import Arm, ArmRole, ProbeState, Split, StudyPlan
from probe.errors import ProbeError
from probe.study import designs
from probe.study.decontamination import study_draws
from probe.study.mixture_search import Search
from probe.study.planned_probes import Say
from probe.study.ranking import benchmark_arrays
from probe.study.run import SEED_STRIDE, plan_probes
from probe.workspace import Workspace
from sources.canonical import content_hash
from sources.estimate import Estimate
from sources.mixture import Curriculum, Mixture, equal_shares

if TYPE_CHECKING:
    from db.store import Store
    from probe.decide.confirm import Confirmation
    from probe.decide.study_scores import BenchmarkArrays

CANDIDATE, ORDER = "optimum", "curriculum"
STATIC = "static"  # the optimum, as a baseline of an order of phases
ALPHA = 0.05
SMALLEST_CONFIRMED_SHARE = 1e-6
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ConfirmationPlan:
    """What confirms a search: the candidate, an order of phases where one helps, the baselines, and the first of their fresh seeds.

    `earlier` says how many candidates came before.

    Every candidate has a block of seeds of its own, so a second search never meets runs that the first one's claim rests on; the
    confirmation items stay the same, and each look at them is counted.
    """

    arms: Mapping[str, Arm]
    first_seed: int
    seeds: int
    earlier: int = 0

    def repeats(self) -> range:
        """Return the confirmation's repeats, which are their seeds."""
        return range(self.first_seed, self.first_seed + self.seeds)


@dataclass(frozen=True, slots=True)
class ConfirmationCost:
    """What a confirmation trains: different mixtures, seeds each, trainings that are new, and the seconds that one takes a process."""

    mixtures: int
    seeds: int
    new: int
    seconds: float  # mean of the study's trainings so far; NaN where none is known

    def sentence(self, processes: int) -> str:
        """Return what is said before anything is trained."""
        trained = self.mixtures * self.seeds
        told = f"{self.mixtures} mixtures x {self.seeds} fresh seeds = {trained} trainings, {self.new} of them new"
        if not self.new or not math.isfinite(self.seconds):
            return told
        hours = self.new * self.seconds / max(1, processes) / 3600
        about = f"{hours:.1f} hours" if hours >= 1 else f"{max(1, round(60 * hours))} minutes"
        return f"{told}: about {about} at {self.seconds:.1f} s a training, as in this study so far"


def confirmation_arms(found: Search, order: Curriculum | None = None) -> dict[str, Arm]:
    """Return the arm of the candidate, of each baseline and of an order of phases, by name; names of the same mixture share one arm."""
    mixtures = {CANDIDATE: found.mixture()} | {name: _mixture(weights) for name, weights in found.optimum.baselines.items()}
    arms: dict[str, Arm] = {}
    for name, mixture in mixtures.items():
        same = (arm for arm in arms.values() if equal_shares(arm.curriculum.phases[0].mixture.weights(), mixture.weights()))
        arms[name] = next(same, None) or _arm(name, mixture)
    if order is not None:
        arms[ORDER] = Arm(f"confirm/{ORDER}/{content_hash(order)[:6]}", ArmRole.CONFIRM, None, order)
    return arms


def _arm(name: str, mixture: Mixture) -> Arm:
    arm = designs.confirm_arms({name: mixture})[0]
    return replace(arm, name=f"{arm.name}/{content_hash(mixture)[:6]}")


def confirmation_plan(store: Store, found: Search, order: Curriculum | None = None) -> ConfirmationPlan:
    """Return what a search's confirmation trains; a candidate that was confirmed before keeps its seeds, so its runs are reused."""
    arms = confirmation_arms(found, order)
    candidates = [arm.name for arm in store.arms(found.study.name) if _is_candidate(arm)]
    known = {probe.arm: probe.repeat // SEED_STRIDE for probe in store.probes(found.study.name) if probe.arm in candidates}
    own = arms[CANDIDATE].name
    block = known.get(own, max(known.values(), default=0) + 1)
    earlier = candidates.index(own) if own in candidates else len(candidates)
    return ConfirmationPlan(arms, block * SEED_STRIDE, found.request.seeds, earlier + _looks_elsewhere(store, found))


def _is_candidate(arm: Arm) -> bool:
    return arm.role is ArmRole.CONFIRM and arm.name.split("/")[1] in (CANDIDATE, ORDER)


def _looks_elsewhere(store: Store, found: Search) -> int:
    """Count the candidates that other studies confirmed on a benchmark of the objective."""
    names = {term.benchmark for term in found.objective.terms}
    others = [study.name for study in store.studies() if study.name != found.study.name]
    shared = [name for name in others if names & {record.spec.name for record in store.study_benchmarks(name)}]
    return sum(_is_candidate(arm) for name in shared for arm in store.arms(name))


def plan_confirmation(workspace: Workspace, store: Store, found: Search, plan: ConfirmationPlan, say: Say) -> ConfirmationCost:
    """Plan the probes of the candidate and of every baseline, and return what they cost."""
    draws = study_draws(store, found.study, workspace.indexes)
    arms = tuple(dict.fromkeys(plan.arms.values()))
    probes = plan_probes(draws, arms, plan.repeats(), say)
    store.put_plan(StudyPlan(found.study, (), store.study_benchmarks(found.study.name), arms, tuple(probes)))
    known = store.probes(found.study.name)
    waiting = {p.training_id for p in known if p.state is not ProbeState.DONE} & {p.training_id for p in probes}
    costs = [p.wall_s for p in known if p.state is ProbeState.DONE and p.rows]
    return ConfirmationCost(len(arms), found.request.seeds, len(waiting), fmean(costs) if costs else math.nan)


def confirmation(store: Store, found: Search, plan: ConfirmationPlan) -> Confirmation | None:
    """Compare the optimum with every baseline on confirmation items; None when no baseline differs from it.

    Benchmarks outside the objective are compared too, and told apart. A baseline whose draws are another's (two mixtures so near that
    their rows are the same) is that one's training: it enters the statistics once, and one that is the candidate's has gained nothing.

    Raises:
        ProbeError: a confirmation probe is missing.
    """
    optimum = plan.arms[CANDIDATE]
    others = [name for name, arm in plan.arms.items() if arm != optimum and name != ORDER]
    return _compared(store, found, plan, CANDIDATE, others) if others else None


def order_gain(store: Store, found: Search, plan: ConfirmationPlan) -> Confirmation | None:
    """Compare the order of phases with the optimum alone, on confirmation items; None where there is no order.

    Raises:
        ProbeError: a confirmation probe is missing.
    """
    return _of_static(_compared(store, found, plan, ORDER, [CANDIDATE])) if ORDER in plan.arms else None


def order_confirmation(store: Store, found: Search, plan: ConfirmationPlan, gain: Confirmation) -> Confirmation:
    """Compare an order of phases whose gain over the optimum held with every baseline, too.

    A fixed sequence: the baselines are asked about only behind that gain, at the same level.

    Raises:
        ProbeError: a confirmation probe is missing.
    """
    every = _of_static(_compared(store, found, plan, ORDER, [name for name in plan.arms if name != ORDER]))
    return replace(every, gains={**every.gains, **gain.gains}, holds={**every.holds, **gain.holds})


def _of_static(confirmed: Confirmation) -> Confirmation:
    """Return a comparison in which the optimum is called `STATIC`, as one of the baselines."""

    def called(by_name: Mapping[str, T]) -> dict[str, T]:
        return {STATIC if name == CANDIDATE else name: value for name, value in by_name.items()}

    outside = tuple(replace(one, gains=called(one.gains), lost=called(one.lost)) for one in confirmed.outside)
    return replace(confirmed, gains=called(confirmed.gains), holds=called(confirmed.holds), outside=outside)


def _compared(store: Store, found: Search, plan: ConfirmationPlan, candidate: str, others: Sequence[str]) -> Confirmation:
    """Compare an arm with others. Where an order is confirmed beside the optimum, each of them has half of the error (Bonferroni)."""
    from probe.decide.confirm import confirm, outside_gains

    alpha = ALPHA / 2 if ORDER in plan.arms else ALPHA
    stands_for = _same_trainings(store, found.study.name, plan, (candidate, *others))
    names = [candidate, *dict.fromkeys(one for one in stands_for.values() if one != candidate)]
    inside, outside = _arrays(store, found, plan, names)
    if len(names) == 1:
        return _nothing_gained(found, others, inside)
    try:
        confirmed = confirm(names, inside, candidate, found.objective, level=found.request.level, alpha=alpha)
        beside = outside_gains(names, outside, candidate, level=found.request.level, alpha=alpha)
    except ValueError as error:
        raise ProbeError(f"the mixture cannot be confirmed: {error}; see `probe status`.") from None
    return replace(
        confirmed,
        gains={name: confirmed.gains.get(stands_for[name], _none(confirmed.gains)) for name in others},
        holds={name: confirmed.holds.get(stands_for[name], False) for name in others},
        outside=tuple(
            replace(
                one,
                gains={name: one.gains.get(stands_for[name], _none(one.gains)) for name in others},
                lost={name: one.lost.get(stands_for[name], False) for name in others},
            )
            for one in beside
        ),
    )


def _none(gains: Mapping[str, Estimate]) -> Estimate:
    """Return no gain at all, on as many items as the others."""
    return Estimate(0.0, 0.0, 0.0, 0.0, next(iter(gains.values())).n)


def _nothing_gained(found: Search, others: Sequence[str], inside: Sequence[BenchmarkArrays]) -> Confirmation:
    from probe.decide.confirm import Confirmation

    none = Estimate(0.0, 0.0, 0.0, 0.0, sum(arrays.values.shape[-1] for arrays in inside))
    return Confirmation(found.objective.metric, dict.fromkeys(others, none), dict.fromkeys(others, False))


def _same_trainings(store: Store, study: str, plan: ConfirmationPlan, names: Sequence[str]) -> dict[str, str]:
    """Return for each name the first one whose arm was trained by the same trainings."""
    by_arm: dict[str, list[tuple[int, str]]] = {}
    for probe in store.probes(study):
        if probe.repeat in plan.repeats():
            by_arm.setdefault(probe.arm, []).append((probe.repeat, probe.training_id))
    first: dict[tuple[tuple[int, str], ...], str] = {}
    return {name: first.setdefault(tuple(sorted(by_arm.get(plan.arms[name].name, []))), name) for name in names}


def _arrays(
    store: Store, found: Search, plan: ConfirmationPlan, names: Sequence[str]
) -> tuple[list[BenchmarkArrays], list[BenchmarkArrays]]:
    """Return the fresh scores on confirmation items: of the objective's benchmarks, and of the others that were scored."""
    used = {term.benchmark for term in found.objective.terms}
    inside, outside = [], []
    for record in store.study_benchmarks(found.study.name):
        scores = store.scores(found.study.name, record.spec.name, (ArmRole.CONFIRM,))
        places = [next(i for i, arm in enumerate(scores.arms) if arm.name == plan.arms[name].name) for name in names]
        fresh = [r for r, repeat in enumerate(scores.repeats) if repeat in plan.repeats()]
        chosen = benchmark_arrays(scores, places, Split.CONFIRMATION)
        arrays = replace(chosen, values=chosen.values[:, :, fresh])
        if record.spec.name in used:
            inside.append(arrays)
        elif arrays.scored():
            outside.append(arrays)
    return inside, outside


def _mixture(weights: Mapping[str, float]) -> Mixture:
    return Mixture.of({slug: weight for slug, weight in weights.items() if weight > SMALLEST_CONFIRMED_SHARE})
