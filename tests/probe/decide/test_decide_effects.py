from itertools import combinations

import numpy as np
import pytest
from decide_worlds import World, calibration, null_studies, paired_effects

from probe.decide.effects import contrasts, effects, family_prior, half_width, tail_of
from probe.decide.moderation import VariancePrior, fit_prior, pooled_degrees_of_freedom
from probe.decide.panel import benchmark_panel, combine

# Binomial error of 300 studies of 4 arms that share their base is about .014: .90 to .91 and 3 deviations either way.
COVERAGE = (0.865, 0.95)


@pytest.mark.parametrize("repeats", [3, 5])
@pytest.mark.parametrize(
    "world", [World(), World(unequal=0.4), World(heavy=True), World(shared_seed=0.2)], ids=["plain", "unequal", "heavy", "shared"]
)
def test_intervals_cover_new_seeds_and_new_items_and_null_arms_are_rarely_decided(world, repeats):
    found = calibration(world, sources=4, repeats=repeats, studies=300, seed=7)
    assert COVERAGE[0] <= found["cover_base"] <= COVERAGE[1]
    assert COVERAGE[0] <= found["cover_untrained"] <= COVERAGE[1]
    assert found["false_verdict"] <= 0.085  # .05 and 2.8 binomial deviations of 300
    assert found["false_tier"] <= 0.085


def test_coverage_and_false_verdicts_in_a_larger_sample():
    found = calibration(World(), sources=3, repeats=3, studies=1000, seed=11)
    assert 0.88 <= found["cover_base"] <= 0.94
    assert found["false_verdict"] <= 0.06


def test_reported_stderr_matches_the_spread_of_the_estimates():
    rows = [(one.base.value, one.base.stderr**2) for one in null_studies(World(), 4, 5, 400, seed=3)]
    values, variances = (np.array(part) for part in zip(*rows, strict=True))
    assert np.sqrt(variances.mean()) == pytest.approx(values.std(), rel=0.08)


def test_ignoring_clusters_or_seeds_would_be_too_sure():
    world = World()
    rows = []
    for one in null_studies(world, 2, 3, 200, seed=5):
        rows.append((one.base.value[0] ** 2, one.base.item_variance[0], one.base.seed_variance[0] / 3))
    spread, items, seeds = np.mean(rows, axis=0)
    assert items < 0.6 * spread
    assert seeds < spread
    assert items + seeds == pytest.approx(spread, rel=0.25)


def test_pairing_by_repeat_reduces_variance_when_seeds_share_a_deviation():
    rng = np.random.default_rng(0)
    world = World(shared_seed=0.2, seed=0.02)
    scores = world.scores(rng, 2, 40)
    shuffled = scores.copy()
    shuffled[1] = shuffled[1][rng.permutation(40)]
    paired, unpaired = (paired_effects(values, world.groups(), [(0, 1)]) for values in (scores, shuffled))
    assert paired.value == pytest.approx(unpaired.value)
    assert paired.stderr[0] < 0.5 * unpaired.stderr[0]


def test_balanced_data_give_the_textbook_variance_components():
    rng = np.random.default_rng(1)
    scores = rng.standard_normal((2, 4, 30)) + rng.standard_normal((2, 1, 30)) + rng.standard_normal((2, 4, 1))
    found = paired_effects(scores, np.arange(30), [(0, 1)])
    d = scores[0] - scores[1]
    rows, columns = d.mean(axis=1), d.mean(axis=0)
    inter = ((d - rows[:, None] - columns[None] + d.mean()) ** 2).sum() / (3 * 29)
    assert found.value[0] == pytest.approx(d.mean())
    assert found.stderr[0] ** 2 == pytest.approx(rows.var(ddof=1) / 4 + columns.var(ddof=1) / 30 - inter / 120)


def test_one_cluster_an_item_without_item_noise_is_a_plain_t_interval():
    from scipy.stats import ttest_1samp

    runs = np.array([[0.1, 0.4, 0.2, 0.6], [0.0, 0.1, 0.3, 0.1]])
    scores = np.repeat(runs[:, :, None], 6, axis=2)
    found = paired_effects(scores, np.arange(6), [(0, 1)])
    wanted = ttest_1samp(runs[0] - runs[1], 0.0)
    assert found.p_two_sided()[0] == pytest.approx(wanted.pvalue, rel=1e-6)
    interval = wanted.confidence_interval(0.9)
    estimate = found.estimates(0.9)[0]
    assert (estimate.low, estimate.high) == pytest.approx((interval.low, interval.high))
    assert estimate.n == 6


def test_p_value_and_interval_agree():
    for one in null_studies(World(), 3, 3, 20, seed=2):
        for level in (0.5, 0.9, 0.999):
            outside = np.abs(one.base.value) > one.base.half_width(level)
            assert (outside == (one.base.p_two_sided() < 1 - level)).all()


def test_tiny_tails_keep_their_digits():
    width = half_width(-1e-12, 1.0, 1e9, 0.0, 1e9)
    assert width == pytest.approx(7.03448, rel=1e-4)


def test_a_tail_is_the_interval_that_just_reaches():
    rng = np.random.default_rng(0)
    parts = rng.exponential(size=500), rng.choice([2.0, 8.0, 300.0], 500), rng.exponential(size=500) * rng.choice([0, 0.1, 1], 500)
    distance, item_df = rng.exponential(size=500) * 3, rng.uniform(1, 80, 500)
    tail = tail_of(distance, *parts, item_df)
    assert (tail < 0.5).all()
    reach, known = half_width(-tail, *parts, item_df), tail > 1e-15
    assert reach[known] == pytest.approx(distance[known], rel=1e-6)
    assert known.mean() > 0.9
    assert (reach <= distance * (1 + 1e-6)).all()


def test_repeats_missing_in_one_arm_are_left_out_of_its_pairs_only():
    rng = np.random.default_rng(4)
    world = World()
    scores = world.scores(rng, 3, 5)
    scores[2, 3:] = np.nan
    found = paired_effects(scores, world.groups(), [(0, 1), (0, 2)])
    assert found.repeats.tolist() == [5, 3]
    assert found.value[1] == pytest.approx((scores[0, :3] - scores[2, :3]).mean())


def test_items_that_some_probe_lacks_are_left_out_of_all():
    rng = np.random.default_rng(4)
    world = World()
    scores = world.scores(rng, 2, 3)
    scores[0, 1, :3] = np.nan
    found = paired_effects(scores, world.groups(), [(0, 1)])
    assert found.n[0] == scores.shape[2] - 3
    assert found.value[0] == pytest.approx((scores[0] - scores[1])[:, 3:].mean())


def test_a_single_repeat_decides_nothing():
    rng = np.random.default_rng(4)
    world = World()
    found = paired_effects(world.scores(rng, 2, 1, np.array([5.0, 0.0])), world.groups(), [(0, 1)])
    assert found.p_two_sided()[0] == 1.0
    assert not found.seeds_known[0]
    assert np.isfinite(found.half_width(0.9)[0])


def test_an_arm_with_one_repeat_borrows_the_seed_variance_of_the_others():
    rng = np.random.default_rng(4)
    world = World()
    scores = world.scores(rng, 5, 4, np.array([3.0, 0, 0, 0, 0]))
    scores[0, 1:] = np.nan
    found = paired_effects(scores, world.groups(), [(0, 1)])
    assert found.repeats[0] == 1
    assert found.seed_variance[0] > 0
    assert found.p_two_sided()[0] < 0.01


def test_the_untrained_reference_adds_no_seed_variance():
    scores = np.zeros((2, 3, 8))
    scores[0] = np.array([0.1, 0.2, 0.6])[:, None]
    scores[1, 1:] = np.nan
    found = paired_effects(scores, np.arange(8), [(0, 1)], one_run=[1])
    assert found.seed_variance[0] == pytest.approx(np.var([0.1, 0.2, 0.6], ddof=1))
    assert found.repeats[0] == 3


def test_bad_shapes_are_refused():
    with pytest.raises(ValueError, match="arm, repeat, item"):
        benchmark_panel(np.zeros((2, 3)), np.zeros(3))
    with pytest.raises(ValueError, match="two image clusters"):
        benchmark_panel(np.zeros((2, 3, 4)), np.zeros(4))
    with pytest.raises(ValueError, match="no repeat in common"):
        contrasts(benchmark_panel(np.array([[[1.0, 2], [np.nan, np.nan]], [[np.nan, np.nan], [1, 2]]]), [0, 1]), [(0, 1)])


def test_shared_images_are_not_counted_as_independent():
    rng = np.random.default_rng(0)
    world = World(seed=0.0, shared_seed=0.0)
    scores, groups = world.scores(rng, 2, 4), world.groups()
    pairs = [(0, 1)]
    halves = {}
    for pool in ("same", ""):
        panels = [benchmark_panel(scores, groups, pool=pool or str(k)) for k in range(2)]
        panel = combine(panels, [0.5, 0.5])
        halves[pool] = effects(contrasts(panel, pairs), family_prior(panel, [0, 1])).item_variance[0]
    assert halves["same"] == pytest.approx(2 * halves[""], rel=0.02)


def test_moderation_shrinks_towards_the_pooled_variance():
    rng = np.random.default_rng(0)
    s2 = 4.0 * rng.chisquare(2, 200) / 2
    prior = fit_prior(s2, np.full(200, 2.0), 400)
    moderated, df = prior.moderate(s2, np.full(200, 2.0))
    assert prior.variance == pytest.approx(4.0, rel=0.25)
    assert moderated.std() < 0.3 * s2.std()
    assert (df > 10).all()
    assert (np.diff(moderated[np.argsort(s2)]) >= 0).all()


def test_moderation_recovers_a_known_prior():
    rng = np.random.default_rng(1)
    variances = 10 * 2.0 / rng.chisquare(10, 4000)
    prior = fit_prior(variances * rng.chisquare(4, 4000) / 4, np.full(4000, 4.0), 1e9)
    assert prior.df == pytest.approx(10, rel=0.25)
    assert prior.variance == pytest.approx(2.0, rel=0.05)


def test_contrasts_that_share_an_arm_do_not_make_variances_look_alike():
    rng = np.random.default_rng(2)
    shared, pairs = [], list(combinations(range(40), 2))
    for _ in range(20):  # arms' variances spread as lognormal of deviation 1.2, known all but exactly
        own = np.exp(rng.normal(0, 1.2, 40))
        variances = np.array([own[a] + own[b] for a, b in pairs])
        shared.append(fit_prior(variances, np.full(len(pairs), 1e4), 1e9, pairs).df)
    alone = np.exp(rng.normal(0, 1.2, (20000, 2))).sum(axis=1)
    assert np.mean(shared) == pytest.approx(fit_prior(alone, np.full(20000, 1e4), 1e9).df, rel=0.1)


def test_few_arms_and_seeds_do_not_overrule_that_variances_may_differ():
    alike = fit_prior(np.ones(10), np.full(10, 2.0), 1e9, list(combinations(range(5), 2)))
    assert 2 < alike.df < 12
    assert fit_prior(np.ones(10), np.full(10, 30.0), 1e9, list(combinations(range(5), 2))).df > 50


def test_no_prior_is_the_plain_variance():
    s2, df = np.array([1.0, 9.0]), np.array([2.0, 2.0])
    assert [part.tolist() for part in VariancePrior(5.0, 0.0, 4.0).moderate(s2, df)] == [s2.tolist(), df.tolist()]
    assert fit_prior([3.0], [2.0], 2.0).df == 0


def test_a_shared_seed_effect_is_not_counted_once_an_arm():
    rng = np.random.default_rng(0)
    shared = np.repeat(rng.standard_normal((1, 5)), 10, axis=0) + 0.01 * rng.standard_normal((10, 5))
    apart = rng.standard_normal((10, 200))
    assert pooled_degrees_of_freedom(shared, centred=False) == pytest.approx(4, rel=0.05)
    assert pooled_degrees_of_freedom(shared, centred=True) > 12
    assert pooled_degrees_of_freedom(apart, centred=False) == pytest.approx(1990, rel=0.02)
