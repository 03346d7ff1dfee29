from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from known_world import SOURCES, World

from db.errors import StoreError
from db.store import Store
from db.values import Arm, StudyRecord
from probe.decide.open_questions import OpenQuestion, open_questions
from probe.errors import ProbeError
from probe.study import designs
from probe.study.ranking import known_study, rank
from probe.study.request import RunRequest
from probe.study.until_decided import first_plan, next_seeds
from probe.workspace import Workspace

AT = (3, 5, 8)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Store.open(tmp_path / "probe.db") as store:
        yield World(store)


def looking(world: World) -> StudyRecord:
    world.store.create_study(replace(world.study, looks=AT), ["bench"])
    return known_study(world.store, "s")


def asked_arms(world: World) -> list[Arm]:
    return [designs.base_arm(world.study.base), *designs.add_one_arms(SOURCES, world.study.base, 0.2)]


def counts(world: World) -> dict[str, int]:
    found: dict[str, int] = {}
    for probe in world.store.probes("s"):
        found[probe.arm] = found.get(probe.arm, 0) + 1
    return found


def test_seeds_go_to_open_questions_and_their_reference_until_nothing_is_worth_asking(world: World) -> None:
    arms = {arm.name: arm for arm in asked_arms(world)}
    world.finish(list(arms.values()), range(3))
    study = looking(world)
    for _ in AT:
        ranking = rank(world.store, "s")
        verdicts = {row.arm: row.verdict for row in ranking.effects if row.level == "overall"}
        wanted = next_seeds(world.store, study, open_questions(ranking))
        assert all(verdicts[name] == "undecided" for name in wanted if name != "base")
        if not wanted:
            break
        assert wanted.get("base", counts(world)["base"]) >= max(wanted.values())
        for name, seeds in wanted.items():
            world.finish([arms[name]], range(counts(world)[name], seeds))
    verdicts = {row.arm: str(row.verdict) for row in rank(world.store, "s").effects if row.level == "overall"}
    assert (verdicts["+good"], verdicts["+noise"]) == ("helps", "hurts")
    assert next_seeds(world.store, study, open_questions(rank(world.store, "s"))) == {}


def test_a_pair_gets_its_next_common_look_and_the_last_look_is_the_end(world: World) -> None:
    solo = {arm.name: arm for arm in designs.solo_arms(SOURCES)}
    world.finish(list(solo.values()), range(3))
    world.finish([solo["good"]], range(3, 5))
    study = looking(world)
    pair = OpenQuestion(("good", "fine"), "good or fine", 1.0)
    assert next_seeds(world.store, study, [pair]) == {"fine": 5}  # good has these already
    world.finish([solo["good"], solo["fine"]], range(8))
    assert next_seeds(world.store, study, [pair]) == {}
    assert next_seeds(world.store, study, [OpenQuestion(("noise", "fine"), "", 1.0, float("inf"))]) == {}


def test_looks_are_fixed_once_a_study_has_them(world: World) -> None:
    world.finish(asked_arms(world), range(3))
    assert looking(world).looks == AT
    with pytest.raises(StoreError, match="another looks"):
        world.store.create_study(replace(world.study, looks=(3, 12)), ["bench"])
    with pytest.raises(StoreError, match="another looks"):
        world.store.create_study(replace(world.study, looks=()), ["bench"])


@pytest.mark.parametrize(("seeds", "most", "option"), [(4, None, "--seeds"), (None, 12, "--most-seeds")])
def test_other_looks_than_the_study_began_with_are_refused(
    tmp_path: Path, world: World, seeds: int | None, most: int | None, option: str
) -> None:
    world.finish(asked_arms(world), range(3))
    looking(world)
    with pytest.raises(ProbeError, match=f"decided at 3, 5, 8 seeds, fixed when it began: leave {option} out"):
        first_plan(Workspace(tmp_path), RunRequest(("good",), "s", seeds=seeds), most, print)
