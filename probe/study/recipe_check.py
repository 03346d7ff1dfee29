"""`probe proxies check`: a study's sources trained again at other learning rates and budgets, in studies of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from db.values import Arm, ArmRole, Design, ProbeState, Split, StudyPlan, StudyRecord
from probe.decide.levels import combination
from probe.decide.recipe_check import Cell, CellJudged, judge_recipe
from probe.decide.study_scores import BenchmarkArrays
from probe.errors import ProbeError
from probe.study.decontamination import study_draws
from probe.study.planned_probes import Say
from probe.study.ranking import known_study, study_scores
from probe.study.recorded_notes import RECIPE, record, recorded
from probe.study.run import plan_probes
from probe.workspace import Workspace
from sources.mixture import Curriculum, Mixture

if TYPE_CHECKING:
    from db.store import Store

FACTORS = (0.5, 1.0, 2.0)


@dataclass(frozen=True, slots=True)
class RecipePlan:
    """A grid: one study a learning rate, each with every source at every budget; and what it costs.

    `hours` are those of one process, at what the study's trainings took a row; NaN where that is not known.
    """

    study: StudyRecord
    sources: tuple[str, ...]
    plans: tuple[StudyPlan, ...]
    new: int
    hours: float


@dataclass(frozen=True, slots=True)
class RecipeCheck:
    """The judged grid, and what follows in sentences: whether the order of sources changes, and whether another rate is better."""

    study: str
    metric: str
    learning_rate: float
    sources: tuple[str, ...]
    cells: tuple[CellJudged, ...]
    said: tuple[str, ...]


def plan_check(workspace: Workspace, store: Store, study: str, sources: Sequence[str], seeds: int, say: Say) -> RecipePlan:
    """Work out the grid of a study's sources; trainings that the study has done itself are used again. Nothing is stored.

    Raises:
        ProbeError: there is no such study, it lacks a source, or has fewer than two.
    """
    record = known_study(store, study)
    trained = list(dict.fromkeys(slug for arm in store.arms(study) for slug in arm.curriculum.sources()))
    if strange := [slug for slug in sources if slug not in trained]:
        raise ProbeError(f"{', '.join(strange)} was not trained in study {study!r}; it has {', '.join(trained)}.")
    chosen = tuple(sorted(sources)) or tuple(sorted(trained))
    if len(chosen) < 2:
        raise ProbeError(f"study {study!r} has {len(chosen)} source, and an order needs two: probe run --study {study} --source S.")
    benchmarks = store.study_benchmarks(study)
    plans = []
    for factor in FACTORS:
        recipe = replace(record.recipe, learning_rate=record.recipe.learning_rate * factor)
        own = replace(record, name=study_name(study, factor), recipe=recipe, created_at="", revision=0)
        known = store.study(own.name)
        arms = tuple(_arm(record, slug, budget) for budget in FACTORS for slug in chosen)
        probes = plan_probes(study_draws(store, own, workspace.indexes), arms, range(seeds), say)
        plans.append(StudyPlan(known or own, (), benchmarks, arms, tuple(probes)))
    return _costed(store, record, chosen, tuple(plans))


def study_name(study: str, factor: float) -> str:
    """Return the name of the study that holds one learning rate of the grid."""
    return f"{study}-rate-x{factor:g}"


def store_check(store: Store, plan: RecipePlan) -> None:
    """Write a grid's studies into the store."""
    for one in plan.plans:
        store.put_plan(one)


def judged(store: Store, plan: RecipePlan) -> RecipeCheck:
    """Compare the grid's cells with the study's own recipe, on selection items.

    Raises:
        ProbeError: a probe of the grid is missing.
    """
    cells = [Cell(rate, budget) for rate in FACTORS for budget in FACTORS]
    scores = [study_scores(store, one.study, (ArmRole.SOURCE,), Split.SELECTION) for one in plan.plans]
    wanted = [arm.name for arm in plan.plans[0].arms]
    places = [[next(k for k, arm in enumerate(one.arms) if arm.name == name) for name in wanted] for one in scores]
    repeats = min(array.values.shape[2] for one in scores for array in one.benchmarks)
    arrays = [_joined([one.benchmarks[b] for one in scores], places, repeats) for b in range(len(scores[0].benchmarks))]
    every = list(range(len(cells) * len(plan.sources)))
    try:
        parts = [array.panel(every, []) for array in arrays if array.scored()]
        objective = combination(parts, every)
        found = judge_recipe(objective.panel(parts), cells, plan.sources)
    except ValueError as error:
        raise ProbeError(f"the grid cannot be compared: {error}; see `probe status`.") from None
    rate = plan.study.recipe.learning_rate
    return RecipeCheck(plan.study.name, objective.metric, rate, plan.sources, found, tuple(_said(found, rate, objective.metric)))


def keep_check(store: Store, found: RecipeCheck) -> None:
    """Write the answer on the study that was checked."""
    record(store, found.study, RECIPE, " ".join(found.said), found)


def kept_check(store: Store, study: str) -> tuple[RecipeCheck, str] | None:
    """Return the newest check of a study's recipe and when it was made; None where there is none."""
    return next(((found, note.created_at) for note, found in reversed(recorded(RecipeCheck, RECIPE, store.notes(study)))), None)


def _arm(study: StudyRecord, slug: str, factor: float) -> Arm:
    budget = max(1, round(study.budget * factor))
    curriculum = replace(Curriculum.static(Mixture.single(slug)), budget=budget)
    return Arm(f"{slug}@{budget}", ArmRole.SOURCE, Design.LADDER, curriculum, slug)


def _costed(store: Store, study: StudyRecord, sources: tuple[str, ...], plans: tuple[StudyPlan, ...]) -> RecipePlan:
    done = {p.training_id for one in store.studies() for p in store.probes(one.name) if p.state is ProbeState.DONE}
    new = {p.training_id: p.rows for plan in plans for p in plan.probes if p.training_id not in done}
    known = [p for p in store.probes(study.name) if p.state is ProbeState.DONE and p.rows]
    seconds = sum(p.wall_s for p in known)
    rows = sum(p.rows for p in known)
    return RecipePlan(study, sources, plans, len(new), seconds / rows * sum(new.values()) / 3600 if rows else math.nan)


def _joined(arrays: Sequence[BenchmarkArrays], places: Sequence[Sequence[int]], repeats: int) -> BenchmarkArrays:
    """Return the arrays of one benchmark in all studies as one, arm by arm."""
    values = [array.values[:, list(of)][:, :, :repeats] for array, of in zip(arrays, places, strict=True)]
    return replace(arrays[0], values=np.concatenate(values, axis=1))


def _said(found: Sequence[CellJudged], rate: float, metric: str) -> list[str]:
    return [_about_order(found), _about_rate(found, rate, metric)]


def _about_order(found: Sequence[CellJudged]) -> str:
    turned = [f"{a} and {b} at {one.cell.name()}" for one in found for a, b in one.reversed]
    if turned:
        return f"The order of sources depends on the recipe: beyond doubt turned round are {'; '.join(turned)}."
    told = [one.order for one in found if one.order.agreement is not None]
    worst = min(told, key=lambda one: one.agreement.value if one.agreement else 1.0, default=None)
    if worst is None or worst.agreement is None:
        return "No two sources change their order beyond doubt; too few of them are told apart for an agreement with an interval."
    shown = worst.agreement
    return (
        f"No two sources change their order beyond doubt; the recipe that agrees least ({worst.name}) orders {shown.value:.0%} "
        f"[{shown.low:.0%}, {shown.high:.0%}] of {worst.pairs} pairs as the study's does."
    )


def _about_rate(found: Sequence[CellJudged], rate: float, metric: str) -> str:
    same_cost = [one for one in found if one.cell.budget == 1.0]
    best = max(same_cost, key=lambda one: one.gain.value)
    figures = f"{best.gain.value:+.3f} [{best.gain.low:+.3f}, {best.gain.high:+.3f}] {metric}, mean over sources"
    other = f"{rate * best.cell.rate:g}"
    if best.better:
        return f"The learning rate {rate:g} is dominated: {other} scores {figures}, beyond doubt; use --learning-rate {other}."
    return f"The learning rate {rate:g} is not shown to be worse than another: at best {other} scores {figures}."
