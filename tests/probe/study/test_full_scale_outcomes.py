"""Full-scale results: what users give, and what they say of the proxy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from known_world import SOURCES, World, searched_world, truth

from db.store import Store
from db.values import Outcome, OutcomeScore
from probe.errors import ProbeError
from probe.manifest.write import manifest_json, parse_manifest
from probe.study.confirmation import confirmation_plan
from probe.study.decision import make_manifest
from probe.study.fidelity import fidelity, fidelity_json, fidelity_lines, kept_sentence
from probe.study.mixture_search import OptimizeRequest, search
from probe.study.outcome_scores import comparisons, full_scale
from probe.study.outcomes import Given, checked, read_lines, results_of
from probe.workspace import Workspace
from sources.mixture import Curriculum, Mixture

ONE = Curriculum.static(Mixture.of({"good": 0.5, "fine": 0.5}))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return searched_world(Store.open(tmp_path / "probe.db"))


def outcome(name: str, mixture: Mixture, score: float, stderr: float = 0.01, key: str = "bench") -> Outcome:
    level = "benchmark" if key == "bench" else key
    return Outcome("s", name, Curriculum.static(mixture), (OutcomeScore(level, key, score, stderr),))


def trained(world: World, count: int) -> list[Mixture]:
    return [arm.curriculum.phases[0].mixture for arm in world.store.arms("s") if arm.name.startswith("swarm")][:count]


def untrained(count: int, seed: int = 5) -> list[Mixture]:
    points = np.random.default_rng(seed).dirichlet(np.ones(3), count)
    return [Mixture.of(dict(zip(SOURCES, point, strict=True))) for point in points]


@pytest.mark.parametrize("mixtures", ["trained", "untrained"])
def test_full_scale_that_follows_the_same_truth_agrees_and_the_reverse_does_not(world: World, mixtures: str) -> None:
    points = trained(world, 10) if mixtures == "trained" else untrained(10)
    world.store.add_outcomes([outcome(f"o{i}", m, 0.2 + 0.6 * truth(m)) for i, m in enumerate(points)])
    found = fidelity(world.store, "s")
    assert found.overall is not None
    assert found.overall.agreement is not None
    assert found.overall.agreement.value > 0.9
    assert found.overall.agreement.low > 0.5
    assert found.overall.more_for_chance == 0
    assert "better than chance" in found.said or "above 80%" in found.said
    assert [one.name for one in found.capabilities] == ["skill"]
    for i in range(10):
        world.store.remove_outcome("s", f"o{i}")
    world.store.add_outcomes([outcome(f"r{i}", m, 0.8 - 0.6 * truth(m)) for i, m in enumerate(points)])
    turned = fidelity(world.store, "s")
    assert turned.overall is not None
    assert turned.overall.agreement is not None
    assert turned.overall.agreement.high < 0.5
    assert "not better than chance" in turned.said


def test_what_is_kept_is_read_until_something_changes(world: World) -> None:
    assert "no full-scale result is recorded" in kept_sentence(world.store, world.study)
    world.store.add_outcomes([outcome(f"o{i}", m, truth(m)) for i, m in enumerate(trained(world, 6))])
    study = world.store.study("s")
    assert study is not None
    assert "probe rank --study s" in kept_sentence(world.store, study)
    found = fidelity(world.store, "s")
    assert fidelity(world.store, "s") == found
    assert kept_sentence(world.store, study) == found.said
    assert fidelity_lines(found)[0] == found.said
    world.store.add_outcomes([outcome("more", trained(world, 7)[6], 0.5)])
    assert fidelity(world.store, "s").outcomes == 7
    assert fidelity_json(fidelity(world.store, "s"))["overall"]["outcomes"] == 7


def test_few_results_tell_nothing_and_a_manifest_says_so(world: World, tmp_path: Path) -> None:
    found = search(world.store, OptimizeRequest(study="s", trials=20, budget=1000))
    plan, workspace = confirmation_plan(world.store, found), Workspace(tmp_path / "ws")
    before = make_manifest(workspace, world.store, found, plan, None)
    assert before.fidelity is None
    assert "fidelity" not in manifest_json(before)
    world.store.add_outcomes([outcome(f"o{i}", m, truth(m)) for i, m in enumerate(trained(world, 3))])
    doc = parse_manifest(manifest_json(make_manifest(workspace, world.store, found, plan, None)))
    assert doc.fidelity is not None
    assert "too few to tell (3 outcomes" in doc.fidelity.said
    assert doc.fidelity.agreement is None


def test_results_of_one_mixture_are_joined_and_give_the_error_to_all() -> None:
    a, b = Mixture.of({"good": 1, "fine": 1}), Mixture.single("good")
    runs = [outcome("a1", a, 0.40, np.nan), outcome("a2", a, 0.44, np.nan), outcome("b", b, 0.6, np.nan)]
    first, second = full_scale(runs)
    deviation = np.std([0.40, 0.44], ddof=1)
    assert first.scores["benchmark", "bench"] == pytest.approx((0.42, deviation / np.sqrt(2)))
    assert second.scores["benchmark", "bench"] == pytest.approx((0.6, deviation))
    seeds = full_scale([replace(runs[0], seeds=3), runs[1]])[0]
    assert seeds.scores["benchmark", "bench"][0] == pytest.approx((3 * 0.40 + 0.44) / 4)
    assert np.isnan(full_scale([runs[0]])[0].scores["benchmark", "bench"][1])


def test_a_comparison_reads_the_scores_that_all_its_mixtures_have() -> None:
    def run(name: str, mixture: Mixture, **scores: float) -> Outcome:
        kept = tuple(OutcomeScore("benchmark", key, value, 0.01) for key, value in scores.items())
        return Outcome("s", name, Curriculum.static(mixture), kept)

    a, b, c = untrained(3)
    full = full_scale([run("a", a, x=0.2, y=0.9), run("b", b, x=0.4), run("c", c, z=0.5)])
    capabilities = {"x": "ocr", "y": "ocr", "z": "charts"}
    found = {one.name: one for one in comparisons(full, capabilities)}
    assert found["ocr"].mixtures == (0, 1)
    assert found["ocr"].values == pytest.approx([0.2, 0.4])  # without y, which b lacks
    assert found["ocr"].benchmarks == ("x",)
    assert found["charts"].mixtures == (2,)
    assert "overall" not in found  # no score is common to all
    both = full_scale([run("a", a, x=0.2, z=0.6), run("b", b, x=0.4, z=0.5)])
    overall = comparisons(both, capabilities)[0]
    assert overall.values == pytest.approx([0.4, 0.45])
    assert overall.stderrs == pytest.approx([0.01 / np.sqrt(2)] * 2)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (Given(ONE, {}), "at least one score"),
        (Given(ONE, {"other": 0.4}), "no benchmark or capability 'other'; it has bench, skill, overall"),
        (Given(ONE, {"bench": 41.0}), r"score 41 of bench is not in 0..1: .*\(41 % is 0.41\)"),
        (Given(ONE, {"bench": float("nan")}), "not in 0..1"),
        (Given(ONE, {"bench": 0.4}, {"bench": 2.0}), "standard error 2 of bench"),
        (Given(ONE, {"bench": 0.4}, {"skill": 0.1}), "has no score"),
        (Given(ONE, {"bench": 0.4}, seeds=0), "0 seeds"),
        (Given(Curriculum.static(Mixture.single("typo")), {"bench": 0.4}), "typo"),
    ],
)
def test_wrong_results_are_one_sentence(world: World, given: Given, sentence: str) -> None:
    with pytest.raises(Exception, match=sentence) as error:
        checked(world.store, "s", given)
    assert type(error.value).__name__ in ("ProbeError", "SourceError")


def test_results_are_named_by_their_mixture(world: World) -> None:
    made = checked(world.store, "s", Given(ONE, {"bench": 0.4, "skill": 0.5, "overall": 0.6}))
    assert [score.level for score in made.scores] == ["benchmark", "capability", "overall"]
    assert len(made.name) == 8
    assert made.name == checked(world.store, "s", Given(ONE, {"bench": 0.9})).name
    with pytest.raises(ProbeError, match="no study 'other'"):
        checked(world.store, "other", Given(ONE, {"bench": 0.4}))


def test_a_csv_file_holds_many_results(tmp_path: Path) -> None:
    file = tmp_path / "r.csv"
    file.write_text('name,mixture,benchmark,score,note\na,"x=.5,y=.5",b1,0.4,"8B, one epoch"\na,"x=.5,y=.5",b2,0.5,\n,x=1,b1,0.3,\n')
    groups = list(results_of(read_lines(file)))
    assert [[line.cells["benchmark"] for line in lines] for _, lines in groups] == [["b1", "b2"], ["b1"]]
    assert groups[0][0].cells["note"] == "8B, one epoch"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name,score\na,0.4\n", "lacks the column 'benchmark'"),
        ("benchmark,score,extra\nb,0.4,1\n", "no column 'extra'"),
        ("name,benchmark,score\na,b,0.4\na,b,0.5\n", "line 3: b is scored on line 2 already"),
        ("name,mixture,benchmark,score\na,x=1,b,0.4\na,y=1,c,0.5\n", "line 3: another mixture than line 2"),
        ("benchmark,score\nb,0.4,more\n", "line 2 has more cells"),
    ],
)
def test_a_wrong_csv_file_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "r.csv"
    file.write_text(text)
    with pytest.raises(ProbeError, match=sentence):
        list(results_of(read_lines(file)))
    with pytest.raises(ProbeError, match="cannot be read"):
        read_lines(tmp_path / "none.csv")
