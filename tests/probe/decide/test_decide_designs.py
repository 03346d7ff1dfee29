"""What each design's differences say, on arrays of known truth."""

from __future__ import annotations

import numpy as np
import pytest

from db.values import ArmRole, Design, Ranking, Verdict
from probe.decide.gates import disputed, gate_levels, gate_orders, judge_gate
from probe.decide.order_slopes import Laddered, order_slopes, slope_weights
from probe.decide.panel import benchmark_panel
from probe.decide.ranking import rank_study
from probe.decide.study_scores import BenchmarkArrays, StudyArm, StudyScores
from probe.decide.wording import verdict_means
from proxy_training.jobs import METRICS
from tests.probe.decide.decide_worlds import World

WORLD = World(seed=0.02, arm_by_cluster=0.03, interaction=0.03, noise=0.1)


def ranked(arms: list[StudyArm], truth: list[float], repeats: int = 5, seed: int = 0) -> Ranking:
    rng = np.random.default_rng(seed)
    trained = [k for k, arm in enumerate(arms) if arm.role is not ArmRole.UNTRAINED]
    values = np.full((len(METRICS), len(arms), repeats, len(WORLD.groups())), np.nan)
    values[0, trained] = WORLD.scores(rng, len(trained), repeats, np.array([truth[k] for k in trained]))
    for k in set(range(len(arms))) - set(trained):
        values[0, k] = WORLD.untrained(rng, repeats) + truth[k]
    values[2] = np.where(np.isfinite(values[0]), values[0] > 0.5, np.nan)
    return rank_study(
        StudyScores("s", 1, "tiny", False, tuple(arms), (BenchmarkArrays("q", "skill", values, WORLD.groups()),)), margin=0.05
    )


def asked(design: Design, *names: str) -> list[StudyArm]:
    return [StudyArm(name, ArmRole.SOURCE, design, name.lstrip("-~^+").partition("@")[0]) for name in names]


def overall(ranking: Ranking) -> dict[str, tuple[Verdict | None, float, int | None]]:
    return {row.arm: (row.verdict, row.effect.value, row.tier) for row in ranking.effects if row.level == "overall"}


def test_leave_one_out_finds_a_planted_redundant_pair_and_speaks_of_the_source() -> None:
    """`a` and `twin` hold the same skill: without either nothing is lost. `only` holds its own, `harm` costs."""
    arms = [StudyArm("base", ArmRole.BASE), *asked(Design.LEAVE_ONE_OUT, "-a", "-twin", "-only", "-harm")]
    ranking = ranked(arms, [0.6, 0.6, 0.6, 0.4, 0.75])
    found = overall(ranking)
    assert {arm: verdict for arm, (verdict, _, _) in found.items()} == {
        "-a": Verdict.NEUTRAL,
        "-twin": Verdict.NEUTRAL,
        "-only": Verdict.HELPS,
        "-harm": Verdict.HURTS,
    }
    assert found["-only"][1] < -0.1 < 0.1 < found["-harm"][1]  # effects stay arm - base
    assert {tier for _, _, tier in found.values()} == {None}  # shares in the base differ, so these are no ranks
    told = {row.arm: (row.verdict_from, verdict_means(row)) for row in ranking.effects if row.level == "overall"}
    assert told["-only"] == ("leave-one-out", "removing it lowers the score")
    assert told["-harm"] == ("leave-one-out", "removing it raises the score")
    assert told["-twin"][1].endswith("redundant here")


def test_solo_misses_the_redundancy_that_leave_one_out_sees() -> None:
    arms = [StudyArm("untrained", ArmRole.UNTRAINED), StudyArm("base", ArmRole.BASE)]
    arms += [*asked(Design.SOLO, "a", "twin", "only"), *asked(Design.LEAVE_ONE_OUT, "-a", "-twin", "-only")]
    ranking = ranked(arms, [0.2, 0.6, 0.5, 0.5, 0.4, 0.6, 0.6, 0.4])
    found = overall(ranking)
    assert min(found[name][1] for name in ("a", "twin", "only")) > 0.1
    assert (found["-a"][0], found["-twin"][0], found["-only"][0]) == (Verdict.NEUTRAL, Verdict.NEUTRAL, Verdict.HELPS)
    assert ranking.reference == "untrained (solo), base (leave-one-out)"


def test_halving_and_doubling_say_where_supply_is_wrong() -> None:
    arms = [StudyArm("base", ArmRole.BASE), *asked(Design.HALVING, "~much", "~little", "^much", "^little")]
    ranking = ranked(arms, [0.5, 0.65, 0.4, 0.35, 0.62])
    told = {row.arm: (row.verdict, verdict_means(row)) for row in ranking.effects if row.level == "overall"}
    assert told["~much"] == (Verdict.HURTS, "halving its share raises the score: over-supplied")
    assert told["~little"] == (Verdict.HELPS, "halving its share lowers the score: not over-supplied")
    assert told["^much"] == (Verdict.HURTS, "doubling its share lowers the score: not under-supplied")
    assert told["^little"] == (Verdict.HELPS, "doubling its share raises the score: under-supplied")


def test_orders_are_compared_with_the_mixture_of_their_schedule_and_size() -> None:
    names = [f"phases/{order}@{size}" for size in (50, 100) for order in ("staged", "reversed", "mixed", "mixed-restarts")]
    arms = asked(Design.PHASES, *names, "phases/staged-one-schedule", "phases/mixed")
    truth = [0.5, 0.5, 0.6, 0.5, 0.8, 0.5, 0.7, 0.6, 0.5, 0.7]
    ranking = ranked(arms, truth)
    found = overall(ranking)
    assert found["phases/staged@50"][1] == pytest.approx(0.0, abs=0.05)
    assert found["phases/staged@100"][1] == pytest.approx(0.2, abs=0.05)
    assert found["phases/mixed@50"][1] == pytest.approx(0.1, abs=0.05)
    assert found["phases/staged-one-schedule"][1] == pytest.approx(-0.2, abs=0.05)
    assert "phases/mixed-restarts@50" not in found
    assert not ranking.warnings or not any("not ranked" in told for told in ranking.warnings)
    pairs = {(pair.a, pair.b) for pair in ranking.pairs if pair.level == "overall"}
    assert ("phases/staged@100", "phases/mixed@100") in pairs
    assert not any(a.partition("@")[2] != b.partition("@")[2] for a, b in pairs)  # sizes are never compared with one another


def test_a_ladder_has_effects_against_the_untrained_proxy_and_nothing_between_sizes() -> None:
    arms = [StudyArm("untrained", ArmRole.UNTRAINED), *asked(Design.LADDER, "a@50", "a@100")]
    ranking = ranked(arms, [0.2, 0.4, 0.6])
    assert {arm: (verdict, tier) for arm, (verdict, _, tier) in overall(ranking).items()} == {"a@50": (None, None), "a@100": (None, None)}
    assert overall(ranking)["a@100"][1] == pytest.approx(0.4, abs=0.05)
    assert ranking.pairs == ()


def slopes(truth: float, rng: np.random.Generator, repeats: int = 5) -> tuple[float, float, float, bool]:
    """One study: an order whose gain grows by `truth` with each doubling, and its reference, at four sizes."""
    sizes = (100, 200, 400, 800)
    gains = np.array([truth * k for k in range(4)])
    scores = WORLD.scores(rng, 8, repeats, np.concatenate([0.4 + gains, np.full(4, 0.4)]))
    panel = benchmark_panel(scores, WORLD.groups())
    (found,) = order_slopes(panel, [Laddered("staged", "mixed", sizes, (0, 1, 2, 3), (4, 5, 6, 7))])
    return found.slope.value, found.slope.low, found.slope.high, found.decided


def test_the_slope_over_size_is_found_covered_and_not_invented() -> None:
    rng = np.random.default_rng(3)
    studies = [slopes(0.05, rng) for _ in range(150)]
    assert np.mean([value for value, *_ in studies]) == pytest.approx(0.05, abs=0.004)
    assert np.mean([low <= 0.05 <= high for _, low, high, _ in studies]) >= 0.85
    assert np.mean([decided for *_, decided in studies]) > 0.5
    assert np.mean([slopes(0.0, rng)[3] for _ in range(150)]) <= 0.09


def test_slope_weights_are_those_of_least_squares() -> None:
    sizes, gains = (100, 250, 1000), np.array([0.1, 0.16, 0.4])
    expected = np.polyfit(np.log2(sizes), gains, 1)[0]
    assert slope_weights(sizes) @ gains == pytest.approx(expected)


def test_an_order_at_one_size_or_without_a_common_repeat_has_no_slope() -> None:
    scores = WORLD.scores(np.random.default_rng(0), 4, 2)
    panel = benchmark_panel(scores, WORLD.groups())
    assert order_slopes(panel, [Laddered("staged", "mixed", (100,), (0,), (1,))]) == ()
    scores[0, 1:], scores[1, :1] = np.nan, np.nan
    holed = benchmark_panel(scores, WORLD.groups())
    assert order_slopes(holed, [Laddered("staged", "mixed", (100, 200), (0, 1), (2, 3))]) == ()


def test_gates_spend_their_level_once_and_an_accepted_gate_passes_its_own_on() -> None:
    assert gate_levels([], 4, 0.05) == pytest.approx(0.0125)
    assert gate_levels([False, False], 4, 0.05) == pytest.approx(0.0125)
    assert gate_levels([True], 4, 0.05) == pytest.approx(0.025)
    assert gate_levels([True, True], 4, 0.05) == pytest.approx(0.0375)
    assert gate_levels([True, True, False], 4, 0.05) == pytest.approx(0.0125)
    assert gate_levels([True] * 3, 4, 0.05) == pytest.approx(0.05)


def test_sources_of_no_effect_pass_no_gate_more_often_than_the_level_allows() -> None:
    """Five gates, each against the last accepted arm, nothing helps: any acceptance at all is a false one."""
    rng, false = np.random.default_rng(11), 0
    for _ in range(300):
        panel = benchmark_panel(WORLD.scores(rng, 6, 3), WORLD.groups())
        reference, passed = 0, []
        for arm in range(1, 6):
            level = gate_levels(passed, 5)
            verdict = judge_gate(panel, arm, reference, list(range(arm + 1)), level=level, interval=0.9)[1]
            passed.append(verdict is Verdict.HELPS)
            reference = arm if passed[-1] else reference
        false += any(passed)
    assert false / 300 <= 0.06


def test_orders_are_the_given_one_its_reverse_and_random_ones() -> None:
    assert gate_orders(["a", "b", "c"], 1) == [("a", "b", "c")]
    three = gate_orders(["a", "b", "c", "d"], 3)
    assert three[:2] == [("a", "b", "c", "d"), ("d", "c", "b", "a")]
    assert len(set(three)) == 3
    assert three == gate_orders(["a", "b", "c", "d"], 3)
    assert len(gate_orders(["a", "b"], 5)) == 2
    assert disputed([("a", "b"), ("b",), ("b", "c")]) == ("a", "c")
    assert disputed([("a",), ("a",)]) == ()
