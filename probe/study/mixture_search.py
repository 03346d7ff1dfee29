"""`probe optimize`, the search: surrogates fitted to what was trained, and the best mixture on them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from db.values import BudgetUnit, StudyRecord
from probe.decide.levels import BenchmarkPanel, Combination, combination
from probe.errors import ProbeError, UsageError
from probe.study.baselines import Against, confirmation_list, source_verdicts
from probe.study.constraints import Constraints, Setting, licence_notes, prior_shares, region_of
from probe.study.observations import Observations, Targets, observations, run_variance, targets
from probe.study.ranking import known_study
from sources.mixture import Mixture
from sources.spec import Licence

if TYPE_CHECKING:
    from db.store import Store
    from probe.decide.flat_optimum import FlatOptimum
    from probe.decide.region import Region
    from probe.decide.search import Optimum
    from probe.decide.surrogates import Choice, Objective, Surrogate
    from probe.study.merged_search import Merge, Merging

Floats = NDArray[np.float64]
MIN_RUNS = 6


@dataclass(frozen=True, slots=True)
class OptimizeRequest:
    """What the user asked for. `budget` is that of the full-scale run the manifest is for; 0 means the study's own."""

    study: str = "main"
    sources: tuple[str, ...] = ()
    unit: BudgetUnit | None = None
    budget: int = 0
    objective: tuple[tuple[str, float], ...] = ()  # capability -> weight; empty: equal
    constraints: Constraints = field(default_factory=Constraints)
    trials: int = 150
    seed: int = 0
    seeds: int = 3
    confirm: bool = True
    level: float = 0.90
    against: Against = field(default_factory=Against)
    outside: tuple[str, ...] = ()  # benchmarks that are no part of the objective
    curriculum: bool | None = None  # whether tested orders of phases may be chosen; None: where there are any


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """What a study's runs say and what is asked: the fitted objective, each capability by itself, and the mixtures that are allowed.

    `surrogate` says how well the surface predicts. `setting` and `region` are the sources' in the order of `seen.sources`.
    """

    study: StudyRecord
    request: OptimizeRequest
    seen: Observations
    objective: Combination  # searched, predicted and confirmed in the same units
    fitted: Targets
    unit: BudgetUnit
    budget: int
    surrogate: Choice
    surface: Objective
    capabilities: Mapping[str, Objective]
    setting: Setting
    region: Region
    notes: tuple[str, ...] = ()
    merging: Merging | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Search(Fit):
    """A finished search: the mixture that was found, and how far one can move from it at no measurable loss."""

    optimum: Optimum = field(kw_only=True)
    flat: FlatOptimum = field(kw_only=True)

    def mixture(self) -> Mixture:
        """Return the mixture that was found."""
        return Mixture.of(self.optimum.shares())


def search(
    store: Store, request: OptimizeRequest, progress: Callable[[int, int], None] | None = None, merge: Merge | None = None
) -> Search:
    """Fit the surrogates that predict held-out runs best, one set a capability, to the study's trained mixtures; search the simplex.

    `merge` scores merged adapters for one more surrogate, where it can.

    Raises:
        ProbeError: too few mixtures were trained, or no mixture keeps the constraints.
    """
    from probe.decide.baselines import against
    from probe.decide.search import SearchSettings, search_mixture

    fit = fit_runs(store, request, merge=merge)
    asked, setting = request.constraints, fit.setting
    try:
        optimum = search_mixture(
            fit.surface,
            setting.sources,
            setting.baseline(),
            fit.region,
            prior=prior_shares(asked.prior, setting),
            usable=list(setting.usable.values()),
            observed=fit.seen.weights,
            settings=SearchSettings(trials=request.trials, seed=request.seed, level=request.level, trust=asked.trust),
            n=fit.fitted.n_items,
            progress=progress,
        )
    except ValueError as error:
        raise ProbeError(f"{error}: loosen a floor.") from None
    rows, verdicts = _rows(store, fit.seen.sources), source_verdicts(store, fit.study)
    listed = confirmation_list(request.against, optimum.baselines, rows, setting.usable, verdicts, fit.study.name)
    known = {f.name: getattr(fit, f.name) for f in fields(fit)} | {"notes": (*fit.notes, *listed.notes)}
    return Search(**known, optimum=against(optimum, fit.surface, listed.shares, request.level), flat=_flat(fit, optimum))


def _flat(fit: Fit, optimum: Optimum) -> FlatOptimum:
    """Report how far one can move from the optimum at no loss that a confirmation could measure."""
    from probe.decide.flat_optimum import flat_optimum

    request = fit.request
    found = np.array([optimum.weights[slug].value for slug in fit.seen.sources])
    return flat_optimum(
        fit.surface,
        fit.seen.sources,
        found,
        fit.setting.baseline(),
        fit.region,
        measurable(fit),
        seeds=request.seeds,
        level=request.level,
        seed=request.seed,
        n=fit.fitted.n_items,
    )


def measurable(fit: Fit) -> float:
    """Return the least difference between two mixtures that a confirmation could measure.

    A run's noise is that of repeats, or the surface's estimate (at the base mixture) where there are none.
    """
    from probe.decide.flat_optimum import measurable_loss

    variance, df = run_variance(fit.seen, fit.objective)
    if not df:
        base = np.asarray(fit.setting.baseline(), dtype=np.float64)[None]
        variance, df = float(fit.surface.predict_run(base)[1][0] ** 2 - fit.surface.predict(base)[1][0] ** 2), math.inf
    return measurable_loss(max(variance, 0.0), df, fit.request.seeds, fit.request.level)


def fit_runs(store: Store, request: OptimizeRequest, also: Sequence[str] = (), merge: Merge | None = None) -> Fit:
    """Fit the surrogates to a study's trained mixtures, those of the capabilities in `also` too, and work out what is allowed.

    Raises:
        ProbeError: too few mixtures were trained, or no mixture keeps the constraints.
    """
    from probe.decide.surrogates import Objective, fit_objective

    study = known_study(store, request.study)
    seen = observations(store, study)
    seen = seen.subset(_chosen_sources(request, seen))
    if len(seen.arms) < max(MIN_RUNS, len(seen.sources) + 2):
        raise ProbeError(
            f"only {len(seen.arms)} mixtures of these {len(seen.sources)} sources were trained, too few to search: "
            f"probe run --study {study.name} --design swarm {' '.join('--source ' + s for s in seen.sources)}."
            + (f" Not scored on every benchmark yet: {', '.join(seen.unscored)}." if seen.unscored else "")
        )
    parts = _objective_parts(request, seen)
    objective = combination(parts, range(len(seen.arms)), _capability_weights(request, parts))
    fitted = targets(seen, objective)
    unit, budget = request.unit or study.budget_unit, request.budget or study.budget
    usable = _usable(store, study, _rows(store, seen.sources), unit)
    watched = _watched(seen, objective, [*(name for name, _ in request.constraints.floors), *also])
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
    names = [*fitted.capabilities, *(name for part in watched for name in part.capabilities)]
    surrogates = [*surface.surrogates, *_fitted_apart(seen, watched, request)]
    capabilities = {name: Objective([surrogate]) for name, surrogate in zip(names, surrogates, strict=True)}
    setting = Setting(
        seen.sources,
        usable,
        budget,
        [study.base.weights().get(slug, 0.0) for slug in seen.sources],
        _licences(store, seen.sources),
        dict(zip(names, surrogates, strict=True)),
    )
    notes = (*_notes(study, seen), *licence_notes(request.constraints.licences, setting))
    region = region_of(request.constraints, setting)
    return Fit(study, request, seen, objective, fitted, unit, budget, choice, surface, capabilities, setting, region, notes, merging)


def _watched(seen: Observations, objective: Combination, names: Sequence[str]) -> list[Targets]:
    """Return the targets of capabilities outside the objective, each in its own units."""
    unknown = [name for name in names if name not in seen.capabilities]
    if unknown:
        raise UsageError(f"no benchmark here has the capability {', '.join(unknown)}; there are {', '.join(seen.capabilities)}.")
    other = [name for name in dict.fromkeys(names) if name not in objective.capabilities()]
    return [targets(seen, combination(seen.parts, range(len(seen.arms)), {name: 1.0})) for name in other]


def _fitted_apart(seen: Observations, watched: Sequence[Targets], request: OptimizeRequest) -> Sequence[Surrogate]:
    """Fit surrogates to targets outside the objective."""
    from probe.decide.surrogates import fit_objective

    if not watched:
        return ()
    values, noise = np.hstack([part.values for part in watched]), np.hstack([part.noise for part in watched])
    return fit_objective(seen.weights, values, noise, [1 / values.shape[1]] * values.shape[1], seed=request.seed)[0].surrogates


def _licences(store: Store, sources: Sequence[str]) -> dict[str, Licence]:
    records = {slug: store.source(slug) for slug in sources}
    return {slug: record.spec.licence if record else Licence() for slug, record in records.items()}


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


def _objective_parts(request: OptimizeRequest, seen: Observations) -> list[BenchmarkPanel]:
    """Return the scored benchmarks that the objective may hold."""
    names = [part.name for part in seen.parts]
    unknown = [name for name in request.outside if name not in names]
    if unknown:
        raise UsageError(f"--outside {unknown[0]}: study {request.study!r} is not scored on it; it is on {', '.join(names)}.")
    kept = [part for part in seen.parts if part.name not in request.outside]
    if not kept:
        raise UsageError("--outside leaves no benchmark for the objective: name fewer.")
    return kept


def _capability_weights(request: OptimizeRequest, parts: Sequence[BenchmarkPanel]) -> dict[str, float]:
    given, capabilities = dict(request.objective), list(dict.fromkeys(part.capability for part in parts))
    unknown = [name for name in given if name not in capabilities]
    if unknown:
        raise UsageError(f"no benchmark here has the capability {', '.join(unknown)}; there are {', '.join(capabilities)}.")
    weights = given or dict.fromkeys(capabilities, 1.0)
    total = math.fsum(weights.values())
    if total <= 0 or any(weight < 0 for weight in weights.values()):
        raise UsageError("the objective's weights must not be negative, and one must be positive.")
    return weights


def _rows(store: Store, sources: Sequence[str]) -> dict[str, float]:
    """Return each source's usable rows."""
    records = {slug: store.source(slug) for slug in sources}
    return {slug: float(record.usable if record else 0) for slug, record in records.items()}


def _usable(store: Store, study: StudyRecord, rows: Mapping[str, float], unit: BudgetUnit) -> dict[str, float]:
    """Return what each source holds in the budget's unit; tokens by the mean of its probes."""
    if unit is BudgetUnit.SAMPLES:
        return dict(rows)
    per_row = tokens_per_row(store, study, tuple(rows))
    return {slug: rows[slug] * per_row[slug] for slug in rows}


def tokens_per_row(store: Store, study: StudyRecord, sources: Sequence[str]) -> dict[str, float]:
    """Return each source's mean tokens a row, from its own probes, else from all probes of the study."""
    probes = [probe for probe in store.probes(study.name) if probe.rows]
    everything = sum(p.tokens for p in probes) / max(1, sum(p.rows for p in probes))
    means = {}
    for slug in sources:
        own = [p for p in probes if p.arm == slug]
        means[slug] = sum(p.tokens for p in own) / sum(p.rows for p in own) if own else everything
    return means
