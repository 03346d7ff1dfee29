from itertools import combinations

import numpy as np
import pytest
from decide_worlds import World
from hypothesis import given
from hypothesis import strategies as st

from db.values import Verdict
from probe.decide.effects import Effects, contrasts, effects, family_prior, half_width
from probe.decide.multiplicity import hochberg, holm
from probe.decide.panel import benchmark_panel
from probe.decide.tiers import ranks, tiers
from probe.decide.verdicts import judge, minimum_detectable_effect, seeds_to_decide, verdicts


def known(values, seed_variance, *, repeats=5, df=1e6, items=0.0):
    size = len(values)
    full = lambda x: np.full(size, x)  # noqa: E731
    stderr = np.sqrt(full(seed_variance / repeats + items))
    ones = np.full(size, repeats)
    return Effects(np.array(values, float), stderr, full(seed_variance), full(df), full(items), full(1e6), ones, full(True), full(100))


def more_seeds(found, margin):
    return seeds_to_decide(found, margin, judge(found, margin))


def reference_holm(p):
    """Step down by the definition: adjusted p of the k-th smallest is the running maximum of (m - k) p."""
    out, running = [0.0] * len(p), 0.0
    for k, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        running = max(running, min(1.0, (len(p) - k) * p[index]))
        out[index] = running
    return out


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_is_the_definition(p):
    assert holm(p).tolist() == pytest.approx(reference_holm(p))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_hochberg_rejects_all_exactly_when_the_largest_is_and_never_less_than_holm(p):
    adjusted = hochberg(p)
    assert (adjusted <= holm(p)).all()
    assert adjusted.max() == pytest.approx(max(p))
    # The definition: the largest k whose p-value is at most alpha / (m - k + 1), and all that are smaller.
    ordered, alpha = sorted(p), 0.05
    steps = [k for k, value in enumerate(ordered) if value * (len(p) - k) <= alpha]
    assert (adjusted <= alpha).sum() == (sum(value <= ordered[steps[-1]] for value in p) if steps else 0)


def test_verdicts_truth_table():
    # stderr is .1: 5 deviations up, 5 down, none with a wide margin, one in between.
    found = known([0.5, -0.5, 0.0, 0.15], 0.05)
    assert verdicts(found, 0.3) == (Verdict.HELPS, Verdict.HURTS, Verdict.NEUTRAL, Verdict.UNDECIDED)
    assert verdicts(found, 0.1)[2] is Verdict.UNDECIDED
    assert verdicts(found, float("nan"))[2] is Verdict.UNDECIDED


@pytest.mark.parametrize(
    ("value", "margin", "inside"),
    [(0.0, 0.2, True), (0.0, 0.16, False), (0.1, 0.27, True), (-0.1, 0.27, True), (0.1, 0.26, False), (0.4, 0.2, False)],
)
def test_equivalence_needs_both_one_sided_tests(value, margin, inside):
    # stderr .1 and z(.95) = 1.645: inside exactly when |value| + .1645 < margin.
    assert bool(known([value], 0.05).p_inside(margin)[0] <= 0.05) is inside


def test_equivalence_is_wrong_at_the_margin_no_more_often_than_said():
    rng = np.random.default_rng(0)
    found = known((0.3 + 0.1 * rng.standard_normal(20000)).tolist(), 0.05)
    assert (found.p_inside(0.3) <= 0.05).mean() == pytest.approx(0.05, abs=0.005)


def test_the_minimum_detectable_effect_is_found_with_its_power():
    rng, world = np.random.default_rng(0), World()
    found = []
    for _ in range(200):
        panel = benchmark_panel(world.scores(rng, 5, 5), world.groups())
        prior = family_prior(panel, range(5))
        null = effects(contrasts(panel, [(a, 0) for a in range(1, 5)]), prior)
        reach = minimum_detectable_effect(null)
        truth = np.array([0, reach, 2 * reach, -reach, -2 * reach])
        again = benchmark_panel(world.scores(rng, 5, 5, truth), world.groups())
        p = holm(effects(contrasts(again, [(a, 0) for a in range(1, 5)]), family_prior(again, range(5))).p_two_sided())
        found.append(p <= 0.05)
    at, twice = np.mean(found, axis=0)[[0, 2]].mean(), np.mean(found, axis=0)[[1, 3]].mean()
    assert at >= 0.75
    assert twice >= 0.98


def test_more_seeds_that_would_decide_do_decide():
    found = known([0.15], 0.05)
    more = more_seeds(found, 0.05)[0]
    # 1.96 * sqrt(.05 / R) < .15 needs R >= 9.
    assert more == 4
    assert verdicts(known([0.15], 0.05, repeats=5 + more), 0.05) == (Verdict.HELPS,)
    assert verdicts(known([0.15], 0.05, repeats=5 + more - 1), 0.05) == (Verdict.UNDECIDED,)


def test_seeds_cannot_buy_items():
    assert more_seeds(known([0.15], 0.05, items=0.01), 0.05) == (None,)
    assert more_seeds(known([0.5], 0.05), 0.05) == (None,)
    # 1.645 * sqrt(.05 / R) < .15 needs R >= 7.
    assert more_seeds(known([0.0], 0.05), 0.15) == (2,)


def test_tiers_open_only_at_a_decided_gap():
    values = {"a": 3.0, "b": 2.9, "c": 1.0, "d": 0.9}
    below = {("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")}
    assert tiers(values, below) == {"a": 1, "b": 1, "c": 2, "d": 2}
    assert tiers(values, set()) == dict.fromkeys(values, 1)
    assert tiers({}, set()) == {}


@given(st.permutations(["a", "b", "c", "d"]))
def test_tiers_do_not_depend_on_the_order_given(names):
    values = {"a": 1.0, "b": 1.0, "c": 0.5, "d": 0.2}
    below = {(better, "d") for better in "abc"}
    assert tiers({name: values[name] for name in names}, below) == {"a": 1, "b": 1, "c": 1, "d": 2}


PAIRS = list(combinations(range(5), 2))
DECIDED = st.sets(st.sampled_from([(str(a), str(b)) for a, b in PAIRS]))


@given(DECIDED)
def test_different_tiers_are_decided_pairs_and_no_border_is_left_out(below):
    found = tiers({str(k): -float(k) for k in range(5)}, below)
    for a, b in PAIRS:
        assert found[str(a)] == found[str(b)] or (str(a), str(b)) in below
    full = [k for k in range(1, 5) if all((str(a), str(b)) in below for a in range(k) for b in range(k, 5))]
    assert max(found.values()) == 1 + len(full)


@given(DECIDED)
def test_the_true_place_is_inside_the_ranks_when_no_pair_is_wrong(below):
    found = ranks([str(k) for k in range(5)], below)
    assert all(found[str(k)][0] <= k + 1 <= found[str(k)][1] for k in range(5))
    assert ranks(["a", "b"], {("b", "a")}) == {"a": (2, 2), "b": (1, 1)}


@given(st.integers(0, 1000), st.floats(0, 0.3))
def test_more_seeds_are_the_fewest_that_decide(seed, margin):
    rng = np.random.default_rng(seed)
    found = known(rng.normal(0, 0.2, 4).tolist(), 0.05, df=float(rng.choice([4, 30])), items=float(rng.choice([0, 0.001])))
    given_now = judge(found, margin)
    levels = zip(given_now.apart, given_now.inside, strict=True)
    for k, ((apart, inside), more) in enumerate(zip(levels, seeds_to_decide(found, margin, given_now), strict=True)):
        enough = []
        for extra in range(1, 65):
            parts = 0.05 / (5 + extra), found.seed_df[k] + extra, found.item_variance[k], found.item_df[k]
            size = abs(found.value[k])
            if size > half_width(1 - apart / 2, *parts) or size + half_width(1 - inside, *parts) < margin:
                enough.append(extra)
        undecided = given_now.verdicts[k] is Verdict.UNDECIDED
        assert more == (enough[0] if undecided and enough else None)
