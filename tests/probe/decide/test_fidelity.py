"""Agreement of proxy and full scale: known orders, and an interval that covers as often as it says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau

from probe.decide.fidelity import Differences, agreement, differences, more_outcomes, share_alike


def sides(x, y, stderr=1e-6):
    return differences(x, np.full(len(x), stderr)), differences(y, np.full(len(y), stderr))


def concordant(x, y):
    alike = (1 + np.sign(np.subtract.outer(x, x) * np.subtract.outer(y, y))) / 2
    np.fill_diagonal(alike, np.nan)
    return alike


@pytest.mark.parametrize("seed", range(5))
def test_rank_agreement_is_kendalls_tau(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=9)
    y = x + rng.normal(size=9)
    found = agreement("overall", *sides(x, y))
    assert found.rank.value == pytest.approx(kendalltau(x, y).statistic)
    assert found.agreement.value == pytest.approx((1 + found.rank.value) / 2)  # all pairs are told apart
    assert (found.outcomes, found.pairs, found.both) == (9, 36, 36)


def test_same_and_reversed_orders():
    x = np.arange(8.0)
    same, turned = agreement("o", *sides(x, x**3)), agreement("o", *sides(x, -x))
    assert (same.agreement.value, same.agreement.high, same.more_for_chance) == (1.0, 1.0, 0)
    assert same.agreement.low > 0.5
    assert (turned.agreement.value, turned.agreement.low) == (0.0, 0.0)
    assert turned.more_for_chance is None


def test_pairs_that_neither_side_tells_apart_are_not_counted():
    x = np.array([0.0, 0.001, 1.0, 1.001, 2.0, 2.001])
    y = np.array([0.001, 0.0, 1.001, 1.0, 2.001, 2.0])  # the near pairs are turned round
    found = agreement("o", *sides(x, y, stderr=0.01))
    assert (found.pairs, found.agreement.value) == (12, 1.0)
    assert found.rank.value == pytest.approx((12 - 3) / 15)
    assert agreement("o", *sides(x, y)).agreement.value == pytest.approx(12 / 15)
    one_sided = agreement("o", differences(x, np.full(6, 0.01)), differences(y, np.full(6, np.nan)))  # no error is known there
    assert (one_sided.pairs, one_sided.both) == (12, 0)


def test_too_few_mixtures_tell_nothing():
    found = agreement("o", *sides(np.arange(4.0), np.arange(4.0)))
    assert (found.agreement, found.rank, found.outcomes) == (None, None, 4)
    nothing = agreement("o", *sides(np.arange(6.0), np.arange(6.0), stderr=100.0))
    assert (nothing.agreement, nothing.pairs) == (None, 0)


def test_a_mixture_that_the_proxy_knows_nothing_of_is_left_out():
    x = np.arange(7.0)
    x[3] = np.nan
    found = agreement("o", *sides(x, np.arange(7.0)))
    assert (found.outcomes, found.pairs) == (6, 15)


@pytest.mark.parametrize(("count", "correlation"), [(6, 0.0), (8, 0.5), (12, 0.8), (12, 0.95), (20, 0.5)])
def test_the_interval_covers(count, correlation):
    """Mixtures drawn anew each time: P(ordered alike) = 1/2 + arcsin(correlation)/pi of two normal scores."""
    rng, truth, studies = np.random.default_rng(7), 0.5 + np.arcsin(correlation) / np.pi, 600
    covered = 0
    for _ in range(studies):
        x = rng.normal(size=count)
        y = correlation * x + np.sqrt(1 - correlation**2) * rng.normal(size=count)
        found = share_alike(concordant(x, y), 0.90)
        covered += found.low <= truth <= found.high
    assert covered / studies >= 0.87  # .90 less 2.5 deviations of 600 studies


def test_more_outcomes_shrink_the_interval_and_the_number_holds():
    rng = np.random.default_rng(3)
    x = rng.normal(size=8)
    y = 0.5 * x + rng.normal(size=8)
    alike = concordant(x, y)
    found = share_alike(alike)
    assert 0.5 < found.value < 0.8
    assert found.low < 0.5
    more = more_outcomes(alike, 0.5)
    assert more is not None
    assert more > 0
    assert more_outcomes(alike, 0.8) is None
    assert more_outcomes(alike, found.low - 1e-9) == 0
    # As many more mixtures that agree as these do: the interval is above chance then.
    larger = []
    for seed in range(40):
        again = np.random.default_rng(seed)
        u = again.normal(size=8 + 2 * more)
        rho = np.sin(np.pi * (found.value - 0.5))
        larger.append(share_alike(concordant(u, rho * u + np.sqrt(1 - rho**2) * again.normal(size=8 + 2 * more))).low)
    assert np.median(larger) > 0.5


def test_differences_are_antisymmetric_and_know_their_error():
    found = differences([0.1, 0.2, 0.5], [0.05, 0.05, np.nan])
    assert isinstance(found, Differences)
    assert np.array_equal(found.value, -found.value.T)
    assert not found.apart.any()
    assert differences([0.1, 0.3], [0.05, 0.05]).apart[0, 1]
