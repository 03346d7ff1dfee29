"""Surrogates recover surfaces of known law, know how well, and agree with themselves."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from probe.decide.simplex import sobol_mixtures
from probe.decide.surrogates import GaussianProcess, MixingLaw, Ridge, Stacked, Trees, fit_objective
from probe.decide.surrogates.cross_validation import folds, simplex_shares
from probe.decide.surrogates.kernels import Guided, Linear, Matern
from probe.decide.surrogates.robust import robust_scores, without_bad_tail

KINDS = (GaussianProcess, Ridge, MixingLaw, Trees)
SOURCES = 4
POINTS = sobol_mixtures(200, SOURCES, 99)


def linear(w):
    return w @ np.array([1.0, -0.5, 0.2, 0.0]) + np.sqrt(w) @ np.array([0.3, 0.6, 0.0, -0.4])


def law(w):
    return -1.5 - np.exp(w @ np.array([-2.0, 1.0, 0.3, -0.5]))


def bent(w):
    return np.exp(-8 * ((np.sqrt(w) - 0.5) ** 2).sum(axis=1))


def steps(w):
    return 1.0 * (w[:, 0] > 0.3) + 0.5 * (w[:, 1] > 0.2)


def runs(truth, n, noise=0.05, seed=0):
    points = sobol_mixtures(n, SOURCES, seed)
    return points, truth(points) + noise * truth(POINTS).std() * np.random.default_rng(seed).standard_normal(n)


def explained(model, truth):
    return 1 - ((model.predict(POINTS)[0] - truth(POINTS)) ** 2).mean() / truth(POINTS).var()


@pytest.mark.parametrize("kernel", [Matern(), Linear(), Guided()])
def test_gradients_are_those_of_the_kernel(kernel):
    rng = np.random.default_rng(0)
    points = rng.random((9, 3))
    prior = kernel.prior(3)
    theta = prior.centre + rng.normal(0, 0.3, len(prior.centre))
    sensitivity = rng.standard_normal((9, 9))
    sensitivity += sensitivity.T
    numeric = approx_fprime(theta, lambda t: (sensitivity * kernel.between(t, points, points)).sum(), 1e-6)
    assert kernel.gradient(theta, points, sensitivity) == pytest.approx(numeric[:-1], abs=1e-4)
    assert np.diag(kernel.between(theta, points, points)) == pytest.approx(kernel.diagonal(theta, points))


@pytest.mark.parametrize(("kind", "truth", "n", "least"), [
    (GaussianProcess, bent, 40, 0.97),
    (Ridge, linear, 40, 0.98),
    (MixingLaw, law, 30, 0.98),
    (Trees, steps, 120, 0.85),
])  # fmt: skip
def test_each_recovers_its_own_law(kind, truth, n, least):
    assert explained(kind().fit(*runs(truth, n)), truth) > least


@pytest.mark.parametrize("truth", [bent, linear, law])
def test_the_stack_is_no_worse_than_the_best_within_noise(truth):
    points, y = runs(truth, 48)
    objective, choice = fit_objective(points, y[:, None])
    left = {kind.__name__: 1 - explained(kind().fit(points, y), truth) for kind in KINDS}
    assert 1 - explained(objective, truth) < 1.5 * min(left.values()) + 0.05**2
    assert sum(choice.shares.values()) == pytest.approx(1)
    assert choice.spearman.low > 0.9


@pytest.mark.parametrize("kind", [GaussianProcess, Ridge, MixingLaw])
def test_intervals_hold_the_surface_and_new_runs_as_often_as_they_say(kind):
    truth = {GaussianProcess: bent, Ridge: linear, MixingLaw: law}[kind]
    surface, new = [], []
    noise = 0.3 * truth(POINTS).std()
    for seed in range(12):
        model = kind().fit(*runs(truth, 40, 0.3, seed))
        drawn = truth(POINTS) + noise * np.random.default_rng(seed + 50).standard_normal(len(POINTS))
        for found, (mean, deviation), y in ((surface, model.predict(POINTS), truth(POINTS)), (new, model.predict_run(POINTS), drawn)):
            found.append(np.mean(np.abs(y - mean) <= 1.645 * deviation))
    assert np.mean(surface) > 0.8
    assert 0.85 < np.mean(new) < 0.96


def test_objective_intervals_of_new_runs_hold_with_a_bad_tail():
    inside = []
    for seed in range(3):
        points = sobol_mixtures(140, SOURCES, seed)
        rng = np.random.default_rng(seed)
        tail = -3 * np.maximum(0.1 - points[:, :2], 0) / 0.1
        y = np.column_stack([bent(points), linear(points)]) + tail + 0.1 * rng.standard_normal((140, 2))
        objective, _ = fit_objective(points[:50], y[:50], raise_tail=True)
        mean, deviation = objective.predict_run(points[50:])
        inside.append(np.mean(np.abs(y[50:].mean(axis=1) - mean) <= 1.645 * deviation))
    assert 0.82 < np.mean(inside) <= 0.98


def fitted(kind):
    points, y = runs(bent, 40)
    if kind is Stacked:
        return fit_objective(points, y[:, None])[0].surrogates[0]
    return kind().fit(points, y)


@pytest.mark.parametrize("kind", [*KINDS, Stacked])
def test_covariance_agrees_with_deviations(kind):
    model = fitted(kind)
    few = POINTS[:6]
    _, deviation = model.predict(few)
    covariance = model.covariance(few)
    assert np.sqrt(np.diag(covariance)) == pytest.approx(deviation, rel=1e-6)
    assert np.linalg.eigvalsh(covariance).min() > -1e-9
    assert (model.predict_run(few)[1] > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_target_and_doubled_mixtures_are_no_trouble(kind):
    points = np.repeat(sobol_mixtures(8, SOURCES, 0), 2, axis=0)
    flat = kind().fit(points, np.full(16, 0.7))
    assert flat.predict(POINTS)[0] == pytest.approx(0.7, abs=1e-6)
    model = kind().fit(points, linear(points), np.full(16, 0.01))
    assert np.isfinite(np.concatenate([*model.predict(POINTS), *model.predict_run(POINTS)])).all()
    with pytest.raises(ValueError, match="two runs"):
        kind().fit(points[:1], [1.0])


def test_the_same_call_gives_the_same_fit():
    points, y = runs(bent, 40)
    values = np.column_stack([y, linear(points)])
    first, second = (fit_objective(points, values, seed=3) for _ in range(2))
    assert first[1] == second[1]
    assert (first[0].predict(POINTS)[0] == second[0].predict(POINTS)[0]).all()


@pytest.mark.parametrize("n", [2, 3, 4, 9])
def test_few_runs_are_left_to_the_gaussian_process(n):
    points = sobol_mixtures(n, SOURCES, 0)
    objective, choice = fit_objective(points, np.column_stack([linear(points), bent(points)]))
    assert choice.name == "gaussian-process"
    assert np.isfinite(objective.predict(POINTS)).all()


def test_a_target_that_does_not_change_is_told_nothing_about():
    points = sobol_mixtures(20, SOURCES, 0)
    objective, choice = fit_objective(points, np.full((20, 1), 2.0))
    assert choice.spearman is None
    assert choice.r2 is None
    assert objective.predict(POINTS)[0] == pytest.approx(2.0, abs=1e-6)


def test_targets_share_strength():
    """Ten noisy targets of one shape agree more on which source matters when they are fitted together."""
    points = sobol_mixtures(24, 6, 1)
    values = np.sin(6 * np.sqrt(points[:, :1])) + 0.3 * np.random.default_rng(0).standard_normal((24, 10))
    grid = sobol_mixtures(200, 6, 2)
    together = np.array([model.predict(grid)[0] for model in GaussianProcess.fit_all(points, values, np.zeros(values.shape))])
    alone = np.array([GaussianProcess().fit(points, y).predict(grid)[0] for y in values.T])
    truth = np.sin(6 * np.sqrt(grid[:, 0]))
    assert ((together - truth) ** 2).mean() < 0.9 * ((alone - truth) ** 2).mean()
    assert np.argmin(GaussianProcess.pooled(points, values)[1:-1]) == 0


def test_runs_of_one_mixture_are_held_out_together():
    points = np.repeat(sobol_mixtures(7, 3, 0), 3, axis=0)
    for assigned in folds(points, 5, 2, 0):
        assert (assigned.reshape(7, 3) == assigned.reshape(7, 3)[:, :1]).all()
        assert set(assigned.tolist()) == set(range(5))


def test_shares_are_the_best_on_the_simplex():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 400))
    assert simplex_shares(np.array([a, b]), 0.3 * a + 0.7 * b) == pytest.approx([0.3, 0.7], abs=1e-3)
    assert simplex_shares(np.array([a, b]), 2 * a - b) == pytest.approx([1.0, 0.0], abs=1e-3)


def test_bad_tails_are_raised_and_good_ones_kept():
    y = np.append(np.linspace(-1, 1, 21), [-50.0, 50.0])[:, None]
    raised = without_bad_tail(y)
    assert raised.max() == 50
    assert -2 < raised.min() < -0.9
    assert np.abs(robust_scores(y)).max() == pytest.approx(1.5)
    flat = np.array([[1.0], [1.0], [1.0], [0.0]])
    assert (without_bad_tail(flat) == flat).all()
