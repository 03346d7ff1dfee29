"""`probe run`: from a question to finished probes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from db.values import BenchmarkRecord, ProbeState, SourceRecord, StudyPlan, StudyProgress, StudyRecord
from probe.study import designs
from probe.study.decontamination import readable, study_draws
from probe.study.draft import check_same, design_of, new_study, own_seeds
from probe.study.draws import Draws
from probe.study.items import BenchmarkReader
from probe.study.local import LocalExecutor
from probe.study.novelty import novelty_notes
from probe.study.planned_probes import SEED_STRIDE, Say, plan_probes
from probe.study.registry import benchmark_record, check_halves, default_benchmarks, find_benchmark, find_source, rescored, source_record
from probe.study.request import RunRequest
from probe.study.shared_images import shared_images
from probe.study.units import asked_units, base_with_parts, group_notes
from probe.workspace import Workspace
from proxy_training.jobs import EngineSettings
from sources.counted import counted
from sources.spec import SourceSpec

if TYPE_CHECKING:
    from db.store import Store

__all__ = ["SEED_STRIDE", "Planned", "RunRequest", "execute", "plan_probes", "plan_run", "store_plan"]


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
        request = request.renamed(lambda name: find_source(store, name).slug)
        known = store.study(request.study)
        if known is not None:
            check_same(known, request)
        draft, chosen = (known, ()) if known else new_study(request)
        # Every source is looked up before anything is read: one that is not here is what the user mends first.
        reader = BenchmarkReader()
        specs = {slug: find_source(store, slug) for slug in (*request.named(), *draft.base.weights())}
        benchmarks = _benchmarks(store, known, request, reader)
        if known is None and not request.keep_contaminated:
            clean_of, unread = readable(benchmarks, reader)
            draft, chosen = replace(draft, clean_of=clean_of), (*chosen, *unread)
        draws = study_draws(store, draft, workspace.indexes, lambda slug: specs.get(slug) or find_source(store, slug), reader)
        study = draft if draft.base.shares else replace(draft, base=designs.proportional({slug: draws.pool(slug).usable for slug in specs}))
        question, asked = _ask(store, study, request, draws, known)
        specs |= {slug: find_source(store, slug) for unit in question.units for slug in unit.slugs() if slug not in specs}
        sources = tuple(_source(draws, spec, say) for spec in specs.values())
        arms = [one.arm for one in asked]
        probes = plan_probes(draws, arms, range(question.seeds), say, {one.arm.name: one.repeats for one in asked if one.repeats})
        plan = StudyPlan(study, sources, benchmarks, tuple(arms), tuple(probes))
        planned = _planned(store, plan, known is not None)
        trained = [arm for arm in store.arms(study.name) if planned.new_benchmarks] if known else []
        asks_anew = planned.new or planned.new_benchmarks
        shared = shared_images(draws, [*arms, *trained], benchmarks, reader) if asks_anew else ()
        seen = novelty_notes(study.proxy, specs.values()) if asks_anew else ()
        notes = (*chosen, *(group_notes(question.units) if asks_anew else ()), *shared, *seen)
        for told in notes:
            say(told)
        return replace(planned, notes=notes)


def _ask(
    store: Store, study: StudyRecord, request: RunRequest, draws: Draws, known: StudyRecord | None
) -> tuple[designs.Question, Sequence[designs.AskedArm]]:
    """Return what a run asks of its study, and the arms that answer it."""
    design = design_of(study, request)
    units = asked_units(request, study.base, draws)
    seeds, arms = request.seeds or own_seeds(store, known, design), store.arms(study.name) if known else ()
    question = designs.Question(study, request, units, base_with_parts(study.base, units, draws), seeds, arms)
    return question, designs.DESIGNS[design](question)


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


def execute(
    workspace: Workspace,
    study: str,
    workers: int,
    settings: EngineSettings,
    on_progress: Callable[[StudyProgress], None],
    deadline: float | None = None,
) -> StudyProgress:
    """Run what waits in a study on this machine, until a time of `time.monotonic` at most."""
    return LocalExecutor(workspace, study, workers, settings, deadline).run(on_progress)


def _benchmarks(store: Store, known: StudyRecord | None, request: RunRequest, reader: BenchmarkReader) -> tuple[BenchmarkRecord, ...]:
    """Return all that the study will read: its own, and those asked for; those that are not registered are read."""
    own = {record.spec.name: rescored(record) for record in store.study_benchmarks(known.name)} if known else {}
    asked = request.benchmarks or (() if own else default_benchmarks(store, list(request.named())))
    for name in asked:
        registered = store.benchmark(name)
        own[name] = rescored(registered) if registered else benchmark_record(find_benchmark(store, name), reader)
    for record in own.values():
        check_halves(record)
    return tuple(own.values())


def _source(draws: Draws, spec: SourceSpec, say: Say) -> SourceRecord:
    pool = draws.pool(spec.slug)
    excluded = {problem.value: n for problem, n in pool.excluded.items()}
    if excluded:
        why = ", ".join(f"{n} {problem}" for problem, n in sorted(excluded.items()))
        say(f"{spec.slug}: {counted(sum(excluded.values()), 'row')} excluded ({why}).")
    return source_record(spec, pool.whole())
