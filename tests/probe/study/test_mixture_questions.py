"""Suggestions, fronts and the flat optimum on a store filled with known scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from known_world import SOURCES, MixedWorld, World, truth

from db.store import Store
from db.values import PlannedProbe
from probe.cli.mixture_questions import flat_lines, front_json, suggestion_json
from probe.cli.optimize import optimize_json
from probe.errors import ProbeError, UsageError
from probe.manifest.write import manifest_json, parse_manifest
from probe.study import designs
from probe.study.confirmation import confirmation_plan
from probe.study.constraints import Constraints
from probe.study.decision import make_manifest
from probe.study.front import find_front
from probe.study.mixture_search import OptimizeRequest, search
from probe.study.suggestion import suggest
from probe.workspace import Workspace
from sources.mixture import Mixture


def filled(world: World) -> World:
    points = [dict(zip(SOURCES, w, strict=True)) for w in np.random.default_rng(1).dirichlet(np.ones(3), 9)]
    world.finish([designs.base_arm(world.study.base)], range(3))
    world.finish(designs.swarm_arms([Mixture.of(p) for p in points]), range(1))
    return world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return filled(World(Store.open(tmp_path / "probe.db")))


def request(**changes: Any) -> OptimizeRequest:
    return OptimizeRequest(**{"study": "s", "trials": 20, "budget": 1000, **changes})


def test_suggested_mixtures_join_the_swarm_and_are_good(world: World) -> None:
    found = suggest(world.store, request(constraints=Constraints(greatest=(("noise", 0.5),))), 3)
    assert len(found.suggested) == 3
    known = {arm.name for arm in world.store.arms("s")}
    arms = [one.arm for one in found.suggested]
    assert not known & {arm.name for arm in arms}
    assert all(arm.curriculum.phases[0].mixture.weights().get("noise", 0.0) <= 0.5 for arm in arms)
    base = truth(world.study.base)
    best = found.suggested[0]
    assert best.predicted_gain.low > 0
    assert best.predicted_gain.low <= truth(arms[0].curriculum.phases[0].mixture) - base <= best.predicted_gain.high
    listed = suggestion_json(found)["suggestions"]
    assert [one["arm"] for one in listed] == [arm.name for arm in arms]
    world.finish(arms, range(1))  # their names are new, so they are new runs of the same study
    assert {arm.name for arm in arms} <= set(search(world.store, request()).seen.arms)


def test_mixtures_that_wait_count_among_the_number_and_are_not_suggested_again(world: World) -> None:
    first = suggest(world.store, request(), 2)
    arms = [one.arm for one in first.suggested]
    world.store.add_arms("s", arms)
    world.store.plan_probes("s", [PlannedProbe(arm.name, 0, 0, f"new-{arm.name}", 1000, 30000) for arm in arms])
    again = suggest(world.store, request(), 2)
    assert again.suggested == ()
    assert set(again.waiting) == {arm.name for arm in arms}
    (third,) = suggest(world.store, request(), 3).suggested
    assert third.arm.name not in {arm.name for arm in arms}


def test_a_front_orders_goals_and_knows_costs(tmp_path: Path) -> None:
    world = filled(MixedWorld(Store.open(tmp_path / "probe.db")))
    world.finish(designs.solo_arms(SOURCES), range(1))
    found = find_front(world.store, request(), ["skill", "writing"])
    # Skill is best with much of good, writing (bits per byte, less is better) with none: along the front good goes down.
    good = [point.weights.get("good", 0.0) for point in found.points]
    assert good[0] > 0.4
    assert good[-1] < 0.1
    assert np.corrcoef(good, np.arange(len(good)))[0, 1] < -0.9
    for name in ("skill", "writing"):
        values = [point.gains[name].value for point in found.points]
        assert values == sorted(values, reverse=name == "skill")
        assert all(point.gains[name].low <= point.gains[name].value <= point.gains[name].high for point in found.points)
    costly = find_front(world.store, request(budget=1200), ["score", "unique-rows"])
    rows = [point.costs["unique-rows"] for point in costly.points]
    assert rows == sorted(rows, reverse=True)
    usable = {"good": 900, "fine": 500, "noise": 400}
    for point in costly.points:
        assert point.costs["unique-rows"] == pytest.approx(sum(min(1200 * w, usable[s]) for s, w in point.weights.items()), abs=1)
    assert front_json(costly)["points"][0]["cost"] == dict(costly.points[0].costs)


def test_goals_that_make_no_front_are_refused(world: World) -> None:
    for goals, told in ((["skill"], "two goals"), (["skill", "nope"], "no benchmark here"), (["tokens", "unique-rows"], "capability or")):
        with pytest.raises(UsageError, match=told):
            find_front(world.store, request(), goals)


def test_the_flat_optimum_is_in_the_manifest_and_told_in_words(world: World, tmp_path: Path) -> None:
    asked = Constraints(most_sources=2, floors=(("skill", 0.0),))
    found = search(world.store, request(constraints=asked))
    assert len(found.optimum.shares()) <= 2
    doc = parse_manifest(
        manifest_json(make_manifest(Workspace(tmp_path / "ws"), world.store, found, confirmation_plan(world.store, found), None))
    )
    flat = doc.optimiser.parameters["flat_optimum"]
    # One run of this world has a deviation of .01 beside items: its interval's half-width at three seeds is about .02.
    assert 0.005 < flat["measurable_loss"] < 0.06
    for slug, share in found.optimum.shares().items():
        assert flat["ranges"][slug]["low"] - 1e-6 <= share <= flat["ranges"][slug]["high"] + 1e-6
    simplest = Mixture.of(flat["simplest"]["weights"])
    assert truth(found.mixture()) - truth(simplest) < flat["measurable_loss"] + 0.05
    assert doc.optimiser.parameters["most_sources"] == 2
    assert doc.optimiser.parameters["floors"] == {"least": {"skill": 0.0}, "probability": 0.9}
    lines = " ".join(flat_lines(doc))
    assert all(slug in lines for slug in flat["ranges"])
    assert optimize_json(doc, Path("m.json"))["flat_optimum"] == flat


def test_a_floor_that_no_run_supports_is_named(world: World) -> None:
    with pytest.raises(ProbeError, match=r"--floor skill=5: loosen it"):
        search(world.store, request(constraints=Constraints(floors=(("skill", 5.0),))))
    with pytest.raises(UsageError, match="no benchmark here has the capability nope"):
        search(world.store, request(constraints=Constraints(floors=(("nope", 0.0),))))
