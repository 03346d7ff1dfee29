"""What a chosen mixture is confirmed against, and what is seen beside the objective."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from known_world import ITEMS, SOURCES, World, searched_world

from db.store import Store
from db.values import BenchmarkRecord, BudgetUnit, PlannedProbe, StudyRecord, Verdict
from probe.cli.confirmation_options import against_of, outside_json, outside_lines
from probe.decide.baselines import capped, default_cap
from probe.errors import UsageError
from probe.manifest import manifest_lines, mixture_markdown, parse_manifest
from probe.manifest.write import manifest_json
from probe.study import designs
from probe.study.baselines import Against, confirmation_list, judged_sources, source_verdicts
from probe.study.confirmation import CANDIDATE, ConfirmationCost, confirmation, confirmation_plan
from probe.study.decision import make_manifest
from probe.study.designs import add_one, leave_one_out
from probe.study.designs.question import Question, Unit
from probe.study.mixture_search import OptimizeRequest, search
from probe.study.request import RunRequest
from probe.workspace import Workspace
from proxy_training.jobs import METRICS, ItemScores, ProxySpec, Recipe
from sources.benchmark import BenchmarkSpec
from sources.mixture import Mixture

ROWS = {"good": 900.0, "fine": 500.0, "noise": 400.0}
STANDING = {
    "base": {"good": 0.2, "fine": 0.3, "noise": 0.5},
    "uniform": dict.fromkeys(ROWS, 1 / 3),
    "proportional": {slug: rows / 1800 for slug, rows in ROWS.items()},
    "best_single": {"good": 1.0, "fine": 0.0, "noise": 0.0},
}


class WatchedWorld(World):
    """Beside the objective's benchmark one of another capability, on which `good` costs and `noise` is harmless."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        groups, splits = self.record.groups, self.record.splits
        store.put_benchmark(BenchmarkRecord(BenchmarkSpec("watched", "safety"), "f9", ITEMS, groups, splits, 0.25))
        store.add_study_benchmark("s", "watched")

    def scores(self, mixture: Mixture | None, seed: int) -> tuple[ItemScores, ...]:
        (choice,) = super().scores(mixture, seed)
        values = np.full((len(METRICS), ITEMS), np.nan, np.float32)
        good = mixture.weights().get("good", 0.0) if mixture else 0.0
        values[:3] = 0.9 - 0.5 * good + self.seeds[seed] + self.rng.normal(0, 0.005) + self.rng.normal(0, 0.05, ITEMS)
        return (choice, ItemScores("watched", "f9", values, ITEMS))


def of(asked: Against | None = None, verdicts: dict[str, Verdict] | None = None) -> dict[str, dict[str, float]]:
    listed = confirmation_list(asked or Against(), STANDING, ROWS, ROWS, verdicts or {}, "s")
    return {name: dict(shares) for name, shares in listed.shares.items()}


def test_the_list_holds_every_baseline() -> None:
    shares = of(verdicts={"noise": Verdict.HURTS, "good": Verdict.HELPS})
    assert list(shares) == ["base", "uniform", "uniform_without_hurts", "proportional", "capped", "best_single"]
    assert shares["uniform_without_hurts"] == {"good": 0.5, "fine": 0.5, "noise": 0.0}
    assert shares["capped"] == pytest.approx({"good": 500 / 1400, "fine": 500 / 1400, "noise": 400 / 1400})


@pytest.mark.parametrize(
    ("verdicts", "reason"),
    [
        ({}, "no source has a verdict yet"),
        ({"good": Verdict.NEUTRAL}, "no source is found to hurt"),
        (dict.fromkeys(ROWS, Verdict.HURTS), "every source is found to hurt"),
    ],
)
def test_uniform_without_hurts_is_left_out_with_the_reason(verdicts: dict[str, Verdict], reason: str) -> None:
    found = confirmation_list(Against(), STANDING, ROWS, ROWS, verdicts, "s")
    assert "uniform_without_hurts" not in found.shares
    assert any(reason in note for note in found.notes)
    quiet = confirmation_list(Against(leave_out=("uniform_without_hurts",)), STANDING, ROWS, ROWS, verdicts, "s")
    assert not any("uniform_without_hurts" in note for note in quiet.notes)


BASE = Mixture.of({"good": 0.2, "fine": 0.3, "noise": 0.5})
PARTS = Mixture.of({"good": 0.2, "fine": 0.3, "noise/a": 0.3, "noise/b": 0.2})  # the same, `noise` in its parts
GROUP = Unit("both", Mixture.of({"fine": 0.6, "noise": 0.4}))


@pytest.mark.parametrize(
    ("design", "unit", "base", "judged"),
    [
        (add_one, GROUP, BASE, {"fine", "noise"}),
        (add_one, Unit("noise", Mixture.single("noise")), BASE, {"noise"}),
        (add_one, Unit("new/part", Mixture.single("new/part")), BASE, {"new/part"}),
        (leave_one_out, GROUP, BASE, {"fine", "noise"}),
        (leave_one_out, Unit("noise", Mixture.single("noise")), BASE, {"noise"}),
        (leave_one_out, Unit("noise/a", Mixture.single("noise/a")), PARTS, {"noise/a"}),
    ],
)
def test_the_sources_that_an_arm_judges_are_read_off_its_mixture(design: ModuleType, unit: Unit, base: Mixture, judged: set[str]) -> None:
    proxy = ProxySpec("tiny", "", "f" * 32, "idefics3")
    study = StudyRecord("s", proxy, Recipe(), BASE, True, BudgetUnit.SAMPLES, 100)
    (arm,) = [asked.arm for asked in design.arms(Question(study, RunRequest(()), (unit,), base)) if asked.arm.source == unit.name]
    assert judged_sources(arm, BASE.weights(), study.add_share) == judged


def test_the_cap_cuts_rows_and_long_rows_keep_their_greater_share() -> None:
    assert default_cap(ROWS) == 500
    assert capped(ROWS, ROWS, 1000) == pytest.approx(STANDING["proportional"])  # no source is larger
    assert capped(ROWS, ROWS, 1) == pytest.approx(STANDING["uniform"])
    tokens = {"good": 900 * 30.0, "fine": 500 * 10.0, "noise": 400 * 10.0}
    assert capped(ROWS, tokens, 300) == pytest.approx({"good": 0.6, "fine": 0.2, "noise": 0.2})


def test_own_baselines_join_and_others_can_be_left_out() -> None:
    own = Mixture.of({"good": 0.7, "fine": 0.3})
    shares = of(Against(leave_out=("uniform", "capped"), own=(("mine", own),), cap=10))
    assert list(shares) == ["base", "proportional", "best_single", "mine"]
    assert shares["mine"] == {"good": 0.7, "fine": 0.3, "noise": 0.0}


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (Against(leave_out=("other",)), "no baseline 'other' to leave out"),
        (Against(own=(("base", Mixture.single("good")),)), "'base' is taken"),
        (Against(own=(("mine", Mixture.single("web")),)), "names web, which the search does not mix"),
        (Against(leave_out=("base", "uniform", "proportional", "capped", "best_single")), "every baseline is left out"),
    ],
)
def test_a_wrong_list_is_one_sentence(asked: Against, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        of(asked)


@pytest.mark.parametrize("text", ["mine", "mine=", "=a=1", "two words=a=1", "mine=a=0.4", "mine=a=x"])
def test_a_baseline_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        against_of({"baselines": (text,), "leave_out": (), "source_cap": None})


def test_verdicts_come_from_add_one_alone(tmp_path: Path) -> None:
    world = searched_world(Store.open(tmp_path / "probe.db"))
    assert source_verdicts(world.store, world.study) == {}
    world.finish(designs.add_one_arms(SOURCES, world.study.base, 0.3), range(3))
    study = world.store.study("s")
    assert study is not None
    assert source_verdicts(world.store, study)["noise"] is Verdict.HURTS
    found = search(world.store, OptimizeRequest(study="s", trials=30, budget=1000))
    assert found.optimum.baselines["uniform_without_hurts"]["noise"] == 0
    assert set(found.optimum.predicted_gain) == set(found.optimum.baselines)


def test_a_loss_outside_the_objective_is_told_and_changes_no_claim(tmp_path: Path) -> None:
    world = searched_world(Store.open(tmp_path / "probe.db"), WatchedWorld)
    found = search(world.store, OptimizeRequest(study="s", trials=30, budget=1000, objective=(("skill", 1.0),), seeds=4))
    assert found.optimum.shares()["good"] > 0.4
    plan = confirmation_plan(world.store, found)
    world.finish(list(plan.arms.values()), plan.repeats())
    result = confirmation(world.store, found, plan)
    assert result is not None
    assert result.metric == "right_probability"
    (watched,) = result.outside
    true_loss = 0.5 * (found.optimum.shares()["good"] - 0.2)
    assert watched.gains["base"].low < -true_loss < watched.gains["base"].high
    assert watched.lost["base"]
    assert not watched.lost["best_single"]  # all of it is `good`: there the mixture is better
    assert result.holds["base"]  # the objective's claim knows nothing of it
    doc = make_manifest(Workspace(tmp_path / "ws"), world.store, found, plan, result)
    assert any("watched, which the objective does not hold, the mixture is worse than base" in line for line in doc.warnings)
    again = parse_manifest(manifest_json(doc))
    assert again.outside == doc.outside
    assert [entry.name for entry in again.objective.benchmarks] == ["bench"]
    for text in ("\n".join(manifest_lines(again)), mixture_markdown(again), "\n".join(outside_lines(again))):
        assert "watched" in text
    assert outside_json(again)[0]["gain"]["base"]["lost"] is True


def test_a_benchmark_can_be_kept_out_of_the_objective(tmp_path: Path) -> None:
    world = searched_world(Store.open(tmp_path / "probe.db"), WatchedWorld)
    both = search(world.store, OptimizeRequest(study="s", trials=20, budget=1000))
    assert {term.benchmark for term in both.objective.terms} == {"bench", "watched"}
    one = search(world.store, OptimizeRequest(study="s", trials=20, budget=1000, outside=("watched",)))
    assert {term.benchmark for term in one.objective.terms} == {"bench"}
    with pytest.raises(UsageError, match="is not scored on it"):
        search(world.store, OptimizeRequest(study="s", outside=("other",)))
    with pytest.raises(UsageError, match="leaves no benchmark"):
        search(world.store, OptimizeRequest(study="s", outside=("bench", "watched")))


def test_equal_mixtures_are_one_arm_and_enter_the_statistics_once(tmp_path: Path) -> None:
    world = searched_world(Store.open(tmp_path / "probe.db"))
    twice = Against(own=(("mine", Mixture.of(dict.fromkeys(SOURCES, 1.0))), ("again", Mixture.of(dict.fromkeys(SOURCES, 2.0)))))
    found = search(world.store, OptimizeRequest(study="s", trials=30, budget=1000, against=twice))
    plan = confirmation_plan(world.store, found)
    assert plan.arms["uniform"] is plan.arms["mine"] is plan.arms["again"]
    world.finish(list(dict.fromkeys(plan.arms.values())), plan.repeats())
    result = confirmation(world.store, found, plan)
    assert result is not None
    assert result.gains["mine"] == result.gains["again"] == result.gains["uniform"]
    alone = search(world.store, OptimizeRequest(study="s", trials=30, budget=1000))
    without = confirmation(world.store, alone, confirmation_plan(world.store, alone))
    assert without is not None
    # A copy would look like two runs that agree exactly, and make every interval too narrow.
    assert {name: result.gains[name] for name in without.gains} == dict(without.gains)


def test_a_baseline_that_draws_the_candidates_rows_has_lost_nothing_and_won_nothing(tmp_path: Path) -> None:
    world = searched_world(Store.open(tmp_path / "probe.db"))
    found = search(world.store, OptimizeRequest(study="s", trials=30, budget=1000))
    shares = found.optimum.shares()
    first = next(iter(shares))
    near = Mixture.of(shares | {first: shares[first] + 1e-4})
    found = replace(
        found, optimum=replace(found.optimum, baselines={"near": near.weights(), "uniform": found.optimum.baselines["uniform"]})
    )
    plan = confirmation_plan(world.store, found)
    assert plan.arms["near"] != plan.arms[CANDIDATE]
    arms = list(plan.arms.values())
    world.store.add_arms("s", arms)
    draws = {"near": CANDIDATE}  # so near that the same rows are drawn
    planned = [
        PlannedProbe(arm.name, r, r, f"{draws.get(name, name)}-{r}", 1000, 30000) for name, arm in plan.arms.items() for r in plan.repeats()
    ]
    world.store.plan_probes("s", planned)
    world.finish(arms, range(0))
    result = confirmation(world.store, found, plan)
    assert result is not None
    assert (result.gains["near"].value, result.gains["near"].high, result.holds["near"]) == (0.0, 0.0, False)
    assert result.holds["uniform"]


def test_the_cost_is_told_before_it_is_spent() -> None:
    assert ConfirmationCost(5, 3, 12, 60.0).sentence(2) == (
        "5 mixtures x 3 fresh seeds = 15 trainings, 12 of them new: about 6 minutes at 60.0 s a training, as in this study so far"
    )
    assert ConfirmationCost(5, 3, 0, 60.0).sentence(2).endswith("0 of them new")
    assert ConfirmationCost(2, 3, 6, float("nan")).sentence(1).endswith("6 of them new")
    assert "about 2.0 hours" in ConfirmationCost(2, 3, 6, 1200.0).sentence(1)
