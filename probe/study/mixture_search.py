"""`probe optimize`, the search: surrogates fitted to what was trained, and the best mixture on them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from db.values import BudgetUnit, StudyRecord
from probe.decide.levels import Combination, combination
from probe.errors import ProbeError, UsageError
from probe.study.observations import Observations, Targets, observations, targets
from probe.study.ranking import known_study
from sources.mixture import Mixture

if TYPE_CHECKING:
    from db.store import Store
    from probe.decide.search import Optimum
    from probe.decide.surrogates import Choice
    from probe.study.merged_search import Merge, Merging

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
    merging: Merging | None = None

    def mixture(self) -> Mixture:
        """Return the mixture that was found."""
        return Mixture.of(self.optimum.shares())


def search(
    store: Store, request: OptimizeRequest, progress: Callable[[int, int], None] | None = None, merge: Merge | None = None
) -> Search:
    """Fit the surrogates that predict held-out runs best, one set a capability, to the study's trained mixtures; search the simplex.

    `merge` scores merged adapters for one more surrogate, where it can.

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
    merging = merge(store, study, seen, objective, fitted) if merge else None
    surface, choice = fit_objective(
        seen.weights,
        fitted.values,
        fitted.noise,
        fitted.weights,
        seed=request.seed,
        level=request.level,
        merged=merging.scores if merging else None,
    )
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
    return Search(study, request, seen, objective, fitted, optimum, unit, budget, choice, tuple(_notes(study, seen)), merging)


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
