"""`probe optimize`, the confirmation: the chosen mixture and its baselines with fresh seeds, compared on confirmation items."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from db.values import Arm, ArmRole, Split, StudyPlan
from probe.errors import ProbeError
from probe.study import designs
from probe.study.decontamination import study_draws
from probe.study.mixture_search import Search
from probe.study.ranking import benchmark_arrays
from probe.study.run import SEED_STRIDE, plan_probes
from probe.workspace import Workspace
from sources.canonical import content_hash
from sources.mixture import Mixture

if TYPE_CHECKING:
    from db.store import Store
    from probe.decide.confirm import Confirmation

CANDIDATE = "optimum"
SMALLEST_CONFIRMED_SHARE = 1e-6


@dataclass(frozen=True, slots=True)
class ConfirmationPlan:
    """What confirms a search: the candidate and its baselines, the first of their fresh seeds, and how many candidates came before.

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


def confirmation_arms(found: Search) -> dict[str, Arm]:
    """Return the candidate and its baselines as arms; a baseline that is the same mixture as another shares its trainings."""
    mixtures = {CANDIDATE: found.mixture()} | {name: _mixture(weights) for name, weights in found.optimum.baselines.items()}
    arms = {}
    for name, mixture in mixtures.items():
        arm = designs.confirm_arms({name: mixture})[0]
        arms[name] = Arm(f"{arm.name}/{content_hash(mixture)[:6]}", arm.role, arm.design, arm.curriculum)
    return arms


def confirmation_plan(store: Store, found: Search) -> ConfirmationPlan:
    """Return what a search's confirmation trains; a candidate that was confirmed before keeps its seeds, so its runs are reused."""
    arms = confirmation_arms(found)
    candidates = [arm.name for arm in store.arms(found.study.name) if _is_candidate(arm)]
    known = {probe.arm: probe.repeat // SEED_STRIDE for probe in store.probes(found.study.name) if probe.arm in candidates}
    own = arms[CANDIDATE].name
    block = known.get(own, max(known.values(), default=0) + 1)
    earlier = candidates.index(own) if own in candidates else len(candidates)
    return ConfirmationPlan(arms, block * SEED_STRIDE, found.request.seeds, earlier + _looks_elsewhere(store, found))


def _is_candidate(arm: Arm) -> bool:
    return arm.role is ArmRole.CONFIRM and arm.name.split("/")[1] == CANDIDATE


def _looks_elsewhere(store: Store, found: Search) -> int:
    """Count the candidates that other studies confirmed on a benchmark of the objective."""
    names = {term.benchmark for term in found.objective.terms}
    others = [study.name for study in store.studies() if study.name != found.study.name]
    shared = [name for name in others if names & {record.spec.name for record in store.study_benchmarks(name)}]
    return sum(_is_candidate(arm) for name in shared for arm in store.arms(name))


def plan_confirmation(workspace: Workspace, store: Store, found: Search, plan: ConfirmationPlan, say: Callable[[str], None]) -> None:
    """Plan the probes of the candidate and of every baseline."""
    draws = study_draws(store, found.study, workspace.indexes)
    arms = tuple(plan.arms.values())
    probes = plan_probes(draws, arms, plan.repeats(), say)
    store.put_plan(StudyPlan(found.study, (), store.study_benchmarks(found.study.name), arms, tuple(probes)))


def confirmation(store: Store, found: Search, plan: ConfirmationPlan) -> Confirmation | None:
    """Compare the candidate with every other mixture on confirmation items; None when no baseline differs from it.

    Raises:
        ProbeError: a confirmation probe is missing.
    """
    from probe.decide.confirm import confirm

    candidate = plan.arms[CANDIDATE].curriculum
    others = [name for name, arm in plan.arms.items() if arm.curriculum != candidate]
    if not others:
        return None
    names = [CANDIDATE, *others]
    used = {term.benchmark for term in found.objective.terms}
    arrays = []
    for record in store.study_benchmarks(found.study.name):
        if record.spec.name not in used:
            continue
        scores = store.scores(found.study.name, record.spec.name, (ArmRole.CONFIRM,))
        places = [next(i for i, arm in enumerate(scores.arms) if arm.name == plan.arms[name].name) for name in names]
        fresh = [r for r, repeat in enumerate(scores.repeats) if repeat in plan.repeats()]
        chosen = benchmark_arrays(scores, places, Split.CONFIRMATION)
        arrays.append(replace(chosen, values=chosen.values[:, :, fresh]))
    try:
        return confirm(names, arrays, CANDIDATE, found.objective, level=found.request.level)
    except ValueError as error:
        raise ProbeError(f"the mixture cannot be confirmed: {error}; see `probe status`.") from None


def _mixture(weights: Mapping[str, float]) -> Mixture:
    return Mixture.of({slug: weight for slug, weight in weights.items() if weight > SMALLEST_CONFIRMED_SHARE})
