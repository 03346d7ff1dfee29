"""Intervals of shares: inside 0..1, exact where the items are independent, and right as often as they say where items are clustered."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from probe.decide.means import score_with_interval, share_with_interval


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40), st.integers(1, 6))
def test_a_share_and_its_interval_are_inside_0_to_1(values, size):
    found = share_with_interval(values, np.arange(len(values)) // size)
    if len(values) <= size:
        assert found is None
    else:
        assert 0 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize(("right", "n"), [(0, 20), (20, 20)])
def test_where_all_agree_it_is_the_exact_interval_of_the_clusters(right, n):
    values = np.repeat([1.0] * right + [0.0] * (n - right), 3)
    found = share_with_interval(values, np.repeat(np.arange(n), 3))
    exact = binomtest(right, n).proportion_ci(0.90, method="exact")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))


def test_of_many_independent_items_it_is_the_exact_binomial_interval():
    values = np.r_[np.ones(300), np.zeros(700)]
    found = share_with_interval(values, np.arange(1000))
    exact = binomtest(300, 1000).proportion_ci(0.90, method="exact")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=2e-4)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.93])
def test_it_holds_the_truth_as_often_as_it_says_with_items_clustered_by_image(share):
    rng, clusters, size, held, draws = np.random.default_rng(0), 40, 4, 0, 500
    groups = np.repeat(np.arange(clusters), size)
    for _ in range(draws):
        own = rng.beta(4 * share, 4 * (1 - share), clusters)  # correlation of two items of an image: 1 / 5
        values = (rng.random(clusters * size) < own[groups]).astype(float)
        found = share_with_interval(values, groups)
        held += found.low <= share <= found.high
    assert held / draws >= 0.88  # at least the level, less what 500 draws may miss it by; such intervals err to the wide side


def test_what_is_no_share_has_the_interval_of_a_mean():
    values = np.array([-2.0, -1.0, -1.5, -0.5])
    found = score_with_interval(values, np.arange(4))
    assert found.low < -1.25 < found.high
    assert found.low < -2


@pytest.mark.parametrize("value", [1e-15, 1 / 3, 0.1, 1 - 1e-15])
def test_clusters_of_the_same_mean_but_for_rounding_have_no_spread(value):
    found = share_with_interval(np.full(21, value), np.repeat(np.arange(7), 3))
    assert np.isfinite([found.low, found.high]).all()
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.high - found.low > 0.2  # seven clusters say no more
