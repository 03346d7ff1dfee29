"""Merged scores as a prior mean: followed where they tell something, left where they do not; and where they disagree with training."""

from __future__ import annotations

import numpy as np
import pytest

from probe.decide.merging_agreement import agreement
from probe.decide.simplex import sobol_mixtures
from probe.decide.surrogates import MERGED, GaussianProcess, MergedProcess, MergedScores, fit_objective
from probe.decide.surrogates.merged import is_single

SOURCES = 5
POINTS = sobol_mixtures(200, SOURCES, 77)
SAMPLES = np.vstack([np.eye(SOURCES), sobol_mixtures(80, SOURCES, 9)])


def world(seed):
    rng = np.random.default_rng(seed)
    linear, roots, pairs = rng.normal(0, 0.7, SOURCES), rng.normal(0, 1, SOURCES), rng.normal(0, 0.8, (SOURCES, SOURCES))
    return lambda w: w @ linear + np.sqrt(w) @ roots + np.einsum("ni,ij,nj->n", np.sqrt(w), pairs, np.sqrt(w))


def runs(truth, n, seed, noise=0.1):
    points = sobol_mixtures(n, SOURCES, seed)
    return points, truth(points) + noise * truth(POINTS).std() * np.random.default_rng(seed).standard_normal(n)


def merged(surface, seed=0):
    noise = 0.03 * surface(POINTS).std()
    y = surface(SAMPLES) + noise * np.random.default_rng(seed).standard_normal(len(SAMPLES))
    return MergedScores(SAMPLES, y[:, None], np.full((len(SAMPLES), 1), noise**2))


def distorted(truth, seed):
    """Return merged scores as they are: shrunk, shifted, and wrong in their own smooth way."""
    other = world(seed + 500)
    unit = truth(POINTS).std() / other(POINTS).std()
    return lambda w: 0.3 + 0.6 * truth(w) + 0.15 * unit * other(w)


def left(model, truth):
    return ((model.predict(POINTS)[0] - truth(POINTS)) ** 2).mean() / truth(POINTS).var()


def test_an_informative_prior_mean_halves_the_error_and_an_uninformative_one_does_no_harm():
    plain, informed, misled = [], [], []
    for seed in range(8):
        truth = world(seed)
        points, y = runs(truth, 10, seed)
        plain.append(left(GaussianProcess().fit(points, y), truth))
        for found, surface in ((informed, distorted(truth, seed)), (misled, world(seed + 1000))):
            found.append(left(MergedProcess(merged(surface).surfaces()[0]).fit(points, y), truth))
    assert np.mean(informed) < 0.5 * np.mean(plain)
    assert np.mean(misled) < 1.25 * np.mean(plain)


def test_the_slope_is_recovered():
    truth = world(3)
    points, y = runs(lambda w: 1.5 - 2.0 * truth(w), 40, 3, noise=0.02)
    assert MergedProcess(merged(truth).surfaces()[0]).fit(points, y).slope() == pytest.approx(-2.0, rel=0.1)


def test_deviations_hold_the_surface_and_agree_with_covariances():
    inside = []
    for seed in range(8):
        truth = world(seed)
        model = MergedProcess(merged(distorted(truth, seed)).surfaces()[0]).fit(*runs(truth, 20, seed))
        mean, deviation = model.predict(POINTS)
        inside.append(np.mean(np.abs(mean - truth(POINTS)) <= 1.645 * deviation))
        covariance = model.covariance(POINTS[:5])
        assert np.sqrt(np.diag(covariance)) == pytest.approx(deviation[:5], rel=1e-6)
        assert np.linalg.eigvalsh(covariance).min() > -1e-9
    assert 0.8 < np.mean(inside) < 0.99


@pytest.mark.parametrize("n", [8, 14])
def test_the_choice_takes_merging_only_where_it_predicts_held_out_runs(n):
    truth = world(1)
    points, y = runs(truth, n, 1)
    without, _ = fit_objective(points, y[:, None])
    informed, taken = fit_objective(points, y[:, None], merged=merged(distorted(truth, 1)))
    assert taken.shares[MERGED] > 0.4
    assert left(informed, truth) < left(without, truth)
    useless = merged(lambda w: np.random.default_rng(0).standard_normal(len(w)))
    alone, dropped = fit_objective(points, y[:, None], merged=useless)
    if MERGED not in dropped.shares:
        np.testing.assert_allclose(alone.predict(POINTS), without.predict(POINTS))
    assert dropped.families[MERGED] is not None, "what it was worth is told, taken or not"
    assert left(alone, truth) < left(without, truth) + 0.1


def test_single_sources_prove_nothing_of_merging():
    """Merged scores that are right at single sources, where they are the trained ones, and useless elsewhere, are not believed."""
    truth = world(2)
    points, y = runs(truth, 12, 2)
    points, y = np.vstack([np.eye(SOURCES), points]), np.append(truth(np.eye(SOURCES)), y)
    useless = merged(world(1002))
    values = np.where(is_single(SAMPLES)[:, None], truth(SAMPLES)[:, None], -truth(SAMPLES)[:, None] + useless.values)
    _, choice = fit_objective(points, y[:, None], merged=MergedScores(SAMPLES, values, useless.noise))
    assert choice.families[MERGED].n == 12, "single sources are never held out"
    without, _ = fit_objective(points, y[:, None])
    with_it, _ = fit_objective(points, y[:, None], merged=MergedScores(SAMPLES, values, useless.noise))
    assert left(with_it, truth) < 1.3 * left(without, truth)


def test_too_few_mixtures_to_judge_leave_merging_out():
    points = np.vstack([np.eye(SOURCES), sobol_mixtures(3, SOURCES, 0)])
    truth = world(0)
    _, choice = fit_objective(points, truth(points)[:, None], merged=merged(truth))
    assert MERGED not in choice.families


def test_disagreement_lies_along_the_source_where_it_was_planted():
    w = sobol_mixtures(16, 4, 0)
    rng = np.random.default_rng(0)
    score = w @ np.array([1.0, 0.5, 0.2, -0.3])
    trained = 0.2 + 0.8 * score - 0.6 * w[:, 2] + rng.normal(0, 0.01, 16)
    found = agreement([str(k) for k in range(16)], "abcd", w, trained, score, np.full(16, 1e-4), np.full(16, 1e-6))
    assert found is not None
    assert found.tilts[0].source == "c"
    assert found.tilts[0].decided
    assert found.tilts[0].slope.high < 0
    furthest = max(found.residuals, key=lambda r: abs(r.difference.value))
    assert furthest.difference.low > 0 or furthest.difference.high < 0
    assert furthest.trained - furthest.predicted == pytest.approx(furthest.difference.value)


def test_where_merging_agrees_but_for_noise_few_differences_are_called():
    called, tilted = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        w = sobol_mixtures(14, 4, seed)
        score = w @ rng.normal(0, 1, 4)
        found = agreement([str(k) for k in range(14)], "abcd", w, score + rng.normal(0, 0.1, 14), score, np.full(14, 0.01), np.zeros(14))
        assert found is not None
        called += [r.difference.low > 0 or r.difference.high < 0 for r in found.residuals]
        tilted.append(any(tilt.decided for tilt in found.tilts))
    assert np.mean(called) < 0.13, "at 90 % intervals"
    assert np.mean(tilted) <= 0.25, "at a joint level of 90 %"


def test_too_few_or_constant_say_nothing():
    w = sobol_mixtures(6, 3, 0)
    one = np.ones(6)
    assert agreement("abcdef", "xyz", w, w[:, 0], one, one, one) is None
    assert agreement("abc", "xyz", w[:3], w[:3, 0], w[:3, 1], one[:3], one[:3]) is None
