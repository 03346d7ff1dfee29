import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from probe.decide.hierarchy import Question, decide, one_layer, plan
from probe.decide.multiplicity import holm

BENCHMARKS = {"a": {"a1", "a2"}, "b": {"b1", "b2"}}
SETS = [{"a1", "a2", "b1", "b2"}, *BENCHMARKS.values(), {"a1"}, {"a2"}, {"b1"}, {"b2"}]


def tree(arms):
    return [Question(arm, frozenset(benchmarks)) for benchmarks in SETS for arm in range(arms)]


def p_values(arms, default=1.0, **small):
    """`o`, `a`, `b`, `a1` ... of arm 0."""
    p = np.full((len(SETS), arms), default)
    for name, value in small.items():
        p[["o", "a", "b", "a1", "a2", "b1", "b2"].index(name), 0] = value
    return p.ravel()


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=12))
def test_one_layer_is_holm(p):
    decided, levels = decide(p, one_layer(len(p)), 0.05)
    assert decided.tolist() == (holm(p) <= 0.05).tolist()
    assert levels[~decided] == pytest.approx(0.05 / max(1, (~decided).sum()))


@pytest.mark.parametrize("arms", [1, 2, 5])
def test_no_more_is_handed_out_than_there_is(arms):
    made = plan(tree(arms))
    assert made.weights.sum() == pytest.approx(1)
    assert (made.weights > 0).all()
    assert (made.passed >= 0).all()
    assert (made.passed.sum(axis=1) <= 1 + 1e-12).all()
    assert not np.diag(made.passed).any()


def test_an_effect_on_one_capability_is_found_where_the_overall_effect_is_nil():
    decided, _ = decide(p_values(2, o=0.9, a=1e-6, b=1e-6), plan(tree(2)), 0.05)
    assert decided.reshape(len(SETS), 2)[:, 0].tolist() == [False, True, True, False, False, False, False]


def test_a_decided_source_frees_its_level_for_its_own_capabilities():
    # .05 / 2 arms / 4 / 2 capabilities is .0031: alone too little for .005, with what the overall question frees enough.
    alone, _ = decide(p_values(2, a=0.005), plan(tree(2)), 0.05)
    after, _ = decide(p_values(2, o=0.001, a=0.005), plan(tree(2)), 0.05)
    assert not alone.any()
    assert after.reshape(len(SETS), 2)[1, 0]


def test_the_same_question_on_several_levels_costs_nothing():
    twice = [Question(arm, frozenset({"only"})) for _ in range(3) for arm in range(4)]
    p = [0.001, 0.015, 0.02, 0.9]
    decided, _ = decide(p * 3, plan(twice), 0.05)
    assert decided.reshape(3, 4).tolist() == [(holm(p) <= 0.05).tolist()] * 3


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(1e-5, 0.2), min_size=14, max_size=14), st.integers(0, 13))
def test_stronger_evidence_never_costs_a_decision(p, place):
    less = np.array(p)
    more = less.copy()
    more[place] /= 10
    before, after = (decide(values, plan(tree(2)), 0.05)[0] for values in (less, more))
    assert (after | ~before).all()


def test_false_decisions_over_all_levels_together_stay_within_the_level():
    rng, made, wrong = np.random.default_rng(0), plan(tree(3)), 0
    for _ in range(4000):
        leaves = rng.standard_normal((4, 3))
        leaves[:, 0] += [8, 8, -8, -8]  # nil overall, apart on both capabilities
        z = np.concatenate([leaves.sum(0, keepdims=True) / 2, leaves[:2].sum(0, keepdims=True) / 2**0.5,
                            leaves[2:].sum(0, keepdims=True) / 2**0.5, leaves])  # fmt: skip
        p = 2 * (1 - ndtr(np.abs(z)))
        decided = decide(p.ravel(), made, 0.05)[0].reshape(len(SETS), 3)
        assert decided[1:3, 0].all()
        wrong += bool(decided[:, 1:].any() or decided[0, 0])
    assert wrong / 4000 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 4000)
