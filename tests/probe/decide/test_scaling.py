from __future__ import annotations

import numpy as np
import pytest
from decide_worlds import World

from db.values import ArmRole, Design
from probe.decide.panel import benchmark_panel
from probe.decide.scaling.bounds import Bounds, score_bounds
from probe.decide.scaling.choice import choose_law, forecast
from probe.decide.scaling.curves import curve_of, seed_covariance
from probe.decide.scaling.laws import Curve, Law, fit_exponents, growth
from probe.decide.scaling.study_curves import study_curves
from probe.decide.study_scores import BenchmarkArrays, StudyArm, StudyScores
from proxy_training.jobs import METRICS
from sources.estimate import Estimate

SIZES = 250.0 * 2 ** np.arange(5)
EXPONENT = {Law.LOG: 0.0, Law.POWER: 0.8, Law.SATURATING: -0.8}


def scores(law: Law, sizes: np.ndarray, rise: float = 0.2) -> np.ndarray:
    """A curve that rises by `rise` over `SIZES`."""
    whole = growth(SIZES[-1:], SIZES[0], EXPONENT[law])[0]
    return 0.3 + rise * growth(sizes, SIZES[0], EXPONENT[law]) / whole


def noisy(law: Law, deviation: float, rng: np.random.Generator, seeds: int = 5, rise: float = 0.2) -> Curve:
    runs = scores(law, SIZES, rise)[:, None] + deviation * rng.standard_normal((len(SIZES), seeds)) + 0.01 * rng.standard_normal((1, seeds))
    covariance, df = seed_covariance(runs)
    return Curve(SIZES, runs.mean(axis=1), covariance / seeds, df)


@pytest.mark.parametrize("law", list(Law))
def test_a_curve_without_noise_gives_its_law_and_its_future(law: Law) -> None:
    curve = Curve(SIZES, scores(law, SIZES), 1e-8 * np.eye(len(SIZES)), 16.0)
    choice = choose_law(curve)
    assert (choice.law, choice.told, choice.possible) == (law, True, (law,))
    assert choice.exponent.value == pytest.approx(EXPONENT[law], abs=0.02)
    ahead = forecast(curve, [16_000.0])[0]
    assert ahead.value == pytest.approx(scores(law, np.array([16_000.0]))[0], abs=2e-3)
    assert abs(choice.held_out[law].value) < 1e-3


@pytest.mark.parametrize("law", list(Law))
def test_of_noisy_curves_the_law_that_is_told_is_right_and_the_forecast_covers(law: Law) -> None:
    rng, right, told, covered = np.random.default_rng(5), 0, 0, 0
    for _ in range(40):
        curve = noisy(law, 0.01, rng)
        choice = choose_law(curve)
        told += choice.told
        right += choice.told and choice.law is law
        ahead = forecast(curve, [2 * SIZES[-1]])[0]
        covered += ahead.low <= scores(law, np.array([2 * SIZES[-1]]))[0] <= ahead.high
    assert told >= 20
    assert right >= 0.9 * told
    assert covered >= 31  # of 40 intervals at .90, all but one time in a hundred


def test_in_the_noise_no_law_is_told_and_the_sentence_says_why() -> None:
    flat = choose_law(noisy(Law.LOG, 0.02, np.random.default_rng(1), rise=0.0))
    assert not flat.told
    assert flat.doubling.low <= 0 <= flat.doubling.high
    assert "no law can be told" in flat.sentence()
    rising = choose_law(noisy(Law.LOG, 0.03, np.random.default_rng(2)))
    assert not rising.told
    assert len(rising.possible) > 1
    assert "too few to tell" in rising.sentence()


def test_one_more_run_at_the_size_that_would_part_the_laws_parts_them() -> None:
    rng, told, asked = np.random.default_rng(3), 0, 0
    while asked < 20:
        curve = noisy(Law.LOG, 0.02, rng)
        parts_at = choose_law(curve).parts_at
        if parts_at is None:
            continue
        asked += 1
        assert parts_at > SIZES[-1]
        more = np.zeros((6, 6))
        more[:5, :5], more[5, 5] = curve.covariance, np.diag(curve.covariance).mean()
        score = scores(Law.LOG, np.array([parts_at]))[0] + np.sqrt(more[5, 5]) * rng.standard_normal()
        told += choose_law(Curve(np.append(SIZES, parts_at), np.append(curve.scores, score), more, curve.df)).told
    assert told >= 10


def test_one_exponent_is_fitted_as_generalised_least_squares_does() -> None:
    rng = np.random.default_rng(0)
    mixed = rng.standard_normal((5, 5))
    curve = Curve(SIZES, rng.standard_normal(5), mixed @ mixed.T + np.eye(5), 8.0)
    fits = fit_exponents(curve, [0.0])
    root = np.linalg.cholesky(np.linalg.inv(curve.covariance)).T
    design = np.column_stack([np.ones(5), np.log(SIZES / curve.unit)])
    expected, misfit, *_ = np.linalg.lstsq(root @ design, root @ curve.scores, rcond=None)
    assert fits.coefficients[0] == pytest.approx(expected)
    assert fits.misfit[0] == pytest.approx(misfit[0])


def test_items_and_seeds_both_widen_a_curve_and_sizes_are_sorted() -> None:
    world = World(seed=0.05)
    panel = benchmark_panel(world.scores(np.random.default_rng(0), 3, 4, np.array([0.0, 0.1, 0.2])), world.groups())
    curve = curve_of(panel, [2, 0, 1], [1000, 250, 500])
    assert curve.sizes.tolist() == [250, 500, 1000]
    assert curve.scores == pytest.approx(panel.means.mean(axis=1))
    seeds, _ = seed_covariance(panel.means)
    assert (np.diag(curve.covariance) > np.diag(seeds / 4)).all()
    with pytest.raises(ValueError, match="at least 2 seeds"):
        curve_of(benchmark_panel(world.scores(np.random.default_rng(0), 3, 1), world.groups()), [0, 1, 2], [1, 2, 3])


def test_a_study_with_two_sizes_shows_its_scores_and_says_what_a_law_needs() -> None:
    world, rng = World(), np.random.default_rng(0)
    values = np.full((len(METRICS), 2, 3, len(world.groups())), np.nan)
    values[METRICS.index("right_probability")] = values[METRICS.index("accuracy")] = world.scores(rng, 2, 3)
    arms = tuple(StudyArm(f"a@{size}", ArmRole.SOURCE, Design.LADDER, "a") for size in (250, 500))
    inputs = StudyScores("s", 1, "tiny", True, arms, (BenchmarkArrays("b", "c", values, world.groups()),))
    found = study_curves(inputs, {"a": {"a@250": 250.0, "a@500": 500.0}})
    assert {(curve.level, curve.name) for curve in found} == {("overall", "overall"), ("capability", "c"), ("benchmark", "b")}
    assert all(curve.choice is None and "3 sizes" in curve.why for curve in found)
    assert [size for size, _ in found[0].points] == [250.0, 500.0]
    with pytest.raises(ValueError, match="no scores"):
        study_curves(inputs, {"b": {"b@1": 1.0}})


@pytest.mark.parametrize(
    ("metric", "low", "high"),
    [
        ("right_probability", 0.0, 1.0),
        ("right_probability_per_token", 0.0, 1.0),
        ("accuracy", 0.0, 1.0),
        ("generated", 0.0, 1.0),
        ("bits_per_byte", -np.inf, 0.0),
        ("standardised score", -np.inf, np.inf),
    ],
)
def test_what_a_score_can_be(metric: str, low: float, high: float) -> None:
    assert score_bounds(metric) == Bounds(low, high)


def test_a_forecast_keeps_within_what_the_score_can_be_and_never_claims_its_end_for_certain() -> None:
    last, bounds = Estimate(0.97, 0.01, 0.95, 0.99, 3), Bounds(0.0, 1.0)
    assert bounds.keep(Estimate(0.8, 0.1, 0.7, 0.9, 3), last) == Estimate(0.8, 0.1, 0.7, 0.9, 3)
    partly = bounds.keep(Estimate(0.9, 0.1, 0.8, 1.2, 3), last)
    assert (partly.value, partly.low, partly.high) == (0.9, 0.8, 1.0)
    assert 0 < partly.stderr < 0.1
    beyond = bounds.keep(Estimate(1.84, 0.2, 1.5, 2.2, 3), last)
    assert (beyond.value, beyond.low, beyond.high) == (1.0, 0.95, 1.0)
    under = bounds.keep(Estimate(-0.4, 0.2, -0.6, -0.1, 3), Estimate(0.1, 0.01, 0.08, 0.12, 3))
    assert (under.value, under.low, under.high) == (0.0, 0.0, 0.12)
    assert Bounds().keep(Estimate(1.84, 0.2, 1.5, 2.2, 3), last).value == 1.84


def test_cut_forecasts_of_a_saturating_score_cover_as_promised() -> None:
    """A score that levels off below 1, seen while it still rises: the laws' own forecasts go beyond, the cut ones keep the truth inside."""
    rng, bounds = np.random.default_rng(7), Bounds(0.0, 1.0)
    sizes, ahead = SIZES[:3], 8 * SIZES[2]

    def truth(size: float) -> float:
        return float(1 / (1 + np.exp(-(np.log(size / 700.0)) * 1.6)))

    crossed, covered, own = 0, 0, 0
    for _ in range(60):
        runs = np.array([truth(size) for size in sizes])[:, None] + 0.01 * rng.standard_normal((3, 4))
        covariance, df = seed_covariance(runs)
        curve = Curve(sizes, runs.mean(axis=1), covariance / 4, df)
        free = forecast(curve, [ahead])[0]
        kept = bounds.keep(free, curve.estimates(0.9)[-1])
        assert 0 <= kept.low <= kept.value <= kept.high <= 1
        crossed += free.value > 1
        own += free.low <= truth(ahead) <= free.high
        covered += kept.low <= truth(ahead) <= kept.high
    assert crossed >= 10
    assert covered >= own
    assert covered >= 48  # of 60 at .90


def test_a_study_s_curve_says_where_its_forecasts_are_cut() -> None:
    world, rng = World(), np.random.default_rng(0)
    arms = tuple(StudyArm(f"a@{size:.0f}", ArmRole.SOURCE, Design.LADDER, "a") for size in SIZES[:3])
    values = np.full((len(METRICS), 3, 3, len(world.groups())), np.nan)
    rising = np.array([0.2, 0.5, 0.9])[:, None, None] + 0.02 * rng.standard_normal((3, 3, len(world.groups())))
    values[METRICS.index("right_probability")] = values[METRICS.index("accuracy")] = rising
    inputs = StudyScores("s", 1, "tiny", True, arms, (BenchmarkArrays("b", "c", values, world.groups()),))
    ladders = {"a": {arm.name: float(size) for arm, size in zip(arms, SIZES[:3], strict=True)}}
    found = study_curves(inputs, ladders, at=(4_000.0,))[0]
    assert [0 <= one.low < one.value == one.high == 1 for _, one in found.forecasts] == [True]
    assert found.cut.startswith("forecasts are cut at 1, where this score ends: these sizes do not show where it levels off")
    assert study_curves(inputs, ladders, at=(1_010.0,))[0].cut == ""
