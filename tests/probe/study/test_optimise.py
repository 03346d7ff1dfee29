"""What the search is fitted to, and the whole decision on a store filled with known scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from known_world import SOURCES, MixedWorld, World, searched_world, truth

from db.store import Store
from db.values import Arm, ArmRole, Design, PlannedProbe
from probe.cli.optimize import optimize_json, surrogate_line
from probe.decide.levels import STANDARDISED, combination
from probe.errors import ProbeError, UsageError
from probe.manifest.write import manifest_json, parse_manifest
from probe.study import designs
from probe.study.base import parse_base
from probe.study.confirmation import CANDIDATE, SEED_STRIDE, confirmation, confirmation_arms, confirmation_plan
from probe.study.constraints import Constraints
from probe.study.decision import keep_manifest, make_manifest
from probe.study.mixture_search import OptimizeRequest, search
from probe.study.observations import observations, targets
from probe.study.ranking import computed_ranking, illustration_only, rank
from probe.workspace import Workspace
from sources.mixture import Curriculum, Mixture, Phase


@pytest.fixture
def world(tmp_path: Path) -> World:
    return searched_world(Store.open(tmp_path / "probe.db"))


def test_observations_are_means_without_the_seeds_common_shift(world: World) -> None:
    seen = observations(world.store, world.study)
    assert seen.sources == ("fine", "good", "noise")
    assert seen.capabilities == ("skill",)
    expected = [truth(Mixture.of(dict(zip(seen.sources, w, strict=True)))) for w in seen.weights]
    fitted = targets(seen, combination(seen.parts, range(len(seen.arms))))
    residual = fitted.values[:, 0] - np.array(expected)
    # Single-run arms all have seed 0: without the correction their residuals would be shifted by its effect.
    single = np.array([name.startswith("swarm") for name in seen.arms])
    assert abs(residual[single].mean() - residual[~single].mean()) < 0.01
    assert residual.std() < 0.02
    assert (fitted.noise[single] > 2.5 * fitted.noise[~single].max()).all()  # one run against the mean of three


def test_arms_of_another_budget_or_in_phases_are_no_observations(world: World) -> None:
    before = observations(world.store, world.study).arms
    rung = Arm("good@500", ArmRole.SOURCE, Design.LADDER, Curriculum((Phase(Mixture.single("good")),), 500), "good")
    halves = (Phase(Mixture.single("good"), 0.5), Phase(Mixture.single("fine"), 0.5))
    world.finish([rung, Arm("phases/staged", ArmRole.SOURCE, Design.PHASES, Curriculum(halves, 0, True), "phases/staged")], range(2))
    assert observations(world.store, world.study).arms == before


def test_decision_finds_the_known_optimum_and_confirms_it(world: World, tmp_path: Path) -> None:
    request = OptimizeRequest(study="s", trials=60, budget=1000, constraints=Constraints(epoch_cap=4))
    found = search(world.store, request)
    shares = found.optimum.shares()
    assert shares.get("noise", 0.0) < 0.05
    best = max(truth(Mixture.of({"good": g, "fine": 1 - g})) for g in np.linspace(0, 1, 101))
    assert best - truth(found.mixture()) < 0.02
    plan = confirmation_plan(world.store, found)
    assert plan.repeats() == range(SEED_STRIDE, SEED_STRIDE + 3)
    world.finish(list(plan.arms.values()), plan.repeats())
    result = confirmation(world.store, found, plan)
    assert result is not None
    true_gain = truth(found.mixture()) - truth(designs.uniform(SOURCES))
    assert result.gains["uniform"].low < true_gain < result.gains["uniform"].high
    assert result.holds["uniform"]
    assert result.holds["base"]
    doc = make_manifest(Workspace(tmp_path / "ws"), world.store, found, plan, result)
    workspace = Workspace(tmp_path / "ws")
    path = keep_manifest(workspace, world.store, doc)
    again = parse_manifest(path.read_text())
    assert again.hash == doc.hash
    assert sum(again.rows().values()) == 1000
    kept = world.store.manifest(doc.hash)
    assert kept is not None
    assert kept.json == path.read_text().rstrip("\n") or parse_manifest(kept.json).hash == doc.hash
    later = replace(doc, provenance=replace(doc.provenance, created_at="2099-01-01T00:00:00Z"))
    assert later.hash == doc.hash
    assert keep_manifest(workspace, world.store, later) == path  # the same decision made again: the first stays
    assert world.store.manifest(doc.hash) == kept
    assert parse_manifest(path.read_text()).provenance == doc.provenance
    assert {"python", "numpy", "torch"} <= set(doc.provenance.packages or {})
    assert "probe manifest verify" in doc.provenance.verify
    assert str(tmp_path) not in path.read_text()
    # The manifest serves as a base: its mixture comes back.
    assert parse_base(str(path)).weights().keys() == found.mixture().weights().keys()


def test_a_second_candidate_gets_seeds_of_its_own_and_the_looks_are_counted(world: World, tmp_path: Path) -> None:
    first = search(world.store, OptimizeRequest(study="s", trials=30, budget=1000))
    plan = confirmation_plan(world.store, first)
    assert (plan.first_seed, plan.earlier) == (SEED_STRIDE, 0)
    world.finish(list(plan.arms.values()), plan.repeats())
    assert confirmation_plan(world.store, first) == plan  # asked again, its runs are reused
    second = search(world.store, OptimizeRequest(study="s", trials=30, budget=1000, constraints=Constraints(greatest=(("good", 0.3),))))
    again = confirmation_plan(world.store, second)
    assert (again.first_seed, again.earlier) == (2 * SEED_STRIDE, 1)
    world.finish(list(again.arms.values()), again.repeats())
    doc = make_manifest(Workspace(tmp_path / "ws"), world.store, second, again, confirmation(world.store, second, again))
    assert doc.evidence.earlier_confirmations == 1
    assert any("looked at once before" in warning for warning in doc.warnings)
    assert not set(doc.evidence.confirmation) & {f"{arm.name}-{SEED_STRIDE}" for arm in again.arms.values()}


def test_leaving_sources_out_says_what_became_of_the_base(world: World) -> None:
    pairs = [Mixture.of({"good": share, "fine": 1 - share}) for share in (0.2, 0.4, 0.6, 0.8)]
    world.finish(designs.swarm_arms(pairs), range(1))
    found = search(world.store, OptimizeRequest(study="s", trials=30, sources=("good", "fine")))
    assert "the baseline 'base' is the base mixture without noise: the 50% that remain were brought to 100%" in found.notes
    assert found.optimum.baselines["base"] == pytest.approx({"good": 0.4, "fine": 0.6})


def test_a_study_of_single_repeats_gives_a_manifest(tmp_path: Path) -> None:
    world = World(Store.open(tmp_path / "probe.db"))
    points = [dict(zip(SOURCES, w, strict=True)) for w in np.random.default_rng(1).dirichlet(np.ones(3), 14)]
    world.finish([designs.untrained_arm(), *designs.solo_arms(SOURCES), *designs.swarm_arms([Mixture.of(p) for p in points])], range(1))
    assert np.isnan(rank(world.store, "s").noise_floor)
    found = search(world.store, OptimizeRequest(study="s", trials=30, budget=1000))
    doc = make_manifest(Workspace(tmp_path / "ws"), world.store, found, confirmation_plan(world.store, found), None)
    assert parse_manifest(manifest_json(doc)).study.noise_floor is None


def test_only_the_default_ranking_is_kept(world: World) -> None:
    world.finish([designs.untrained_arm()], range(1))
    kept = rank(world.store, "s")
    other = computed_ranking(world.store, "s", level=0.5, margin=0.3)
    assert other.level == 0.5
    assert world.store.ranking("s") == kept


def test_own_sources_with_a_builtin_family_name_are_still_an_illustration(world: World) -> None:
    bundled = replace(world.study, proxy=replace(world.study.proxy, illustration_only=True))
    assert illustration_only(world.store, bundled)
    for slug, own in (("world/all", False), ("world/mine", True)):
        study = replace(bundled, name=f"of {slug}")
        world.store.create_study(study, ["bench"])
        world.store.add_arms(study.name, designs.solo_arms([slug]))
        assert illustration_only(world.store, study) is own


def test_a_mixed_search_maximises_what_the_confirmation_measures(tmp_path: Path) -> None:
    """Choices reward `good`, free text punishes it twenty times as much in its raw unit: in units of noise the two agree again."""
    world = MixedWorld(Store.open(tmp_path / "probe.db"))
    points = [dict(zip(SOURCES, w, strict=True)) for w in np.random.default_rng(1).dirichlet(np.ones(3), 14)]
    world.finish(designs.solo_arms(SOURCES), range(3))
    world.finish(designs.swarm_arms([Mixture.of(p) for p in points]), range(1))
    found = search(world.store, OptimizeRequest(study="s", trials=30, budget=1000))
    assert found.objective.metric == STANDARDISED
    units = {term.benchmark: term.unit for term in found.objective.terms}
    assert units["text"] > 5 * units["bench"]
    plan = confirmation_plan(world.store, found)
    world.finish(list(plan.arms.values()), plan.repeats())
    result = confirmation(world.store, found, plan)
    assert result is not None
    assert result.metric == STANDARDISED
    for name, gain in result.gains.items():
        predicted = found.optimum.predicted_gain[name]
        assert gain.low < predicted.high  # one unit: the intervals meet
        assert predicted.low < gain.high
    doc = make_manifest(Workspace(tmp_path / "ws"), world.store, found, plan, result)
    assert doc.objective.metric == STANDARDISED
    assert {entry.name: entry.unit for entry in doc.objective.benchmarks} == units


def test_add_one_effects_reach_the_manifest(world: World, tmp_path: Path) -> None:
    world.finish(designs.add_one_arms(SOURCES, world.study.base, 0.3), range(3))
    rank(world.store, "s")
    found = search(world.store, OptimizeRequest(study="s", trials=30, budget=1000))
    doc = make_manifest(Workspace(tmp_path / "ws"), world.store, found, confirmation_plan(world.store, found), None)
    assert {entry.slug: entry.verdict for entry in doc.sources}["noise"] == "hurts"
    assert all(entry.effect is not None and entry.tier is not None for entry in doc.sources)


def test_epoch_cap_is_kept(world: World) -> None:
    with pytest.raises(ProbeError, match="largest possible budget"):
        search(world.store, OptimizeRequest(study="s", trials=30, budget=3000, constraints=Constraints(epoch_cap=0.5)))
    found = search(world.store, OptimizeRequest(study="s", trials=30, budget=1600, constraints=Constraints(epoch_cap=1.0)))
    assert found.optimum.shares()["good"] * 1600 <= 900 * 1.0 + 1e-6


def test_search_says_what_is_missing(world: World) -> None:
    with pytest.raises(ProbeError, match="'nowhere'"):
        search(world.store, OptimizeRequest(study="nowhere"))
    with pytest.raises(ProbeError, match="other was not trained"):
        search(world.store, OptimizeRequest(study="s", sources=("good", "other")))
    with pytest.raises(UsageError, match="no benchmark here has the capability x"):
        search(world.store, OptimizeRequest(study="s", objective=(("x", 1.0),)))


def test_candidate_that_is_a_baseline_is_said_to_be_one(world: World) -> None:
    found = search(world.store, OptimizeRequest(study="s", trials=30, constraints=Constraints(greatest=(("good", 0.0), ("noise", 0.0)))))
    assert found.optimum.shares() == {"fine": pytest.approx(1.0)}
    arms = confirmation_arms(found)
    assert arms[CANDIDATE].curriculum.phases[0].mixture == Mixture.single("fine")


def test_repeats_that_share_rows_are_told_where_intervals_are(world: World) -> None:
    arms = designs.add_one_arms(["good"], world.study.base, 0.3)
    world.store.add_arms("s", arms)
    world.store.plan_probes("s", [PlannedProbe("+good", r, r, f"small-{r}", 1000, 30000, overlap=0.9) for r in range(3)])
    world.finish(arms, range(0))
    told = [line for line in rank(world.store, "s").warnings if "too small for repeats to draw other rows" in line]
    assert len(told) == 1
    assert "+good (90% of the rows are the same)" in told[0]


def test_add_one_verdicts_from_the_store(world: World) -> None:
    arms = designs.add_one_arms(SOURCES, world.study.base, 0.3)
    assert all(arm.role is ArmRole.SOURCE and arm.design is Design.ADD_ONE for arm in arms)
    world.finish(arms, range(3))
    ranking = rank(world.store, "s")
    verdicts = {row.arm: row.verdict for row in ranking.effects if row.level == "overall" and row.verdict}
    assert verdicts["+good"] == "helps"
    assert verdicts["+noise"] == "hurts"
    assert world.store.ranking("s") == ranking


@pytest.mark.parametrize("text", ["a", "a=", "=0.5", "a=x", "a=-1", "a=0", "a=0.5,a=0.5", "a" * 300, "a\0=1,b"])
def test_base_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_base(text)


def test_base_in_shares() -> None:
    assert parse_base("a=0.25, b/c=0.75").weights() == {"a": 0.25, "b/c": 0.75}


def test_a_manifest_says_which_surrogate_was_believed_and_how_well_it_predicts(world: World, tmp_path: Path) -> None:
    found = search(world.store, OptimizeRequest(study="s", trials=30, budget=1000))
    assert found.surrogate.spearman is not None
    assert found.surrogate.spearman.low > 0.5
    doc = make_manifest(Workspace(tmp_path / "ws"), world.store, found, confirmation_plan(world.store, found), None)
    again = parse_manifest(manifest_json(doc))
    used = again.optimiser.parameters["surrogate"]
    assert again.optimiser.name == found.surrogate.name
    assert sum(used["shares"].values()) == pytest.approx(1)
    assert used["held_out"]["spearman"]["value"] == pytest.approx(found.surrogate.spearman.value)
    line = surrogate_line(again)
    assert f"rank correlation {found.surrogate.spearman.value:.2f}" in line
    assert all(name in line for name in found.surrogate.shares)
    assert surrogate_line(replace(doc, optimiser=replace(doc.optimiser, parameters={}))) == ""
    assert optimize_json(doc, Path("m.json"))["surrogate"] == doc.optimiser.parameters["surrogate"]
