"""Held-out predictions of a search: they are of runs that were not seen, and their intervals hold as much as they promise."""

import numpy as np
import pytest
from scipy.stats import binomtest

from probe.decide.surrogates import fit_objective
from probe.decide.surrogates.judgement import Prediction, coverage
from sources.estimate import Estimate


def a_prediction(inside):
    return Prediction(0, 0.0 if inside else 9.0, Estimate(0.0, 1.0, -1.0, 1.0, 1))


@pytest.mark.parametrize(("inside", "outside"), [(9, 1), (10, 0), (0, 4)])
def test_coverage_has_the_exact_binomial_interval(inside, outside):
    found = coverage((*(a_prediction(True) for _ in range(inside)), *(a_prediction(False) for _ in range(outside))))
    exact = binomtest(inside, inside + outside).proportion_ci(0.90, method="exact")
    assert (found.value, found.low, found.high) == pytest.approx((inside / (inside + outside), exact.low, exact.high))


def test_coverage_of_nothing_is_not_told():
    assert coverage(()) is None


def test_held_out_predictions_follow_the_truth_and_their_intervals_hold_it():
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(3), 24)
    truth = np.log(0.1 + weights @ [1.0, 0.3, 0.1])
    values = (truth + rng.normal(0, 0.02, 24))[:, None]
    choice = fit_objective(weights, values, np.full((24, 1), 0.02**2), raise_tail=False)[1]
    assert [one.run for one in choice.held_out] == list(range(24))
    assert [one.observed for one in choice.held_out] == pytest.approx(values[:, 0].tolist())
    away = np.array([one.predicted.value - one.observed for one in choice.held_out])
    assert np.abs(away).mean() < 0.25 * values.std()
    assert np.abs(away).max() > 0  # a fit that had seen the run with so little noise would lie on it
    assert coverage(choice.held_out).high > 0.90


def test_runs_of_one_mixture_alone_have_no_prediction():
    weights = np.repeat([[0.5, 0.5], [0.2, 0.8]], 2, axis=0)
    assert fit_objective(weights, np.arange(4.0)[:, None])[1].held_out == ()
