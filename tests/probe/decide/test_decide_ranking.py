from dataclasses import replace

import numpy as np
import pytest
from decide_worlds import World, study

from db.values import Design, Verdict
from probe.cli.rank import ranking_json
from probe.decide.confirm import confirm
from probe.decide.levels import STANDARDISED, combination, level_panels
from probe.decide.ranking import best_first, rank_study

WORLD = World(seed=0.02, shared_seed=0.02)


def solo(truths, *, repeats=3, seed=0, world=WORLD, **options):
    """Make a solo study: `truths[benchmark]` maps the arms' names to true means."""
    rng = np.random.default_rng(seed)
    names = ["untrained", *next(iter(truths.values()))]
    scores = {}
    for name, arms in truths.items():
        scores[name] = np.concatenate([world.untrained(rng, repeats), world.scores(rng, len(arms), repeats, np.array(list(arms.values())))])
    return study(scores, names, world.groups(), **options)


def rows(ranking, level="overall", name="overall"):
    return {row.arm: row for row in ranking.effects if (row.level, row.name) == (level, name)}


def test_a_solo_study_gives_effects_tiers_and_pairs_at_every_level():
    ranking = rank_study(solo({"colour": {"c": 0.6, "s": 0.1, "h": 0.3}, "shape": {"c": 0.1, "s": 0.6, "h": 0.3}}))
    assert (ranking.reference, ranking.metric, ranking.level, ranking.revision) == ("untrained", "right_probability", 0.9, 3)
    assert {(row.level, row.name) for row in ranking.effects} == {
        ("overall", "overall"), ("capability", "colour"), ("capability", "shape"), ("benchmark", "colour"), ("benchmark", "shape"),
    }  # fmt: skip
    assert {arm: row.tier for arm, row in rows(ranking, "capability", "colour").items()} == {"c": 1, "h": 2, "s": 3}
    assert {arm: row.tier for arm, row in rows(ranking, "capability", "shape").items()} == {"s": 1, "h": 2, "c": 3}
    assert all(row.verdict is None for row in ranking.effects)
    overall = [pair for pair in ranking.pairs if pair.level == "overall"]
    assert len(overall) == 3
    assert best_first(ranking, "capability", "shape")[0].arm == "s"
    effect = rows(ranking, "benchmark", "colour")["c"].effect
    assert effect.low < 0.6 < effect.high


def test_overall_is_the_mean_of_the_capabilities_and_seeds_run_through_both():
    truths = {"one": {"a": 0.5, "b": 0.2}, "two": {"a": 0.1, "b": 0.2}, "three": {"a": 0.0, "b": 0.2}}
    ranking = rank_study(solo(truths, capabilities={"one": "x", "two": "y", "three": "y"}))
    x, y = (rows(ranking, "capability", name)["a"].effect.value for name in "xy")
    assert rows(ranking)["a"].effect.value == pytest.approx((x + y) / 2)
    assert rows(ranking)["a"].effect.n == 3 * len(WORLD.groups())


def test_a_seed_deviation_common_to_two_benchmarks_does_not_average_out():
    rng = np.random.default_rng(0)
    world = World(seed=0.2, shared_seed=0.0, arm_by_cluster=0.01, interaction=0.01, noise=0.01)
    first = world.scores(rng, 6, 5)
    both = {"one": first, "two": first + rng.normal(0, 0.01, first.shape)}
    ranking = rank_study(study(both, ["base", *"abcde"], world.groups(), design=Design.ADD_ONE))
    assert rows(ranking)["a"].effect.stderr == pytest.approx(rows(ranking, "benchmark", "one")["a"].effect.stderr, rel=0.05)


def test_different_metrics_are_combined_in_repeat_deviations_and_bits_change_sign():
    ranking = rank_study(solo({"choice": {"a": 0.5, "b": 0.0}, "text": {"a": 0.5, "b": 0.0}}, free_text=("text",)))
    assert ranking.metric == STANDARDISED
    text = rows(ranking, "benchmark", "text")["a"].effect
    assert text.low < 0.5 < text.high
    assert rows(ranking)["a"].effect.value > 5  # half a point is many seed deviations
    assert {row.name: row.metric for row in ranking.effects} == {
        "overall": STANDARDISED, "choice": "right_probability", "text": "negative bits_per_byte",
    }  # fmt: skip


def saturated_with_free_text():
    """A benchmark that every arm has solved, its repeats all but equal, beside one in bits per byte that tells the arms apart."""
    inputs = solo({"solved": {"a": 0.0, "b": 0.0}, "text": {"a": 0.5, "b": 0.0}}, free_text=("text",))
    rng, solved = np.random.default_rng(1), inputs.benchmarks[0].values
    tiny = 1e-6 * rng.standard_normal(solved.shape[1:]) + np.array([0.0, 0.0003, -0.0002])[:, None, None]
    solved[0] = np.where(np.isfinite(solved[0]), 0.999 + tiny, np.nan)
    solved[2] = np.where(np.isfinite(solved[0]), 1.0, np.nan)
    return inputs


def test_a_solved_benchmark_is_left_out_of_combined_levels_with_a_note():
    ranking = rank_study(saturated_with_free_text())
    assert rows(ranking)["a"].effect == rows(ranking, "benchmark", "text")["a"].effect
    assert rows(ranking, "benchmark", "solved")["a"].effect.value == pytest.approx(0.0003, rel=0.01)
    assert any("solved is at its ceiling" in warning and "left out" in warning for warning in ranking.warnings)


def test_a_unit_is_never_smaller_than_the_noise_of_the_items():
    inputs = solo({"steady": {"a": 0.05, "b": 0.0}, "text": {"a": 0.5, "b": 0.0}}, free_text=("text",))
    steady = inputs.benchmarks[0].values[0]
    steady[1:] = steady[1:, :1]  # repeats agree to the last digit
    overall = rows(rank_study(inputs))["a"].effect.value
    assert 0 < overall < 50


def test_only_solved_benchmarks_are_still_ranked():
    inputs = solo({"q": {"a": 0.9, "b": 0.5}})
    inputs.benchmarks[0].values[2] = 1.0
    assert rows(rank_study(inputs))["a"].tier == 1


def test_the_listing_gives_the_places_that_pairs_leave_to_each_source():
    rng = np.random.default_rng(3)
    world = World(seed=0.01)
    truth = np.array([0.0, 0.5, 0.5, -0.5])
    ranking = rank_study(study({"x": world.scores(rng, 4, 5, truth)}, ["base", "a", "b", "c"], world.groups(), design=Design.ADD_ONE))
    listed = {source["source"]: source for source in ranking_json(ranking, None, {})["sources"]}
    assert {name: source["rank"] for name, source in listed.items()} == {
        "a": {"low": 1, "high": 2},
        "b": {"low": 1, "high": 2},
        "c": {"low": 3, "high": 3},
    }
    assert [listed[name]["tier"] for name in "abc"] == [1, 1, 2]


def test_null_arms_share_one_tier_and_undecided_says_how_many_seeds():
    split = 0
    for seed in range(60):
        ranking = rank_study(solo({"q": {"a": 0.3, "b": 0.3}}, seed=seed))
        split += max(row.tier for row in rows(ranking).values()) > 1
    assert split <= 7  # .05 of 60, and 2.4 deviations


def test_halves_in_one_tier_and_damage_below():
    truths = {"q": {"all": 0.6, "half-a": 0.52, "half-b": 0.52, "wrong": 0.3, "shuffled": 0.1}}
    ranking = rank_study(solo(truths))
    tier = {arm: row.tier for arm, row in rows(ranking).items()}
    assert tier["half-a"] == tier["half-b"] < tier["wrong"] < tier["shuffled"]
    pair = next(p for p in ranking.pairs if p.level == "overall" and {p.a, p.b} == {"wrong", "shuffled"})
    assert pair.decided
    assert pair.difference.apart_from_zero()


def test_add_one_gives_verdicts_against_the_base():
    rng = np.random.default_rng(0)
    scores = {"q": WORLD.scores(rng, 5, 5, np.array([0.3, 0.5, 0.1, 0.3, 0.3]))}
    ranking = rank_study(study(scores, ["base", "good", "bad", "same", "also"], WORLD.groups(), design=Design.ADD_ONE))
    found = rows(ranking)
    assert ranking.reference == "base"
    assert (found["good"].verdict, found["bad"].verdict) == (Verdict.HELPS, Verdict.HURTS)
    assert found["same"].verdict in (Verdict.NEUTRAL, Verdict.UNDECIDED)
    assert found["good"].verdict_from == "add-one"
    assert 0 < ranking.noise_floor < ranking.minimum_detectable_effect
    wide = rows(rank_study(study(scores, ["base", "good", "bad", "same", "also"], WORLD.groups(), design=Design.ADD_ONE), margin=0.15))
    assert wide["same"].verdict is Verdict.NEUTRAL


def test_one_repeat_and_few_repeats_and_small_sources_are_said():
    single = rank_study(solo({"q": {"a": 0.9, "b": 0.1}}, repeats=1))
    assert any("single repeat" in warning for warning in single.warnings)
    assert not any(pair.decided for pair in single.pairs)
    assert {row.tier for row in single.effects} == {1}
    assert any("only 2 repeats" in warning for warning in rank_study(solo({"q": {"a": 0.9, "b": 0.1}}, repeats=2)).warnings)


def test_an_arm_without_scores_is_named_and_left_out():
    inputs = solo({"q": {"a": 0.9, "b": 0.1, "c": 0.2}})
    inputs.benchmarks[0].values[:, 3] = np.nan
    ranking = rank_study(inputs)
    assert set(rows(ranking)) == {"a", "b"}
    assert any("not ranked" in warning and "c" in warning for warning in ranking.warnings)


def test_a_benchmark_without_scores_is_named_and_the_others_are_ranked():
    inputs = solo({"q": {"a": 0.9, "b": 0.1}, "gone": {"a": 0.9, "b": 0.1}})
    inputs.benchmarks[1].values[:] = np.nan
    ranking = rank_study(inputs)
    assert set(rows(ranking)) == {"a", "b"}
    assert "benchmark gone is left out: no probe is scored on it" in ranking.warnings


def test_a_benchmark_on_which_the_reference_failed_is_named_and_the_others_are_ranked():
    inputs = solo({"q": {"a": 0.9, "b": 0.1}, "half": {"a": 0.9, "b": 0.1}})
    inputs.benchmarks[1].values[:, 0] = np.nan
    ranking = rank_study(inputs)
    assert rows(ranking).keys() == {"a", "b"}
    assert any("half is left out: the reference untrained" in warning for warning in ranking.warnings)


def test_an_arm_that_lacks_a_new_benchmark_is_named_and_ranked_where_it_is_scored():
    inputs = solo({"q": {"a": 0.9, "b": 0.1, "c": 0.5}, "new": {"a": 0.9, "b": 0.1, "c": 0.5}})
    inputs.benchmarks[1].values[:, 3] = np.nan
    ranking = rank_study(inputs)
    assert rows(ranking).keys() == {"a", "b"}
    assert rows(ranking, "benchmark", "q").keys() == {"a", "b", "c"}
    assert any(warning.startswith("not ranked overall") and warning.endswith(": c") for warning in ranking.warnings)


def test_rows_and_pairs_carry_the_source_beside_the_arm():
    inputs = study({"q": WORLD.scores(np.random.default_rng(0), 3, 3)}, ["base", "a", "b"], WORLD.groups(), design=Design.ADD_ONE)
    named = replace(inputs, arms=tuple(replace(arm, name=f"+{arm.source}" if arm.source else arm.name) for arm in inputs.arms))
    ranking = rank_study(named)
    assert {(row.arm, row.source) for row in ranking.effects} == {("+a", "a"), ("+b", "b")}
    assert {(p.a, p.a_source, p.b, p.b_source) for p in ranking.pairs} == {("+a", "a", "+b", "b")}


def test_a_study_without_scores_is_refused():
    inputs = solo({"q": {"a": 0.9, "b": 0.1}})
    inputs.benchmarks[0].values[:] = np.nan
    with pytest.raises(ValueError, match="no scores yet"):
        rank_study(inputs)
    inputs = solo({"q": {"a": 0.9, "b": 0.1}})
    inputs.benchmarks[0].values[:, 0] = np.nan
    with pytest.raises(ValueError, match="reference"):
        rank_study(inputs)


def test_the_same_scores_give_the_same_ranking():
    assert rank_study(solo({"q": {"a": 0.5, "b": 0.1}})) == rank_study(solo({"q": {"a": 0.5, "b": 0.1}}))


def objective_of(benchmarks, arms, weights=None):
    return combination([benchmark.panel(list(range(arms)), []) for benchmark in benchmarks], range(arms), weights)


def test_confirmation_claims_only_what_beats_every_baseline():
    rng = np.random.default_rng(0)
    names = ["candidate", "base", "uniform"]
    beats_all, beats_one = np.array([0.5, 0.2, 0.3]), np.array([0.5, 0.2, 0.5])
    for truth, all_of_them in ((beats_all, True), (beats_one, False)):
        made = study({"q": WORLD.scores(rng, 3, 4, truth)}, ["base", "a", "b"], WORLD.groups(), design=Design.ADD_ONE)
        objective = objective_of(made.benchmarks, 3)
        found = confirm(names, made.benchmarks, "candidate", objective)
        assert found.holds == {"base": True, "uniform": all_of_them}
        assert found.gains["base"].low < 0.3 < found.gains["base"].high
    with pytest.raises(ValueError, match="baseline"):
        confirm(["candidate"], made.benchmarks, "candidate", objective)
    with pytest.raises(ValueError, match="nothing is scored on q"):
        confirm(names, (), "candidate", objective)


def test_a_gain_is_confirmed_in_the_objective_that_was_searched():
    rng = np.random.default_rng(3)
    truths = {"choice": np.array([0.5, 0.4]), "text": np.array([0.2, 0.8])}
    scores = {name: WORLD.scores(rng, 2, 4, truth) for name, truth in truths.items()}
    made = study(scores, ["base", "a"], WORLD.groups(), design=Design.ADD_ONE, free_text=("text",))
    names = ["candidate", "other"]
    for weights, sign in (({"choice": 1.0}, 1), ({"text": 1.0}, -1), ({"choice": 0.01, "text": 0.99}, -1)):
        objective = objective_of(made.benchmarks, 2, weights)
        panel = objective.panel([benchmark.panel([0, 1], []) for benchmark in made.benchmarks])
        gain = confirm(names, made.benchmarks, "candidate", objective).gains["other"].value
        assert np.sign(gain) == sign
        assert gain == pytest.approx(float(np.subtract(*panel.means.mean(axis=1))))


def test_the_overall_level_is_the_objective_of_equal_weights():
    inputs = solo({"one": {"a": 0.5, "b": 0.2}, "two": {"a": 0.1, "b": 0.3}}, free_text=("two",))
    parts = [benchmark.panel([0, 1, 2], [0]) for benchmark in inputs.benchmarks]
    objective = combination(parts, [1, 2], {"one": 5.0, "two": 5.0})
    assert objective.panel(parts).means == pytest.approx(level_panels(parts, [1, 2])[0].panel.means)
    within = [objective.within(name).panel(parts).means * weight for name, weight in objective.capabilities().items()]
    assert sum(within) == pytest.approx(objective.panel(parts).means)


def test_a_source_that_helps_one_capability_and_hurts_another_is_so_called_where_its_overall_effect_is_nil():
    rng, world, capabilities = np.random.default_rng(0), World(), {"a1": "a", "a2": "a", "b1": "b", "b2": "b"}
    signs = {"a": 1.0, "b": -1.0}
    scores = {name: world.scores(rng, 4, 5, np.array([0, signs[c], 0, 0]) * 0.5) for name, c in capabilities.items()}
    ranking = rank_study(study(scores, ["base", "x", "y", "z"], world.groups(), design=Design.ADD_ONE, capabilities=capabilities))
    found = {(row.level, row.name): row.verdict for row in ranking.effects if row.arm == "x"}
    assert found["overall", "overall"] not in (Verdict.HELPS, Verdict.HURTS)
    assert found["capability", "a"] is found["benchmark", "a1"] is found["benchmark", "a2"] is Verdict.HELPS
    assert found["capability", "b"] is found["benchmark", "b1"] is found["benchmark", "b2"] is Verdict.HURTS
    assert {row.verdict for row in ranking.effects if row.arm != "x"} <= {Verdict.UNDECIDED, Verdict.NEUTRAL}
