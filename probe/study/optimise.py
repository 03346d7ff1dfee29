"""`probe optimize`: search the mixture on what was trained, confirm it with fresh seeds on fresh items, write the manifest."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from db.values import Arm, ArmRole, BudgetUnit, Split, StudyPlan, StudyRecord
from probe.decide.levels import Combination, combination
from probe.errors import ProbeError, UsageError
from probe.study import designs
from probe.study.decontamination import study_draws
from probe.study.observations import Observations, Targets, observations, targets
from probe.study.ranking import benchmark_arrays, known_study
from probe.study.run import SEED_STRIDE, plan_probes
from probe.workspace import Workspace
from sources.canonical import content_hash
from sources.mixture import Mixture

if TYPE_CHECKING:
    from db.store import Store
    from probe.decide.confirm import Confirmation
    from probe.decide.search import Optimum
    from probe.decide.surrogates import Choice

CANDIDATE = "optimum"
SMALLEST_CONFIRMED_SHARE = 1e-6
MIN_RUNS = 6


@dataclass(frozen=True, slots=True)
class OptimizeRequest:
    """What the user asked for. `budget` is that of the full-scale run the manifest is for; 0 means the study's own."""

    study: str = "main"
    sources: tuple[str, ...] = ()
    unit: BudgetUnit | None = None
    budget: int = 0
    objective: tuple[tuple[str, float], ...] = ()  # capability -> weight; empty: equal
    epoch_cap: float = 4.0
    least: tuple[tuple[str, float], ...] = ()
    greatest: tuple[tuple[str, float], ...] = ()
    trials: int = 150
    seed: int = 0
    seeds: int = 3
    confirm: bool = True
    level: float = 0.90


@dataclass(frozen=True, slots=True)
class Search:
    """A finished search: what it was asked and found, what it was fitted to, and what a reader must know of it."""

    study: StudyRecord
    request: OptimizeRequest
    seen: Observations
    objective: Combination  # searched, predicted and confirmed in the same units
    fitted: Targets
    optimum: Optimum
    unit: BudgetUnit
    budget: int
    surrogate: Choice
    notes: tuple[str, ...] = ()

    def mixture(self) -> Mixture:
        """Return the mixture that was found."""
        return Mixture.of(self.optimum.shares())


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


def search(store: Store, request: OptimizeRequest, progress: Callable[[int, int], None] | None = None) -> Search:
    """Fit the surrogates that predict held-out runs best, one set a capability, to the study's trained mixtures; search the simplex.

    Raises:
        ProbeError: too few mixtures were trained, or no mixture keeps the bounds.
    """
    from probe.decide.search import SearchSettings, search_mixture
    from probe.decide.simplex import ShareBounds
    from probe.decide.surrogates import fit_objective

    study = known_study(store, request.study)
    seen = observations(store, study)
    seen = seen.subset(_chosen_sources(request, seen))
    if len(seen.arms) < max(MIN_RUNS, len(seen.sources) + 2):
        raise ProbeError(
            f"only {len(seen.arms)} mixtures of these {len(seen.sources)} sources were trained, too few to search: "
            f"probe run --study {study.name} --design swarm {' '.join('--source ' + s for s in seen.sources)}."
            + (f" Not scored on every benchmark yet: {', '.join(seen.unscored)}." if seen.unscored else "")
        )
    objective = combination(seen.parts, range(len(seen.arms)), _capability_weights(request, seen))
    fitted = targets(seen, objective)
    unit, budget = request.unit or study.budget_unit, request.budget or study.budget
    usable = _usable(store, study, seen.sources, unit)
    try:
        bounds = ShareBounds.of(
            len(seen.sources),
            least=_per_source(request.least, seen.sources, 0.0),
            greatest=_per_source(request.greatest, seen.sources, 1.0),
            usable=list(usable.values()),
            budget=budget,
            epoch_cap=request.epoch_cap,
        )
    except ValueError as error:
        raise ProbeError(f"{error}.") from None
    surface, choice = fit_objective(seen.weights, fitted.values, fitted.noise, fitted.weights, seed=request.seed, level=request.level)
    base = [study.base.weights().get(slug, 0.0) for slug in seen.sources]
    optimum = search_mixture(
        surface,
        seen.sources,
        base if sum(base) > 0 else list(usable.values()),
        bounds,
        usable=list(usable.values()),
        observed=seen.weights,
        settings=SearchSettings(trials=request.trials, seed=request.seed, level=request.level),
        n=fitted.n_items,
        progress=progress,
    )
    return Search(study, request, seen, objective, fitted, optimum, unit, budget, choice, tuple(_notes(study, seen)))


def _notes(study: StudyRecord, seen: Observations) -> Iterator[str]:
    from probe.decide.study_warnings import ceiling_notes

    yield from (f"benchmark {name} is left out of the objective: no probe is scored on it" for name in seen.left_out)
    yield from ceiling_notes(seen.parts)
    if seen.unscored:
        yield f"not used by the search, because they are not scored on every benchmark: {', '.join(seen.unscored)}"
    others = [slug for slug in study.base.weights() if slug not in seen.sources]
    covered = math.fsum(share for slug, share in study.base.shares if slug in seen.sources)
    if others and covered > 0:
        yield f"the baseline 'base' is the base mixture without {', '.join(others)}: the {covered:.0%} that remain were brought to 100%"
    elif others:
        yield "the base mixture holds none of these sources: the baseline 'base' is proportional to usable rows instead"


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


def _chosen_sources(request: OptimizeRequest, seen: Observations) -> tuple[str, ...]:
    unknown = [slug for slug in request.sources if slug not in seen.sources]
    if unknown:
        raise ProbeError(f"{', '.join(unknown)} was not trained in study {request.study!r}; it has {', '.join(seen.sources)}.")
    return tuple(sorted(request.sources)) or seen.sources


def _capability_weights(request: OptimizeRequest, seen: Observations) -> dict[str, float]:
    given = dict(request.objective)
    unknown = [name for name in given if name not in seen.capabilities]
    if unknown:
        raise UsageError(f"no benchmark here has the capability {', '.join(unknown)}; there are {', '.join(seen.capabilities)}.")
    weights = given or dict.fromkeys(seen.capabilities, 1.0)
    total = math.fsum(weights.values())
    if total <= 0 or any(weight < 0 for weight in weights.values()):
        raise UsageError("the objective's weights must not be negative, and one must be positive.")
    return weights


def _usable(store: Store, study: StudyRecord, sources: Sequence[str], unit: BudgetUnit) -> dict[str, float]:
    """Return what each source holds in the budget's unit; tokens by the mean of its probes."""
    rows = {}
    for slug in sources:
        record = store.source(slug)
        rows[slug] = float(record.usable if record else 0)
    if unit is BudgetUnit.SAMPLES:
        return rows
    per_row = tokens_per_row(store, study, sources)
    return {slug: rows[slug] * per_row[slug] for slug in sources}


def tokens_per_row(store: Store, study: StudyRecord, sources: Sequence[str]) -> dict[str, float]:
    """Return each source's mean tokens a row, from its own probes, else from all probes of the study."""
    probes = [probe for probe in store.probes(study.name) if probe.rows]
    everything = sum(p.tokens for p in probes) / max(1, sum(p.rows for p in probes))
    means = {}
    for slug in sources:
        own = [p for p in probes if p.arm == slug]
        means[slug] = sum(p.tokens for p in own) / sum(p.rows for p in own) if own else everything
    return means


def _per_source(given: Sequence[tuple[str, float]], sources: Sequence[str], default: float) -> list[float]:
    unknown = [slug for slug, _ in given if slug not in sources]
    if unknown:
        raise UsageError(f"no such source in this search: {', '.join(unknown)}; there are {', '.join(sources)}.")
    return [dict(given).get(slug, default) for slug in sources]


def _mixture(weights: Mapping[str, float]) -> Mixture:
    return Mixture.of({slug: weight for slug, weight in weights.items() if weight > SMALLEST_CONFIRMED_SHARE})
