import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.decide.region import Floor, Region, conflict, feasible
from probe.decide.simplex import ShareBounds, divergence, positive, scaled_within, sobol_mixtures
from probe.decide.surrogates import GaussianProcess
from probe.decide.surrogates.objective import differences


def cloud(n, sources, seed):
    return np.random.default_rng(seed).normal(0.2, 0.6, (n, sources))


@given(
    greatest=st.lists(st.floats(0.15, 1), min_size=4, max_size=7),
    most=st.integers(1, 7),
    seed=st.integers(0, 99),
)
@settings(max_examples=80, deadline=None)
def test_a_projection_keeps_the_number_of_sources_and_the_bounds_whenever_that_can_be(greatest, most, seed):
    most = min(most, len(greatest))
    if sum(sorted(greatest)[-most:]) < 1 + 1e-6:
        return
    region = Region(ShareBounds.of(len(greatest), greatest=greatest), most_sources=most)
    points = region.project(cloud(20, len(greatest), seed))
    assert points.sum(axis=1) == pytest.approx(1.0, abs=1e-9)
    assert ((points > 1e-9).sum(axis=1) <= most).all()
    assert (region.shortfall(points) == 0).all()
    assert region.project(points) == pytest.approx(points, abs=1e-8)


def test_the_largest_shares_are_kept_and_a_least_share_takes_a_place():
    region = Region(ShareBounds.of(4), most_sources=2)
    assert region.project([[0.4, 0.3, 0.2, 0.1]])[0] == pytest.approx([0.55, 0.45, 0, 0])
    held = Region(ShareBounds.of(4, least=(0, 0, 0, 0.1)), most_sources=2)
    assert (held.project([[0.4, 0.3, 0.2, 0.1]])[0] > 0).tolist() == [True, False, False, True]
    # The two largest shares cannot fill the budget, so the second place goes to a source that can.
    narrow = Region(ShareBounds.of(4, greatest=(0.3, 0.3, 0.9, 0.2)), most_sources=2)
    assert narrow.project([[0.5, 0.4, 0.1, 0.0]])[0] == pytest.approx([0.3, 0, 0.7, 0])


@given(max_kl=st.floats(0.01, 2), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_a_trust_region_holds_and_moves_nothing_that_is_inside(max_kl, seed):
    prior = np.random.default_rng(seed).dirichlet(np.ones(5))
    region = Region(ShareBounds.of(5, greatest=0.8), prior=tuple(prior), max_kl=max_kl)
    nearest = scaled_within(positive(prior), np.zeros((1, 5)), np.full((1, 5), 0.8))
    if divergence(nearest, prior)[0] > max_kl:
        return
    points = region.project(cloud(20, 5, seed))
    assert (divergence(points, prior) <= max_kl + 1e-6).all()
    assert (region.shortfall(points) == 0).all()
    assert region.project(points) == pytest.approx(points, abs=1e-6)


def test_the_mixture_that_diverges_least_within_bounds_is_found():
    prior = np.array([0.7, 0.2, 0.1])
    low, high = np.array([0.0, 0.0, 0.15]), np.array([[0.5, 1.0, 1.0]])
    nearest = scaled_within(prior, low, high)
    points = ShareBounds((0.0, 0.0, 0.15), (0.5, 1.0, 1.0)).project(sobol_mixtures(4096, 3, 0))
    assert divergence(nearest, prior)[0] <= divergence(points, prior).min() + 1e-9


def known_target():
    """Return a target that falls by 1 from a share of 0 to 1 of the second source, fitted to many precise runs."""
    runs = sobol_mixtures(64, 3, 0)
    return GaussianProcess().fit(runs, -runs[:, 1], np.full(64, 1e-6))


def test_a_floor_is_that_of_the_known_effect_and_the_base_always_keeps_it():
    base = np.array([0.3, 0.4, 0.3])
    floor = Floor("ocr", known_target(), base, least=0.0, probability=0.9)
    assert floor.shortfall(base) == pytest.approx(0.0)
    assert floor.shortfall([[0.5, 0.1, 0.4]])[0] == 0.0
    assert floor.shortfall([[0.2, 0.6, 0.2]])[0] == pytest.approx(0.2, abs=0.03)


def test_probability_makes_a_floor_stricter_than_the_mean():
    runs = sobol_mixtures(8, 3, 0)
    noisy = GaussianProcess().fit(runs, -runs[:, 1] + 0.2 * np.random.default_rng(0).standard_normal(8), np.full(8, 0.04))
    points = sobol_mixtures(400, 3, 1)
    base = np.full(3, 1 / 3)
    kept = [(Floor("ocr", noisy, base, probability=p).shortfall(points) == 0).mean() for p in (0.5, 0.9, 0.99)]
    assert kept[0] > kept[1] > kept[2]


def test_gains_are_those_of_the_joint_posterior():
    target = known_target()
    points, base = sobol_mixtures(300, 3, 2), np.array([0.2, 0.5, 0.3])  # more than one chunk
    mean, deviation = differences(target, points, base)
    for k in (0, 127, 128, 299):
        both = np.stack([points[k], base])
        covariance = target.covariance(both)
        assert mean[k] == pytest.approx(np.subtract(*target.predict(both)[0]))
        assert deviation[k] ** 2 == pytest.approx(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1], abs=1e-9)


def test_what_cannot_hold_is_seen_as_such():
    base = (0.25,) * 4
    assert feasible(Region(ShareBounds.of(4), most_sources=2, prior=base, max_kl=0.7), np.eye(4))  # ln 2 = .693
    assert not feasible(Region(ShareBounds.of(4), most_sources=2, prior=base, max_kl=0.68), np.eye(4))
    falls = Floor("ocr", known_target(), np.array([0.3, 0.4, 0.3]), least=0.1, probability=0.5)
    assert feasible(Region(ShareBounds.of(3), floors=(falls,)), np.eye(3))
    assert not feasible(Region(ShareBounds.of(3, least=(0, 0.35, 0)), floors=(falls,)), np.eye(3))


def test_a_conflict_names_what_contradicts_and_nothing_else():
    wrong = [{"b", "d"}, {"a", "b", "c"}]

    def possible(chosen):
        return not any(one <= chosen for one in wrong)

    for names in itertools.permutations("abcd"):
        assert set(conflict(names, possible)) in wrong
    assert conflict("acd", possible) == ()


def test_a_sample_reaches_edges_and_stays_inside():
    region = Region(ShareBounds.of(6, greatest=0.7), most_sources=4)
    points = region.sample(500, 3)
    assert (region.shortfall(points) == 0).all()
    assert set((points > 1e-9).sum(axis=1)) == {2, 3, 4}
