"""`probe optimize`: search the mixture on what was trained, confirm it with fresh seeds on fresh items, write the manifest."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from db.values import Arm, ArmRole, BudgetUnit, Split, StudyPlan, StudyRecord
from probe.errors import ProbeError, UsageError
from probe.study import designs
from probe.study.draws import Draws
from probe.study.observations import Observations, observations
from probe.study.ranking import benchmark_arrays, known_study
from probe.study.registry import find_source
from probe.study.run import SEED_STRIDE, plan_probes
from probe.workspace import Workspace
from sources.canonical import content_hash
from sources.mixture import Mixture

if TYPE_CHECKING:
    from db.store import Store
    from probe.decide.confirm import Confirmation
    from probe.decide.search import Optimum

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
    """A finished search: what it was asked and found, and what it was fitted to."""

    study: StudyRecord
    request: OptimizeRequest
    seen: Observations
    objective: Mapping[str, float]
    optimum: Optimum
    unit: BudgetUnit
    budget: int

    def mixture(self) -> Mixture:
        """Return the mixture that was found."""
        return Mixture.of(self.optimum.shares())


def search(store: Store, request: OptimizeRequest, progress: Callable[[int, int], None] | None = None) -> Search:
    """Fit one Gaussian process a capability to the study's trained mixtures and search the simplex.

    Raises:
        ProbeError: too few mixtures were trained, or no mixture keeps the bounds.
    """
    from probe.decide.search import SearchSettings, search_mixture
    from probe.decide.simplex import ShareBounds
    from probe.decide.surrogate import GaussianProcess, Objective

    study = known_study(store, request.study)
    seen = observations(store, study)
    seen = seen.subset(_chosen_sources(request, seen))
    if len(seen.arms) < max(MIN_RUNS, len(seen.sources) + 2):
        raise ProbeError(
            f"only {len(seen.arms)} mixtures of these {len(seen.sources)} sources were trained, too few to search: "
            f"probe run --study {study.name} --design swarm {' '.join('--source ' + s for s in seen.sources)}."
        )
    objective = _objective(request, seen)
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
    used = [c for c, name in enumerate(seen.capabilities) if objective.get(name)]
    fitted = [GaussianProcess(seed=request.seed).fit(seen.weights, seen.targets[:, c], seen.noise[:, c]) for c in used]
    surface = Objective(fitted, [objective[seen.capabilities[c]] for c in used])
    base = [study.base.weights().get(slug, 0.0) for slug in seen.sources]
    optimum = search_mixture(
        surface,
        seen.sources,
        base if sum(base) > 0 else list(usable.values()),
        bounds,
        usable=list(usable.values()),
        observed=seen.weights,
        settings=SearchSettings(trials=request.trials, seed=request.seed, level=request.level),
        n=seen.n_items,
        progress=progress,
    )
    return Search(study, request, seen, objective, optimum, unit, budget)


def confirmation_arms(found: Search) -> dict[str, Arm]:
    """Return the candidate and its baselines as arms; a baseline that is the same mixture as another shares its trainings."""
    mixtures = {CANDIDATE: found.mixture()} | {name: _mixture(weights) for name, weights in found.optimum.baselines.items()}
    arms = {}
    for name, mixture in mixtures.items():
        arm = designs.confirm_arms({name: mixture})[0]
        arms[name] = Arm(f"{arm.name}/{content_hash(mixture)[:6]}", arm.role, arm.design, arm.curriculum)
    return arms


def plan_confirmation(workspace: Workspace, store: Store, found: Search, say: Callable[[str], None]) -> dict[str, Arm]:
    """Plan the candidate and every baseline with fresh seeds."""
    arms = confirmation_arms(found)
    draws = Draws(found.study, lambda slug: find_source(store, slug), workspace.indexes)
    repeats = range(SEED_STRIDE, SEED_STRIDE + found.request.seeds)
    probes = plan_probes(draws, list(arms.values()), repeats, say)
    store.put_plan(StudyPlan(found.study, (), store.study_benchmarks(found.study.name), tuple(arms.values()), tuple(probes)))
    return arms


def confirmation(store: Store, found: Search, arms: Mapping[str, Arm]) -> Confirmation | None:
    """Compare the candidate with every other mixture on confirmation items; None when no baseline differs from it.

    Raises:
        ProbeError: a confirmation probe is missing.
    """
    from probe.decide.confirm import confirm

    candidate = arms[CANDIDATE].curriculum
    others = [name for name, arm in arms.items() if arm.curriculum != candidate]
    if not others:
        return None
    names = [CANDIDATE, *others]
    records = store.study_benchmarks(found.study.name)
    arrays = []
    for record in records:
        if not found.objective.get(record.spec.capability):
            continue
        scores = store.scores(found.study.name, record.spec.name, (ArmRole.CONFIRM,))
        places = [next(i for i, arm in enumerate(scores.arms) if arm.name == arms[name].name) for name in names]
        fresh = [r for r, repeat in enumerate(scores.repeats) if SEED_STRIDE <= repeat < SEED_STRIDE + found.request.seeds]
        chosen = benchmark_arrays(scores, places, Split.CONFIRMATION)
        arrays.append(replace(chosen, values=chosen.values[:, :, fresh]))
    try:
        return confirm(names, arrays, CANDIDATE, level=found.request.level)
    except ValueError as error:
        raise ProbeError(f"the mixture cannot be confirmed: {error}; see `probe status`.") from None


def _chosen_sources(request: OptimizeRequest, seen: Observations) -> tuple[str, ...]:
    unknown = [slug for slug in request.sources if slug not in seen.sources]
    if unknown:
        raise ProbeError(f"{', '.join(unknown)} was not trained in study {request.study!r}; it has {', '.join(seen.sources)}.")
    return tuple(sorted(request.sources)) or seen.sources


def _objective(request: OptimizeRequest, seen: Observations) -> dict[str, float]:
    given = dict(request.objective)
    unknown = [name for name in given if name not in seen.capabilities]
    if unknown:
        raise UsageError(f"no benchmark here has the capability {', '.join(unknown)}; there are {', '.join(seen.capabilities)}.")
    weights = given or dict.fromkeys(seen.capabilities, 1.0)
    total = math.fsum(weights.values())
    if total <= 0 or any(weight < 0 for weight in weights.values()):
        raise UsageError("the objective's weights must not be negative, and one must be positive.")
    return {name: weight / total for name, weight in weights.items()}


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
