"""The grid over learning rate and budget: what it says of planted answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from db.store import Store
from db.values import BenchmarkRecord, BudgetUnit, PlannedProbe, StudyPlan, StudyRecord
from probe.cli.recipe_check import check_json, kept_json, kept_line
from probe.study.recipe_check import FACTORS, RecipeCheck, RecipePlan, _arm, judged, keep_check, kept_check, store_check, study_name
from probe.study.recorded_notes import shown_text
from proxy_training.jobs import METRICS, Cost, ItemScores, JobResult, ProxySpec, Recipe
from sources.benchmark import BenchmarkSpec
from sources.mixture import Mixture

SOURCES = ("a", "b", "c", "d", "e", "f")
ITEMS, SEEDS = 120, 3


def grid(tmp_path: Path, truth) -> RecipeCheck:  # type: ignore[no-untyped-def]
    """Judge a finished grid whose scores are `truth(source, rate, budget)` and noise."""
    rng = np.random.default_rng(0)
    store = Store.open(tmp_path / "probe.db")
    groups, splits = np.arange(ITEMS, dtype=np.int32), np.arange(ITEMS, dtype=np.int8) % 2
    record = BenchmarkRecord(BenchmarkSpec("bench", "skill"), "f1", ITEMS, groups, splits, 0.25)
    store.put_benchmark(record)
    base = Mixture.of(dict.fromkeys(SOURCES, 1.0))
    study = StudyRecord("s", ProxySpec("p", "/p", "w", "idefics3"), Recipe(), base, False, BudgetUnit.SAMPLES, 100)
    plans = []
    for rate in FACTORS:
        own = replace(study, name=study_name("s", rate))
        arms = tuple(_arm(study, slug, budget) for budget in FACTORS for slug in SOURCES)
        probes = tuple(PlannedProbe(arm.name, r, r, f"{rate}-{arm.name}-{r}", 100, 1000) for arm in arms for r in range(SEEDS))
        plans.append(StudyPlan(own, (), (record,), arms, probes))
    plan = RecipePlan(study, SOURCES, tuple(plans), 0, 0.0)
    store_check(store, plan)
    seeds, items = rng.normal(0, 0.02, SEEDS), rng.normal(0, 0.05, ITEMS)
    for one, rate in zip(plan.plans, FACTORS, strict=True):
        arms = {arm.name: arm for arm in one.arms}
        while claim := store.claim("me", one.study.name, 60):
            arm = arms[claim.arm]
            known = truth(SOURCES.index(arm.source), rate, arm.curriculum.budget / 100)
            scores = np.full((len(METRICS), ITEMS), np.nan, np.float32)
            scores[:3] = known + seeds[claim.seed] + items + rng.normal(0, 0.004) + rng.normal(0, 0.03, ITEMS)
            assert store.finish(claim, JobResult(claim.training_id, (ItemScores("bench", "f1", scores, ITEMS),), cost=Cost(1.0, 1.0)))
    return judged(store, plan)


def test_a_recipe_that_decides_nothing_is_said_to_decide_nothing(tmp_path: Path) -> None:
    found = grid(tmp_path, lambda source, rate, budget: 0.4 + 0.05 * source + 0.02 * np.log2(budget))
    assert len(found.cells) == 8
    assert not any(one.reversed or one.better for one in found.cells)
    for one in found.cells:
        assert one.order.agreement is not None
        assert (one.order.agreement.value, one.order.pairs) == (1.0, 15)
        expected = 0.02 * np.log2(one.cell.budget)
        assert one.gain.low < expected < one.gain.high
    assert "No two sources change their order" in found.said[0]
    assert "is not shown to be worse" in found.said[1]


def test_a_rate_that_turns_the_order_is_named(tmp_path: Path) -> None:
    found = grid(tmp_path, lambda source, rate, budget: 0.5 + 0.04 * source * (-1 if rate == 2 else 1))
    turned = {one.cell.name(): one for one in found.cells if one.reversed}
    assert set(turned) == {"rate x2, budget x0.5", "rate x2, budget x1", "rate x2, budget x2"}
    assert all(len(one.reversed) == 15 for one in turned.values())
    assert all(one.order.rank is not None and one.order.rank.value == -1 for one in turned.values())
    assert "depends on the recipe" in found.said[0]
    assert check_json(found)["order_changes"] is True


def test_a_dominated_rate_is_named_with_the_better_one(tmp_path: Path) -> None:
    found = grid(tmp_path, lambda source, rate, budget: 0.4 + 0.03 * source + 0.05 * np.log2(rate))
    better = {(one.cell.rate, one.cell.budget) for one in found.cells if one.better}
    assert better == {(2.0, 1.0)}  # at another budget it costs something else
    assert f"dominated: {2 * Recipe().learning_rate:g} scores" in found.said[1]
    assert check_json(found)["dominated"] is True


@pytest.mark.parametrize("factor", FACTORS)
def test_the_budget_is_the_arms_own(factor: float) -> None:
    study = StudyRecord("s", ProxySpec("p", "/p", "w", "idefics3"), Recipe(), Mixture.single("a"), False, BudgetUnit.SAMPLES, 100)
    arm = _arm(study, "a", factor)
    assert (arm.name, arm.curriculum.budget) == (f"a@{round(100 * factor)}", round(100 * factor))


def test_an_answer_is_kept_with_its_study_once(tmp_path: Path) -> None:
    found = grid(tmp_path, lambda source, rate, budget: 0.4 + 0.03 * source)
    unknown = replace(found.cells[0], gain=replace(found.cells[0].gain, stderr=float("nan")))
    newer = replace(found, cells=(unknown, *found.cells[1:]), said=("one\nthing", "another"))
    with Store.open(tmp_path / "probe.db") as store:
        checked = store.study(study_name("s", 1.0))
        assert checked is not None
        store.put_plan(StudyPlan(replace(checked, name="s"), (), store.study_benchmarks(checked.name), (), ()))
        assert (kept_check(store, "s"), kept_line(store, "s"), kept_json(store, "s")) == (None, "", None)
        for _ in range(2):
            keep_check(store, found)
        (note,) = store.notes("s")
        assert kept_check(store, "s") == (found, note.created_at)
        assert shown_text(note) == " ".join(found.said)
        store.add_note("s", "somebody else's", note.author)
        assert kept_line(store, "s") == f"Recipe, checked with 6 sources on {note.created_at[:10]}: {' '.join(found.said)}"
        keep_check(store, newer)
        kept = kept_check(store, "s")
        assert kept is not None
        assert kept[0].cells[1:] == found.cells[1:]
        assert np.isnan(kept[0].cells[0].gain.stderr)
        assert shown_text(store.notes("s")[-1]) == "one thing another"
        told = kept_json(store, "s")
        assert told is not None
        assert told["checked_at"] == kept[1]
