from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from decide_worlds import World, study

from db.values import Design, Verdict
from probe.decide.effects import Effects, contrasts, effects, family_prior
from probe.decide.open_questions import OpenQuestion, open_questions
from probe.decide.panel import Panel, benchmark_panel
from probe.decide.ranking import rank_study
from probe.decide.sequential import looks, seen, sequential_effects, spending

AT = (3, 5, 8)
PAIRS = [(1, 0), (2, 0), (3, 0)]


def prior(panel: Panel) -> object:
    return family_prior(panel, [0, 1, 2, 3])


def panel_of(rng: np.random.Generator, repeats: int, truth: np.ndarray | float = 0.0, have: tuple[int, ...] = ()) -> Panel:
    world = World()
    scores = world.scores(rng, 4, repeats, truth)
    for arm, count in enumerate(have):
        scores[arm, count:] = np.nan
    return benchmark_panel(scores, world.groups())


def test_looks_end_at_the_most_seeds_and_spend_the_whole_level() -> None:
    assert looks(3, 12) == (3, 4, 6, 9, 12)
    assert looks(3, 4) == (3, 4)
    assert looks(5, 5) == (5,)
    for at in (looks(3, 12), looks(4, 64), (3,)):
        assert spending(at).sum() == pytest.approx(1.0)
        assert (spending(at) > 0).all()


def test_one_look_is_what_a_study_that_is_decided_once_says() -> None:
    panel = panel_of(np.random.default_rng(0), 5)
    once = effects(contrasts(panel, PAIRS), prior(panel))  # type: ignore[arg-type]
    looked = sequential_effects(panel, PAIRS, prior, (5,))  # type: ignore[arg-type]
    assert looked.p_two_sided() == pytest.approx(once.p_two_sided())
    assert looked.half_width(0.9) == pytest.approx(once.half_width(0.9))
    assert looked.p_inside(0.1) == pytest.approx(once.p_inside(0.1))


def test_a_p_value_is_the_least_over_the_looks_that_both_arms_have_reached() -> None:
    panel = panel_of(np.random.default_rng(1), 8, np.array([0, 0.1, 0.1, 0.1]), have=(8, 8, 5, 4))
    looked = sequential_effects(panel, PAIRS, prior, AT)  # type: ignore[arg-type]
    single: list[Effects] = [effects(contrasts(seen(panel, look), PAIRS), prior(seen(panel, look))) for look in AT]  # type: ignore[arg-type]
    shares = spending(AT)
    reached = [3, 2, 1]  # looks of the three pairs
    for entry, count in enumerate(reached):
        expected = min(single[k].p_two_sided()[entry] / shares[k] for k in range(count))
        assert looked.p_two_sided()[entry] == pytest.approx(min(expected, 1.0))
        assert looked.value[entry] == single[count - 1].value[entry]
        assert looked.half_width(0.9)[entry] == pytest.approx(single[count - 1].half_width(1 - 0.1 * shares[count - 1])[entry])


def test_seeds_before_the_first_look_decide_nothing() -> None:
    panel = panel_of(np.random.default_rng(2), 2, np.array([0, 5.0, 5.0, 5.0]))
    assert sequential_effects(panel, PAIRS, prior, AT).p_two_sided().tolist() == [1.0, 1.0, 1.0]  # type: ignore[arg-type]


def test_looking_until_something_shows_makes_no_more_false_verdicts_than_the_level() -> None:
    """Equal arms, seeds added while undecided: without spending, so many looks would be wrong much more often than once in twenty."""
    rng, wrong, naive, missed, studies = np.random.default_rng(7), 0, 0, 0, 250
    one = partial(sequential_effects, pairs=[(1, 0)], prior_of=lambda panel: family_prior(panel, [0, 1, 2, 3]))
    for _ in range(studies):
        panel = panel_of(rng, AT[-1])
        at_each = [one(seen(panel, look), at=AT) for look in AT]
        wrong += any(found.p_two_sided()[0] <= 0.05 for found in at_each)
        naive += any(
            effects(contrasts(seen(panel, look), [(1, 0)]), family_prior(seen(panel, look), [0, 1, 2, 3])).p_two_sided()[0] <= 0.05
            for look in AT
        )
        missed += any(abs(found.value[0]) > found.half_width(0.9)[0] for found in at_each)
    assert wrong <= 20  # .05 of 250 is 12.5; more than 20 in one run of a hundred at most
    assert naive > wrong
    assert missed <= 37  # .1 of 250 is 25


def test_what_is_open_is_undecided_verdicts_and_neighbours_that_are_neither_apart_nor_the_same() -> None:
    world, rng = World(), np.random.default_rng(3)
    names = ["base", "clear", "nil", "small"]
    scores = world.scores(rng, 4, 4, np.array([0.0, 0.6, 0.0, 0.08]))
    added = rank_study(study({"b": scores}, names, world.groups(), design=Design.ADD_ONE))
    undecided = {row.arm for row in added.effects if row.level == "overall" and row.verdict is Verdict.UNDECIDED}
    assert {arm for question in open_questions(added) for arm in question.arms} == undecided
    assert "clear" not in undecided
    alone = rank_study(study({"b": scores}, ["untrained", *names[1:]], world.groups()))
    for question in open_questions(alone):
        pair = next(row for row in alone.pairs if row.level == "overall" and {row.a, row.b} == set(question.arms))
        assert not pair.decided
        assert not pair.same
    assert not any("clear" in question.arms for question in open_questions(alone))


def test_arms_shown_to_be_the_same_are_no_question_any_more() -> None:
    world, rng = World(seed=0.02), np.random.default_rng(4)
    scores = world.scores(rng, 3, 12)
    wide = rank_study(study({"b": scores}, ["untrained", "a", "b"], world.groups()), margin=1.0)
    assert [row.same for row in wide.pairs if row.level == "overall"] == [True]
    assert open_questions(wide) == ()
    narrow = rank_study(study({"b": scores}, ["untrained", "a", "b"], world.groups()), margin=1e-6)
    assert [row.same for row in narrow.pairs if row.level == "overall"] == [False]


def test_a_question_is_given_up_only_where_it_asks_for_far_more_seeds_than_are_left() -> None:
    assert OpenQuestion(("a",), "", 1.0, 9).worth(6)
    assert not OpenQuestion(("a",), "", 1.0, 40).worth(6)
    assert not OpenQuestion(("a",), "", 1.0, float("inf")).worth(60)
    assert not OpenQuestion(("a",), "", 1.0, 0).worth(0)
    world, rng = World(), np.random.default_rng(5)
    scores = world.scores(rng, 3, 3, np.array([0.0, 0.08, 0.0]))
    found = rank_study(study({"b": scores}, ["base", "small", "nil"], world.groups(), design=Design.ADD_ONE))
    asked = {row.arm: row.seeds_to_decide for row in found.effects if row.level == "overall" and row.verdict is Verdict.UNDECIDED}
    assert {one.arms[0]: one.more_seeds for one in open_questions(found)} == {
        arm: float("inf") if more is None else more for arm, more in asked.items()
    }
