import numpy as np
import pytest
from scipy.stats import norm

from probe.decide.next_mixtures import APART, next_mixtures
from probe.decide.posterior import joint_covariance, posterior_draws
from probe.decide.region import Region
from probe.decide.simplex import ShareBounds, divergence, sobol_mixtures
from probe.decide.surrogates import GaussianProcess, Objective

BEST = np.array([0.5, 0.3, 0.2, 0.0])
NOISE = 0.02


def surface(weights):
    return 1.0 - ((np.sqrt(weights) - np.sqrt(BEST)) ** 2).sum(axis=-1)


def fitted(n=12, seed=0, noise=NOISE):
    runs = sobol_mixtures(n, 4, seed)
    y = surface(runs) + noise * np.random.default_rng(seed).standard_normal(n)
    return runs, Objective([GaussianProcess().fit(runs, y, np.full(n, noise**2))])


def test_proposals_are_mixtures_of_the_region_that_nobody_trained():
    runs, objective = fitted()
    region = Region(ShareBounds.of(4, greatest=0.6), most_sources=3)
    found = next_mixtures(objective, runs, region, 6)
    shares = np.array([proposal.shares for proposal in found])
    assert shares.shape == (6, 4)
    assert shares.sum(axis=1) == pytest.approx(1.0)
    assert (region.shortfall(shares) == 0).all()
    apart = np.abs(shares[:, None] - np.vstack([runs, shares])[None]).sum(axis=2) / 2
    assert np.sort(apart, axis=1)[:, 1].min() >= APART - 1e-9  # but to itself


def test_each_proposal_adds_less_than_the_one_before_and_none_takes_anything():
    runs, objective = fitted()
    improvements = [proposal.improvement.value for proposal in next_mixtures(objective, runs, Region(ShareBounds.of(4)), 8)]
    assert improvements == sorted(improvements, reverse=True)
    assert improvements[-1] >= 0


def test_over_one_mixture_it_is_expected_improvement_in_closed_form():
    # Jones et al. 1998, with the best so far as uncertain as the posterior says: the difference of the two is normal.
    runs, objective = fitted()
    proposal = next_mixtures(objective, runs[[4]], Region(ShareBounds.of(4)), 1, samples=8192)[0]
    mean, deviation = objective.difference(proposal.shares, runs[4])
    z = mean / deviation
    expected = deviation * (z * norm.cdf(z) + norm.pdf(z))
    assert proposal.improvement.value == pytest.approx(expected, rel=0.05)
    assert proposal.chance == pytest.approx(norm.cdf(z), abs=0.02)


def test_a_lucky_score_does_not_end_the_search():
    # The best of 12 runs of pure noise is luck: the surface is unknown everywhere, so improvement over its truth is still expected.
    runs = sobol_mixtures(12, 4, 0)
    y = np.random.default_rng(0).standard_normal(12) * 0.1
    y[3] = 1.0
    objective = Objective([GaussianProcess().fit(runs, y, np.full(12, 1.0))])
    proposal = next_mixtures(objective, runs, Region(ShareBounds.of(4)), 1)[0]
    assert proposal.predicted.value < 0.5
    assert proposal.improvement.value > 0


def test_draws_have_the_posteriors_moments():
    runs, _ = fitted()
    targets = [GaussianProcess().fit(runs, surface(runs)), GaussianProcess().fit(runs, runs[:, 0])]
    objective = Objective(targets, (0.3, 0.7))
    points = sobol_mixtures(6, 4, 7)
    mean, deviation = objective.predict(points)
    drawn = posterior_draws(objective, points, 40000, 0)
    assert drawn.mean(axis=0) == pytest.approx(mean, abs=1e-3)
    assert drawn.std(axis=0) == pytest.approx(deviation, rel=0.03)
    assert np.diag(joint_covariance(objective, points)) == pytest.approx(deviation**2)
    one = Objective(targets[:1])
    assert joint_covariance(one, points) == pytest.approx(targets[0].covariance(points), abs=1e-9)


def test_it_is_deterministic_and_a_larger_batch_begins_with_the_smaller():
    runs, objective = fitted()
    region = Region(ShareBounds.of(4))
    small, large = (next_mixtures(objective, runs, region, n, seed=3) for n in (2, 4))
    assert [p.shares.tolist() for p in small] == [p.shares.tolist() for p in large[:2]]


def test_a_price_of_distance_keeps_proposals_near_the_prior():
    runs, objective = fitted()
    prior = np.full(4, 0.25)
    far, near = (
        np.mean(
            [divergence(p.shares, prior)[0] for p in next_mixtures(objective, runs, Region(ShareBounds.of(4)), 4, prior=prior, price=price)]
        )
        for price in (0.0, 1.0)
    )
    assert near < far


def test_what_cannot_be_is_refused():
    runs, objective = fitted()
    with pytest.raises(ValueError, match="n >= 1"):
        next_mixtures(objective, runs, Region(ShareBounds.of(4)), 0)
    with pytest.raises(ValueError, match="no mixture"):
        next_mixtures(objective, runs, Region(ShareBounds.of(4), most_sources=1, prior=(0.25,) * 4, max_kl=0.1), 2)
    narrow = Region(ShareBounds.of(4, least=(0.49, 0.29, 0.19, 0.0), greatest=(0.51, 0.31, 0.21, 0.01)))
    assert len(next_mixtures(objective, runs, narrow, 20)) < 20
