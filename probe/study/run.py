"""`probe run`: from a question to finished probes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import sub
from pathlib import Path
from typing import TYPE_CHECKING, Any

from db.values import (
    Arm,
    ArmRole,
    BenchmarkRecord,
    BudgetUnit,
    Design,
    PlannedProbe,
    ProbeState,
    SourceRecord,
    StudyPlan,
    StudyProgress,
    StudyRecord,
)
from probe.errors import ProbeError, UsageError
from probe.study import designs
from probe.study.contamination import shared_images
from probe.study.decontamination import readable, study_draws
from probe.study.draws import Draws
from probe.study.local import LocalExecutor
from probe.study.novelty import novelty_notes
from probe.study.registry import benchmark_record, check_halves, default_benchmarks, find_benchmark, find_source, rescored, source_record
from probe.workspace import Workspace
from proxy_training.jobs import EngineSettings, ProxySpec, Recipe
from proxy_training.proxies import proxy_spec, proxy_warning
from sources.mixture import Mixture
from sources.spec import SourceSpec

if TYPE_CHECKING:
    from db.store import Store

DEFAULT_ADD_SHARE = 0.2
DEFAULT_SEEDS = 3
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
    seeds: int | None = None
    benchmarks: tuple[str, ...] = ()
    add_share: float | None = None
    mixtures: int = 12
    recipe_changes: tuple[tuple[str, Any], ...] = ()
    device: str | None = None  # where a new study's precision is measured
    keep_contaminated: bool = False  # train on rows that hold a benchmark's items too

    def slugs(self) -> tuple[str, ...]:
        """Return the sources that it names, those of its base mixture too."""
        return tuple(dict.fromkeys((*self.sources, *(self.base.weights() if self.base else ()))))


Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Planned:
    """A run that is worked out and not stored yet, how many of its probes are new, and what its study then holds."""

    plan: StudyPlan
    new: int
    study_arms: int  # of the study, with these
    study_probes: int
    done: int
    saved: int = 0  # adapters of the study that new benchmarks will be scored on
    new_benchmarks: tuple[str, ...] = ()  # with those whose scorer is another one now
    notes: tuple[str, ...] = ()  # for the study: what was chosen for it and why, and what to know of its data


def plan_run(workspace: Workspace, request: RunRequest, say: Say) -> Planned:
    """Work out what a run uses and asks. Nothing is stored and nothing is trained: `store_plan` does the one, `execute` the other.

    Raises:
        ProbeError, SourceError, StoreError: something cannot be used; the message holds the cure.
    """
    with workspace.look() as store:
        known = store.study(request.study)
        if known is not None:
            _check_same(known, request)
        draft, chosen = (known, ()) if known else _draft(request)
        # Every source is looked up before anything is read: one that is not here is what the user mends first.
        specs = {slug: find_source(store, slug) for slug in (*request.sources, *draft.base.weights())}
        benchmarks = _benchmarks(store, known, request)
        if known is None and not request.keep_contaminated:
            clean_of, unread = readable(benchmarks)
            draft, chosen = replace(draft, clean_of=clean_of), (*chosen, *unread)
        draws = study_draws(store, draft, workspace.indexes, lambda slug: specs.get(slug) or find_source(store, slug))
        sources = tuple(_source(draws, spec, say) for spec in specs.values())
        study = draft if draft.base.shares else replace(draft, base=designs.proportional({slug: draws.pool(slug).usable for slug in specs}))
        seeds = request.seeds or _own_seeds(store, known, _design(study, request))
        arms, repeats = _arms(study, request, seeds, store.arms(study.name) if known else ())
        probes = plan_probes(draws, arms, range(seeds), say, repeats)
        plan = StudyPlan(study, sources, benchmarks, tuple(arms), tuple(probes))
        planned = _planned(store, plan, known is not None)
        trained = [arm for arm in store.arms(study.name) if planned.new_benchmarks] if known else []
        asks_anew = planned.new or planned.new_benchmarks
        shared = shared_images(draws, [*arms, *trained], benchmarks) if asks_anew else ()
        seen = novelty_notes(study.proxy, specs.values()) if asks_anew else ()
        notes = (*chosen, *shared, *seen)
        for told in notes:
            say(told)
        return replace(planned, notes=notes)


def _planned(store: Store, plan: StudyPlan, known: bool) -> Planned:
    """Compare a plan with what its study holds already."""
    name = plan.study.name
    held = store.probes(name) if known else ()
    arms = {arm.name for arm in (*plan.arms, *(store.arms(name) if known else ()))}
    done = [probe for probe in held if probe.state is ProbeState.DONE]
    own = {record.spec.name: record.fingerprint for record in store.study_benchmarks(name)} if known else {}
    new = store.check_plan(plan)
    return Planned(
        plan,
        new,
        study_arms=len(arms),
        study_probes=len(held) + new,
        done=len(done),
        saved=len({probe.training_id for probe in done if probe.rows}),
        new_benchmarks=tuple(r.spec.name for r in plan.benchmarks if known and own.get(r.spec.name) != r.fingerprint),
    )


def store_plan(workspace: Workspace, planned: Planned) -> None:
    """Write a plan into the store, in one transaction.

    Raises:
        StoreError: it contradicts what somebody stored since it was made.
    """
    with workspace.open_store() as store:
        store.put_plan(planned.plan)
        name = planned.plan.study.name
        held = {note.text for note in store.notes(name)}
        for note in planned.notes:
            if note not in held:
                store.add_note(name, note, "probe")


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
            probes.append(PlannedProbe(arm.name, repeat, repeat, drawn.training.training_id(), drawn.rows, drawn.tokens, drawn.overlap))
        overlap = max((p.overlap for p in probes if p.arm == arm.name), default=0.0)
        if overlap > designs.MOST_OVERLAP:
            say(f"{arm.name}: small for this budget, so two repeats have about {overlap:.0%} of their rows in common.")
    return probes


def execute(
    workspace: Workspace, study: str, workers: int, settings: EngineSettings, on_progress: Callable[[StudyProgress], None]
) -> StudyProgress:
    """Run what waits in a study on this machine."""
    return LocalExecutor(workspace, study, workers, settings).run(on_progress)


def _draft(request: RunRequest) -> tuple[StudyRecord, tuple[str, ...]]:
    """Return a new study, whose base mixture is still empty where the user gave none, and what to know of it: what was chosen and why."""
    if not request.sources and request.base is None:
        raise UsageError("name at least one source: probe run --source S.")
    proxy = proxy_spec(request.proxy or "tiny")
    unit, budget = _budget(request, proxy)
    recipe, note = _recipe(request, proxy)
    study = StudyRecord(
        name=request.study,
        proxy=proxy,
        recipe=recipe,
        base=request.base or Mixture(()),
        base_given=request.base is not None,
        budget_unit=unit,
        budget=budget,
        add_share=DEFAULT_ADD_SHARE if request.add_share is None else request.add_share,
    )
    return study, tuple(filter(None, (proxy_warning(proxy), note)))


def _recipe(request: RunRequest, proxy: ProxySpec) -> tuple[Recipe, str]:
    """Return a new study's recipe; where nobody named its precision, as a measurement proposes, with the reason."""
    from proxy_training.precision import propose_precision

    changes = dict(request.recipe_changes)
    if proxy.fixed_precision or "precision" in changes:
        return replace(proxy.recipe, **changes), ""
    proposal = propose_precision(Path(proxy.path), request.device)
    note = f"Precision {proposal.precision.value}, as measured: {proposal.reason}. Fixed for this study; --precision chooses another."
    return replace(proxy.recipe, **changes | {"precision": proposal.precision}), note


def _budget(request: RunRequest, proxy: ProxySpec) -> tuple[BudgetUnit, int]:
    if request.samples is not None and request.tokens is not None:
        raise UsageError("give --samples or --tokens, not both.")
    if request.samples is not None:
        unit, budget = BudgetUnit.SAMPLES, request.samples
    elif request.tokens is not None or proxy.default_tokens:
        unit, budget = BudgetUnit.TOKENS, proxy.default_tokens if request.tokens is None else request.tokens
    else:
        unit, budget = BudgetUnit.SAMPLES, proxy.default_samples
    if budget <= 0:
        raise UsageError(f"a budget of {budget} {unit.value} trains nothing: give --samples or --tokens of at least 1.")
    return unit, budget


def _benchmarks(store: Store, known: StudyRecord | None, request: RunRequest) -> tuple[BenchmarkRecord, ...]:
    """Return all that the study will read: its own, and those asked for; those that are not registered are read."""
    own = {record.spec.name: rescored(record) for record in store.study_benchmarks(known.name)} if known else {}
    asked = request.benchmarks or (() if own else default_benchmarks(store, list(request.sources)))
    for name in asked:
        registered = store.benchmark(name)
        own[name] = rescored(registered) if registered else benchmark_record(find_benchmark(store, name))
    for record in own.values():
        check_halves(record)
    return tuple(own.values())


def _source(draws: Draws, spec: SourceSpec, say: Say) -> SourceRecord:
    pool = draws.pool(spec.slug)
    excluded = {problem.value: n for problem, n in pool.excluded.items()}
    if excluded:
        say(f"{spec.slug}: {sum(excluded.values())} rows excluded ({', '.join(f'{n} {p}' for p, n in sorted(excluded.items()))}).")
    return source_record(spec, pool.whole())


def _check_same(study: StudyRecord, request: RunRequest) -> None:
    """Refuse options that contradict a study that exists already."""
    differing = []
    if request.proxy is not None and proxy_spec(request.proxy).weights_hash != study.proxy.weights_hash:
        differing.append(f"proxy {study.proxy.name}")
    if request.samples is not None and (study.budget_unit, study.budget) != (BudgetUnit.SAMPLES, request.samples):
        differing.append(f"budget of {study.budget} {study.budget_unit.value}")
    if request.tokens is not None and (study.budget_unit, study.budget) != (BudgetUnit.TOKENS, request.tokens):
        differing.append(f"budget of {study.budget} {study.budget_unit.value}")
    if request.add_share is not None and request.add_share != study.add_share:
        differing.append(f"add-one share of {study.add_share:g}")
    if request.base is not None and request.base != study.base:
        differing.append("base mixture")
    if request.recipe_changes and replace(study.recipe, **dict(request.recipe_changes)) != study.recipe:
        differing.append("recipe")
    if request.keep_contaminated and study.clean_of:
        differing.append("rule for contaminated rows (they are excluded)")
    if differing:
        raise ProbeError(f"study {study.name!r} has another {' and '.join(differing)}: use another --study, or leave those options out.")


def _design(study: StudyRecord, request: RunRequest) -> Design:
    return request.design or (Design.ADD_ONE if study.base_given else Design.SOLO)


def _own_seeds(store: Store, known: StudyRecord | None, design: Design) -> int:
    """Return how many repeats a study has of a design, else of what it trained; three for a new one."""
    if known is None:
        return DEFAULT_SEEDS
    designs_of = {arm.name: arm.design for arm in store.arms(known.name) if arm.role not in (ArmRole.UNTRAINED, ArmRole.CONFIRM)}
    repeats = [(designs_of[probe.arm], probe.repeat + 1) for probe in store.probes(known.name) if probe.arm in designs_of]
    own = [count for of, count in repeats if of is design]
    return max(own or [count for _, count in repeats], default=DEFAULT_SEEDS)


def _arms(study: StudyRecord, request: RunRequest, seeds: int, known: Sequence[Arm]) -> tuple[list[Arm], dict[str, int]]:
    """Return the arms that a request needs, and those of them that get other repeats than the request's."""
    design = _design(study, request)
    if design is Design.SOLO:
        return [designs.untrained_arm(), *designs.solo_arms(request.sources)], {}
    if design is Design.ADD_ONE:
        added = designs.add_one_arms(request.sources, study.base, study.add_share)
        return [designs.untrained_arm(), designs.base_arm(study.base), *added], {}
    swarm = _swarm(study, request, seeds, known)
    return [designs.untrained_arm(), *(arm for arm, _ in swarm)], {arm.name: repeats for arm, repeats in swarm}


def _swarm(study: StudyRecord, request: RunRequest, seeds: int, known: Sequence[Arm]) -> list[tuple[Arm, int]]:
    """Return the swarm of the sources asked for, and how many repeats each mixture gets; the study's mixtures of these come first."""
    from probe.decide.swarm import SAME, swarm_mixtures

    if not request.sources:
        raise UsageError("name the sources to mix: probe run --design swarm --source S --source T.")
    sources = list(dict.fromkeys(request.sources))
    base = study.base.weights()
    weights = [base.get(slug, 0.0) for slug in sources]
    start = weights if sum(weights) > 0 else [1.0] * len(weights)
    trained = [arm for arm in known if arm.role is ArmRole.MIXTURE and set(arm.curriculum.sources()) <= set(sources)]
    shares = [[arm.curriculum.phases[0].mixture.weights().get(slug, 0.0) for slug in sources] for arm in trained]
    points = swarm_mixtures(sources, request.mixtures, 0, start, repeats=seeds, existing=shares)
    swarm = []
    for point in points:
        same = (arm for arm, own in zip(trained, shares, strict=True) if max(map(abs, map(sub, own, point.shares))) <= SAME)
        arm = next(same, None) or designs.swarm_arms([Mixture.of(dict(zip(sources, point.shares, strict=True)))])[0]
        swarm.append((arm, point.repeats))
    return swarm
