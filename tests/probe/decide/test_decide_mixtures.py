import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.decide.search import SearchSettings, search_mixture
from probe.decide.simplex import ShareBounds, divergence, from_exponentials, sobol_mixtures, to_exponentials
from probe.decide.surrogates import GaussianProcess, Objective
from probe.decide.swarm import swarm_mixtures

BEST = np.array([0.5, 0.3, 0.2, 0.0])
NOISE = 0.01
SOURCES = ("a", "b", "c", "damaged")
QUICK = SearchSettings(trials=40, points=1024, draws=64)


def surface(weights):
    """Return a concave response with its optimum at `BEST`; the last source only does harm."""
    return -(((np.sqrt(weights) - np.sqrt(BEST)) ** 2).sum(axis=-1)) + 1.0


def fitted(seed=0, n=20):
    rng = np.random.default_rng(seed)
    runs = np.array([m.shares for m in swarm_mixtures(SOURCES, n, seed, np.full(4, 0.25), repeated=0)])
    y = surface(runs) + NOISE * rng.standard_normal(n)
    return runs, y, GaussianProcess().fit(runs, y, np.full(n, NOISE**2))


def found(seed=0, *, bounds=None, search=QUICK):
    runs, _, model = fitted(seed)
    return search_mixture(Objective([model]), SOURCES, np.full(4, 0.25), bounds or ShareBounds.of(4), observed=runs, settings=search)


def test_the_process_predicts_held_out_mixtures_and_knows_how_well():
    _, _, model = fitted(n=30)
    points = sobol_mixtures(400, 4, 9)
    mean, deviation = model.predict(points)
    assert np.corrcoef(mean, surface(points))[0, 1] > 0.95
    assert np.mean(np.abs(mean - surface(points)) < 1.645 * deviation) > 0.8
    assert np.sqrt(np.diag(model.covariance(points[:5]))) == pytest.approx(deviation[:5], rel=1e-4)


def test_a_known_noise_is_not_fitted():
    runs, y, model = fitted()
    noisy = GaussianProcess().fit(runs, y, np.full(len(y), 100.0))
    assert np.ptp(noisy.predict(runs)[0]) < 0.2 * np.ptp(model.predict(runs)[0])


def test_the_known_optimum_is_recovered_from_twenty_runs():
    optimum = found()
    chosen = np.array([optimum.weights[name].value for name in SOURCES])
    assert chosen.sum() == pytest.approx(1.0)
    assert surface(chosen) > 0.98
    assert surface(chosen) > max(surface(np.full(4, 0.25)), surface(np.eye(4)).max())
    assert np.abs(chosen - BEST).max() < 0.12


def test_predicted_gain_holds_the_truth_against_every_baseline():
    optimum = found()
    chosen = np.array([optimum.weights[name].value for name in SOURCES])
    assert set(optimum.predicted_gain) == {"base", "uniform", "proportional", "best_single"}
    for name, gain in optimum.predicted_gain.items():
        weights = np.array([optimum.baselines[name][source] for source in SOURCES])
        truth = surface(chosen) - surface(weights)
        assert gain.value == pytest.approx(truth, abs=max(0.05, 3 * gain.stderr))
    assert optimum.predicted_gain["uniform"].low > 0


def test_bootstrap_intervals_mostly_hold_the_true_optimum():
    inside = []
    for seed in range(5):
        optimum = found(seed)
        inside += [
            optimum.weights[name].low - 0.01 <= truth <= optimum.weights[name].high + 0.01
            for name, truth in zip(SOURCES, BEST, strict=True)
        ]
    assert np.mean(inside) >= 0.8


def test_a_damaged_source_gets_no_weight_beyond_noise():
    for seed in range(3):
        weight = found(seed).weights["damaged"]
        assert weight.value < 0.03
        assert weight.low < 0.01


def test_pure_noise_of_known_size_is_rarely_a_gain():
    gains = []
    for seed in range(10):
        runs = sobol_mixtures(24, 4, seed)
        model = GaussianProcess().fit(runs, np.random.default_rng(seed).standard_normal(24), np.ones(24))
        search = SearchSettings(trials=10, points=512, draws=64, seed=seed)
        optimum = search_mixture(Objective([model]), SOURCES, np.full(4, 0.25), ShareBounds.of(4), settings=search)
        gains.append(optimum.predicted_gain["base"].low > 0)
    assert np.mean(gains) <= 0.2
    widest = max(optimum.weights.values(), key=lambda weight: weight.high - weight.low)
    assert widest.high - widest.low > 0.1


def test_a_share_below_one_percent_is_dropped_or_worth_it():
    for seed in range(3):
        shares = found(seed).shares()
        assert all(share >= 0.01 for share in shares.values())


def test_a_high_price_of_distance_keeps_the_base():
    tight = found(search=SearchSettings(trials=20, points=512, draws=64, trust=100.0))
    assert [tight.weights[name].value for name in SOURCES] == pytest.approx([0.25] * 4, abs=0.02)


def test_the_search_is_deterministic_and_reports_progress():
    seen = []
    _, _, model = fitted()
    again = [
        search_mixture(
            Objective([model]), SOURCES, np.full(4, 0.25), ShareBounds.of(4), settings=QUICK, progress=lambda k, n: seen.append((k, n))
        )
        for _ in range(2)
    ]
    assert again[0].weights == again[1].weights
    assert seen[:40] == [(k, 40) for k in range(1, 41)]


def test_trials_go_to_the_storage_that_was_given(tmp_path):
    import optuna

    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    found(search=SearchSettings(trials=5, points=256, draws=64, storage=url, study="mine"))
    assert len(optuna.load_study(study_name="mine", storage=url).trials) == 5


def test_several_targets_are_weighted():
    runs = sobol_mixtures(40, 3, 0)
    models = [GaussianProcess().fit(runs, np.sqrt(runs[:, k])) for k in range(2)]
    for coefficients, ahead in (((1.0, 0.1), 0), ((0.1, 1.0), 1)):
        optimum = search_mixture(Objective(models, coefficients), ("x", "y", "z"), np.full(3, 1 / 3), ShareBounds.of(3), settings=QUICK)
        assert max(optimum.shares(), key=lambda name: optimum.shares()[name]) == ("x", "y")[ahead]


@given(
    usable=st.lists(st.integers(1, 5000), min_size=2, max_size=6),
    budget=st.integers(1, 4000),
    cap=st.floats(0.5, 8),
    seed=st.integers(0, 100),
)
@settings(max_examples=60, deadline=None)
def test_projection_obeys_the_epoch_cap(usable, budget, cap, seed):
    if cap * sum(usable) < budget * 1.001:
        with pytest.raises(ValueError, match="the largest possible budget is"):
            ShareBounds.of(len(usable), usable=usable, budget=budget * 1.002, epoch_cap=cap)
        return
    bounds = ShareBounds.of(len(usable), usable=usable, budget=budget, epoch_cap=cap)
    points = bounds.project(np.random.default_rng(seed).normal(0, 2, (20, len(usable))))
    assert (points * budget <= cap * np.array(usable) * (1 + 1e-9)).all()
    assert (points >= 0).all()
    assert points.sum(axis=1) == pytest.approx(1.0, abs=1e-9)
    assert bounds.project(points) == pytest.approx(points, abs=1e-9)


def test_the_search_obeys_caps_and_least_shares():
    bounds = ShareBounds.of(4, least=(0, 0, 0, 0.1), usable=(300, 1000, 1000, 1000), budget=1000, epoch_cap=1.0)
    optimum = found(bounds=bounds)
    assert optimum.weights["a"].value <= 0.3 + 1e-9
    assert optimum.weights["a"].high <= 0.3 + 1e-9
    assert optimum.weights["damaged"].value >= 0.1 - 1e-9


def test_exponentials_invert():
    points = sobol_mixtures(50, 5, 3)
    assert from_exponentials(to_exponentials(points)) == pytest.approx(points, abs=1e-5)
    assert divergence(np.full((1, 4), 0.25), np.full(4, 0.25))[0] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("min_active", [1, 2, 3])
def test_a_swarm_fills_the_simplex_with_repeats(min_active):
    base = np.array([0.4, 0.3, 0.2, 0.1])
    swarm = swarm_mixtures(SOURCES, 16, 1, base, min_active=min_active)
    points = np.array([m.shares for m in swarm])
    assert points.sum(axis=1) == pytest.approx(1.0)
    assert points[0] == pytest.approx(base)
    assert points[1] == pytest.approx(0.25)
    assert [m.repeats for m in swarm] == [3, 3] + [1] * 14
    assert ((points > 0).sum(axis=1) >= min_active).all()
    distances = np.linalg.norm(np.sqrt(points)[:, None] - np.sqrt(points)[None], axis=2) + 9 * np.eye(16)
    at_random = np.sqrt(np.random.default_rng(0).dirichlet(np.ones(4), 16))
    assert distances[2:].min() > (np.linalg.norm(at_random[:, None] - at_random[None], axis=2) + 9 * np.eye(16)).min()
    assert swarm == swarm_mixtures(SOURCES, 16, 1, base, min_active=min_active)


def test_the_first_of_a_larger_swarm_are_the_smaller_swarm():
    base = np.array([0.4, 0.3, 0.2, 0.1])
    small, large = (swarm_mixtures(SOURCES, n, 0, base) for n in (12, 24))
    assert large[:12] == small
    again = swarm_mixtures(SOURCES, 24, 0, base, existing=[m.shares for m in small])
    assert again == large


def test_a_swarm_has_single_sources_only_where_they_are_asked_for():
    for count in (4, 9):
        names, base = [f"s{k}" for k in range(count)], np.full(count, 1 / count)
        alone = [max(m.shares) for m in swarm_mixtures(names, 60, 0, base)]
        assert max(alone) < 1
        with_vertices = [max(m.shares) for m in swarm_mixtures(names, 60, 0, base, vertices=True)]
        assert sum(share == 1 for share in with_vertices) == count


def test_a_swarm_keeps_away_from_the_mixtures_that_are_there():
    known = swarm_mixtures(SOURCES, 12, 0, np.full(4, 0.25))[2:]
    swarm = swarm_mixtures(SOURCES, 16, 5, np.full(4, 0.25), existing=[m.shares for m in known])
    points = np.sqrt(np.array([m.shares for m in swarm]))
    assert [m.shares for m in swarm[1:11]] == [m.shares for m in known]
    distances = np.linalg.norm(points[:, None] - points[None], axis=2) + 9 * np.eye(16)
    assert distances.min() > 0.1


def test_a_swarm_can_hold_the_vertices():
    points = np.array([m.shares for m in swarm_mixtures(SOURCES, 8, 0, np.full(4, 0.25), vertices=True)])
    assert (points.max(axis=1) == 1).sum() == 4
    assert len({tuple(row) for row in points.round(6).tolist()}) == 8  # the base is uniform here and counted once


def test_bad_calls_are_refused():
    with pytest.raises(ValueError, match="two runs"):
        GaussianProcess().fit(np.ones((1, 3)), np.ones(1))
    with pytest.raises(ValueError, match="min_active"):
        swarm_mixtures(SOURCES, 8, 0, np.full(4, 0.25), min_active=9)


def test_weight_intervals_hold_the_true_optimum_as_often_as_they_say():
    # The truth is a bowl whose best mixture is drawn anew in each world.
    inside, widths = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        best, runs = rng.dirichlet(np.full(3, 2.0)), sobol_mixtures(16, 3, seed)
        y = -4 * ((runs - best) ** 2).sum(axis=1) + 0.1 * rng.standard_normal(16)
        model = GaussianProcess().fit(runs, y, np.full(16, 0.01))
        search = SearchSettings(trials=10, points=1024, seed=seed, trust=0.0)
        optimum = search_mixture(Objective([model]), SOURCES[:3], np.full(3, 1 / 3), ShareBounds.of(3), settings=search)
        ends = zip(optimum.weights.values(), best, strict=True)
        inside += [weight.low - 0.01 <= share <= weight.high + 0.01 for weight, share in ends]
        widths += [weight.high - weight.low for weight in optimum.weights.values()]
    assert np.mean(inside) >= 0.8
    assert np.median(widths) < 0.5
