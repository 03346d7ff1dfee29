"""`probe run`: from a question to finished probes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from db.values import Arm, BudgetUnit, Design, PlannedProbe, StudyProgress, StudyRecord
from probe.errors import ProbeError, UsageError
from probe.study import designs
from probe.study.draws import Draws
from probe.study.local import LocalExecutor
from probe.study.registry import default_benchmarks, find_benchmark, find_source, register_benchmark, source_record
from probe.workspace import Workspace
from proxy_training.proxies import proxy_spec
from sources.mixture import Mixture

if TYPE_CHECKING:
    from db.store import Store

SEED_STRIDE = 1000  # a repeat's number is its seed; those of confirmation arms begin here, so they are fresh


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What the user asked for; None means the study's own, or the proxy's default for a new study."""

    sources: tuple[str, ...]
    study: str = "main"
    design: Design | None = None
    base: Mixture | None = None
    proxy: str | None = None
    samples: int | None = None
    tokens: int | None = None
    seeds: int = 3
    benchmarks: tuple[str, ...] = ()
    add_share: float = 0.2
    mixtures: int = 12
    recipe_changes: tuple[tuple[str, Any], ...] = ()


Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Planned:
    """A study with its arms planned: how many probes are new, and what the plan will take."""

    study: StudyRecord
    arms: tuple[Arm, ...]
    probes: tuple[PlannedProbe, ...]
    new: int


def plan_run(workspace: Workspace, request: RunRequest, say: Say) -> Planned:
    """Register what is used, create or extend the study, and plan its probes; nothing is trained.

    Raises:
        ProbeError, SourceError, StoreError: something cannot be used; the message holds the cure.
    """
    with workspace.open_store() as store:
        study = store.study(request.study) or _new_study(store, workspace, request, say)
        _check_same(study, request)
        draws = Draws(study, lambda slug: find_source(store, slug), workspace.indexes)
        _register_sources(store, draws, (*request.sources, *dict(study.base.shares)), say)
        for name in request.benchmarks:
            if store.benchmark(name) is None:
                register_benchmark(store, find_benchmark(store, name))
            store.add_study_benchmark(study.name, name)
        arms = _arms(study, request)
        store.add_arms(study.name, arms)
        probes = plan_probes(draws, arms, range(request.seeds), say, _swarm_repeats(study, request))
        new = store.plan_probes(study.name, probes)
        return Planned(study, tuple(arms), tuple(probes), new)


def plan_probes(draws: Draws, arms: Sequence[Arm], repeats: range, say: Say, fewer: Mapping[str, int] | None = None) -> list[PlannedProbe]:
    """Draw every arm's rows for every repeat, which gives each training its identity; a repeat's number is its seed.

    The untrained proxy has one repeat, and arms named in `fewer` have that many.
    """
    probes = []
    for arm in arms:
        own = repeats[: (fewer or {}).get(arm.name, len(repeats)) if arm.curriculum.phases else 1]
        for repeat in own:
            drawn = draws.draw(arm.curriculum, repeat)
            if arm.curriculum.phases and not drawn.rows:
                raise ProbeError(f"arm {arm.name!r} has no row to train on: raise the budget, or see `probe sources check`.")
            probes.append(
                PlannedProbe(arm.name, repeat, repeat, drawn.training.training_id(), drawn.rows, drawn.tokens, too_small=drawn.repeated)
            )
        small = [p for p in probes if p.arm == arm.name and p.too_small]
        if small:
            say(f"{arm.name}: smaller than the budget, so its rows repeat and its repeats share rows.")
    return probes


def execute(
    workspace: Workspace, study: str, workers: int, device: str | None, on_progress: Callable[[StudyProgress], None]
) -> StudyProgress:
    """Run what waits in a study on this machine."""
    return LocalExecutor(workspace, study, workers, device).run(on_progress)


def _new_study(store: Store, workspace: Workspace, request: RunRequest, say: Say) -> StudyRecord:
    proxy = proxy_spec(request.proxy or "tiny")
    recipe = replace(proxy.recipe, **dict(request.recipe_changes))
    if not request.sources and request.base is None:
        raise UsageError("name at least one source: probe run --source S.")
    benchmarks = list(request.benchmarks) or default_benchmarks(store, list(request.sources))
    for name in benchmarks:
        if store.benchmark(name) is None:
            register_benchmark(store, find_benchmark(store, name))
    unit, budget = _budget(request, proxy.default_samples, proxy.default_tokens)
    draft = StudyRecord(
        name=request.study,
        proxy=proxy,
        recipe=recipe,
        base=Mixture.of(dict.fromkeys(request.sources or ("-",), 1.0)),
        base_given=request.base is not None,
        budget_unit=unit,
        budget=budget,
        add_share=request.add_share,
    )
    base = request.base or _proportional_base(store, Draws(draft, lambda s: find_source(store, s), workspace.indexes), request, say)
    study = replace(draft, base=base)
    store.create_study(study, benchmarks)
    return study


def _proportional_base(store: Store, draws: Draws, request: RunRequest, say: Say) -> Mixture:
    _register_sources(store, draws, request.sources, say)
    return designs.proportional({slug: draws.pool(slug).usable for slug in request.sources})


def _budget(request: RunRequest, default_samples: int, default_tokens: int) -> tuple[BudgetUnit, int]:
    if request.samples is not None and request.tokens is not None:
        raise UsageError("give --samples or --tokens, not both.")
    if request.samples is not None:
        return BudgetUnit.SAMPLES, request.samples
    return BudgetUnit.TOKENS, request.tokens or default_tokens


def _check_same(study: StudyRecord, request: RunRequest) -> None:
    """Refuse options that contradict a study that exists already."""
    differing = []
    if request.proxy is not None and proxy_spec(request.proxy).weights_hash != study.proxy.weights_hash:
        differing.append(f"proxy {study.proxy.name}")
    if request.samples is not None and (study.budget_unit, study.budget) != (BudgetUnit.SAMPLES, request.samples):
        differing.append(f"budget of {study.budget} {study.budget_unit.value}")
    if request.tokens is not None and (study.budget_unit, study.budget) != (BudgetUnit.TOKENS, request.tokens):
        differing.append(f"budget of {study.budget} {study.budget_unit.value}")
    if request.base is not None and request.base != study.base:
        differing.append("base mixture")
    if request.recipe_changes and replace(study.recipe, **dict(request.recipe_changes)) != study.recipe:
        differing.append("recipe")
    if differing:
        raise ProbeError(f"study {study.name!r} has another {' and '.join(differing)}: use another --study, or leave those options out.")


def _register_sources(store: Store, draws: Draws, slugs: Sequence[str], say: Say) -> None:
    for slug in dict.fromkeys(slugs):
        pool = draws.pool(slug)
        excluded = {problem.value: n for problem, n in pool.excluded.items()}
        known, now = store.source(slug), source_record(find_source(store, slug), pool)
        if known is None or replace(known, added_at="") != now:
            store.put_source(now)
        if excluded:
            say(f"{slug}: {sum(excluded.values())} rows excluded ({', '.join(f'{n} {p}' for p, n in sorted(excluded.items()))}).")


def _arms(study: StudyRecord, request: RunRequest) -> list[Arm]:
    design = request.design or (Design.ADD_ONE if study.base_given else Design.SOLO)
    if design is Design.SOLO:
        return [designs.untrained_arm(), *designs.solo_arms(request.sources)]
    if design is Design.ADD_ONE:
        return [designs.untrained_arm(), designs.base_arm(study.base), *designs.add_one_arms(request.sources, study.base, study.add_share)]
    return [designs.untrained_arm(), *designs.swarm_arms([mixture for mixture, _ in _swarm(study, request)])]


def _swarm(study: StudyRecord, request: RunRequest) -> list[tuple[Mixture, int]]:
    """Return the swarm's mixtures of the sources asked for, and how many repeats each gets."""
    from probe.decide.swarm import swarm_mixtures

    base = study.base.weights()
    weights = [base.get(slug, 0.0) for slug in request.sources]
    start = weights if sum(weights) > 0 else [1.0] * len(weights)
    points = swarm_mixtures(request.sources, request.mixtures, 0, start, repeats=request.seeds)
    return [(Mixture.of(dict(zip(request.sources, point.shares, strict=True))), point.repeats) for point in points]


def _swarm_repeats(study: StudyRecord, request: RunRequest) -> dict[str, int]:
    if request.design is not Design.SWARM:
        return {}
    return {f"swarm-{i:02d}": repeats for i, (_, repeats) in enumerate(_swarm(study, request))}
