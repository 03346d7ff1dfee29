import numpy as np
import pytest

from probe.decide.flat_optimum import flat_optimum, measurable_loss
from probe.decide.region import Region
from probe.decide.simplex import ShareBounds, sobol_mixtures
from probe.decide.surrogates import Objective

BEST = np.array([0.5, 0.3, 0.2])
NAMES = ("a", "b", "c")


class Bowl:
    """A surface that is known exactly: 1 - |w - best|^2, or anything else of the weights; no uncertainty."""

    def __init__(self, value):
        self.value = value

    def predict(self, weights):
        points = np.atleast_2d(weights)
        return self.value(points), np.zeros(len(points))

    def covariance(self, weights):
        return np.zeros((len(weights), len(weights)))


def bowl(best=BEST):
    return Objective([Bowl(lambda w: 1 - ((w - best) ** 2).sum(axis=1))])


def report(objective, loss, *, found=BEST, base=None, region=None):
    count = len(found)
    names = [chr(97 + k) for k in range(count)]
    return flat_optimum(
        objective, names, found, np.full(count, 1 / count) if base is None else base, region or Region(ShareBounds.of(count)), loss
    )


def test_ranges_are_those_of_the_known_bowl():
    # Shares sum to 1, so the others share a move of d: |move|^2 = d^2 (1 + 1/2) <= loss.
    reach = np.sqrt(0.01 / 1.5)
    flat = report(bowl(), 0.01)
    for name, best in zip(NAMES, BEST, strict=True):
        low, high = flat.ranges[name]
        assert best - reach - 1e-9 <= low <= best - 0.93 * reach
        assert best + 0.93 * reach <= high <= best + reach + 1e-9


def test_a_move_of_one_source_scales_the_others_alike():
    flat = report(bowl(), 0.01)
    for k, name in enumerate(NAMES):
        others = np.delete(BEST, k) / np.delete(BEST, k).sum()
        reach = np.sqrt(0.01 / (1 + (others**2).sum()))
        assert flat.moves[name] == pytest.approx((BEST[k] - reach, BEST[k] + reach), abs=1 / 200)
        assert flat.ranges[name][0] <= flat.moves[name][0] + 0.01
        assert flat.ranges[name][1] >= flat.moves[name][1] - 0.01


def test_all_is_flat_where_nothing_matters_and_nothing_where_everything_does():
    level = report(Objective([Bowl(lambda w: np.zeros(len(w)))]), 0.01)
    assert level.ranges["a"] == pytest.approx((0, 1), abs=0.02)
    assert level.moves["b"] == pytest.approx((0, 1))
    sharp = report(bowl(), 1e-8)
    assert sharp.ranges["a"] == pytest.approx((0.5, 0.5), abs=1e-3)
    assert sharp.simplest == pytest.approx(dict(zip(NAMES, BEST, strict=True)), abs=1e-3)
    assert sharp.moved < 1e-3


def test_the_simplest_mixture_has_as_few_sources_as_the_loss_allows_and_is_nearest_to_the_base():
    # Losing c costs .2^2 * 1.5 = .06, a mixture of one source at least .25 + .09 + .04.
    base = np.array([0.8, 0.2, 0.0])
    two = report(bowl(), 0.07, base=base)
    assert set(two.simplest) == {"a", "b"}
    assert two.simplest_loss.value <= 0.07
    # On that edge the loss is .06 + 2 (x - .6)^2, so .07 reaches x = .6707; the base is further.
    assert two.simplest["a"] == pytest.approx(0.6 + np.sqrt(0.005), abs=0.005)
    assert set(report(bowl(), 0.05, base=base).simplest) == {"a", "b", "c"}
    assert report(bowl(), 0.5, base=base).simplest == pytest.approx({"a": 1.0})


def test_everything_stays_in_the_region():
    region = Region(ShareBounds.of(3, least=(0, 0, 0.15), greatest=(0.52, 1, 1)))
    flat = report(bowl(), 0.05, region=region)
    assert flat.ranges["a"][1] == pytest.approx(0.52, abs=1e-6)
    assert flat.ranges["c"][0] == pytest.approx(0.15, abs=1e-6)
    assert flat.moves["a"][1] <= 0.52
    assert flat.simplest["c"] >= 0.15 - 1e-9


def test_ranges_hold_every_mixture_within_the_loss():
    rng = np.random.default_rng(0)
    best = rng.dirichlet(np.ones(6))
    flat = report(bowl(best), 0.01, found=best)
    points = sobol_mixtures(1 << 14, 6, 5)
    within = points[((points - best) ** 2).sum(axis=1) <= 0.01]
    assert len(within) > 5
    for k, (low, high) in enumerate(flat.ranges.values()):
        assert within[:, k].min() >= low - 0.01
        assert within[:, k].max() <= high + 0.01


def test_the_measurable_loss_is_half_an_intervals_width():
    rng = np.random.default_rng(0)
    runs = rng.normal(0, 0.02, (40000, 2, 3)).mean(axis=2)
    inside = np.abs(runs[:, 0] - runs[:, 1]) <= measurable_loss(0.02**2, np.inf, 3)
    assert inside.mean() == pytest.approx(0.90, abs=0.01)
    assert measurable_loss(0.02**2, 4, 3) > measurable_loss(0.02**2, np.inf, 3) > measurable_loss(0.02**2, np.inf, 12)


class Unsure(Bowl):
    """The same surface, known only up to independent errors of this deviation anywhere but at the best mixture."""

    def __init__(self, value, deviation):
        super().__init__(value)
        self.deviation = deviation

    def covariance(self, weights):
        known = np.abs(np.asarray(weights) - BEST).max(axis=1) < 1e-9
        return np.diag(np.where(known, 0.0, self.deviation**2))


def test_the_simplest_mixture_is_within_the_loss_with_its_whole_interval():
    # Without c .06 is lost: within .07 by the mean, and with the interval only while 1.645 deviations are less than .01.
    def simplest(deviation):
        return report(Objective([Unsure(lambda w: 1 - ((w - BEST) ** 2).sum(axis=1), deviation)]), 0.07)

    assert set(simplest(0.004).simplest) == {"a", "b"}
    assert simplest(0.004).simplest_loss.high <= 0.07
    assert set(simplest(0.02).simplest) == {"a", "b", "c"}
    # Nothing at all is sure: then the chosen mixture itself is the simplest.
    assert simplest(0.2).simplest == pytest.approx(dict(zip(NAMES, BEST, strict=True)))
