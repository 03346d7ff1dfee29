"""The answer rules: golden scores frozen from VLMEvalKit, what each rule means, and what holds for any answer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from answer_cases import HARD, ITEMS, KINDS, hard_answers, own_score, questions, right_answer, rotated
from hypothesis import given
from hypothesis import strategies as st

from sources.answer_rules.edit_distance import edits
from sources.answer_rules.judging import chance_of_guessing, judged
from sources.answer_rules.registry import RULES, find_rule, inferred_rule
from sources.answer_rules.scoring import rule_of
from sources.benchmark import BenchmarkSpec, Item, Scoring
from sources.problems import SourceError

GOLDEN = json.loads(Path(__file__).with_name("golden_answers.json").read_text("utf-8"))


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_vlmevalkit(kind: str) -> None:
    """Frozen by `freeze_golden_answers.py` from ms-vlmeval 0.0.20."""
    for items, golden in zip(questions(kind), GOLDEN[kind], strict=True):
        ours = [own_score(kind, items, [text] * len(items)) for text in HARD]
        assert ours == pytest.approx(golden, abs=1e-5), items[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_right_answer_is_right(kind: str) -> None:
    ones = {"vqa": {"2"}, "relaxed": {"1", "2", "3", "4"}}  # annotators that disagree, and no numbers
    for items in (items for items in questions(kind) if items[0].id in ones.get(kind, {items[0].id})):
        assert own_score(kind, items, [right_answer(kind, item) for item in items]) == 1.0


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_any_answer_gets_a_score_and_an_unread_one_gets_nothing(kind: str, data: st.DataObject) -> None:
    items = data.draw(st.sampled_from(questions(kind)))
    predictions = {number: data.draw(hard_answers) for number in range(len(items))}
    scores, parsed = judged(RULES[kind], items, predictions)
    assert 0 <= scores[0] <= 1
    assert np.isfinite(parsed).all()
    if kind in ("multiple-choice", "circular", "yes-no") and not parsed.all():
        assert scores[0] == 0


BALL = Item("1", (), "?", ("a red ball", "a dog"), "a dog")


@pytest.mark.parametrize(
    ("text", "score", "parsed"),
    [
        ("B", 1, True),
        (" B.", 1, True),
        ("(B)", 1, True),
        ("a dog.\n", 1, True),
        ("A dog.\n", 0, True),  # the letter A, which stands alone
        ("(A) a red ball", 0, True),
        ("C", 0, False),
        ("Both", 0, False),
        ("A or B", 0, False),
        ("", 0, False),
    ],
)
def test_choices_are_read(text: str, score: float, parsed: bool) -> None:
    judgement = RULES["multiple-choice"].judge(BALL, text)
    assert (judgement.score, judgement.parsed) == (score, parsed)


def test_three_other_annotators_make_it_right() -> None:
    item = Item("1", (), "?", (), "blue", answers=("blue",) * 3 + ("red",) * 2 + ("green",) * 5)
    score = {word: RULES["vqa"].judge(item, word).score for word in ("green", "blue", "red", "black", "The  Blue!")}
    assert score["green"] == 1.0
    assert score["blue"] == score["The  Blue!"] == pytest.approx((3 * 2 / 3 + 7 * 1) / 10)
    assert score["red"] == pytest.approx((2 * 1 / 3 + 8 * 2 / 3) / 10)
    assert score["black"] == 0


@given(st.text("abc", max_size=7), st.text("abc", max_size=7), st.text("abc", max_size=7))
def test_edits_are_a_metric(a: str, b: str, c: str) -> None:
    assert (edits(a, b) == 0) == (a == b)
    assert edits(a, b) == edits(b, a) <= max(len(a), len(b))
    assert edits(a, c) <= edits(a, b) + edits(b, c)
    assert edits(a, a + "a") == 1


def test_a_rotation_without_an_answer_leaves_its_question_out() -> None:
    items = [*rotated(BALL), *rotated(Item("2", (), "?", ("x", "y"), "x"))]
    scores, parsed = judged(RULES["circular"], items, {0: "B", 1: "A", 2: "A"})
    np.testing.assert_array_equal(scores, [1.0, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(parsed, [1.0, 1.0, 1.0, np.nan])


def test_guessing_all_rotations_right_is_rarer() -> None:
    items = [*rotated(BALL), *rotated(Item("2", (), "?", tuple("wxyz"), "w"))]
    assert chance_of_guessing(RULES["multiple-choice"], items) == pytest.approx((2 / 2 + 4 / 4) / 6)
    assert chance_of_guessing(RULES["circular"], items) == pytest.approx((1 / 4 + 1 / 256) / 2)


@pytest.mark.parametrize(
    ("items", "name"),
    [
        (ITEMS["multiple-choice"], "multiple-choice"),
        (rotated(BALL), "circular"),
        (ITEMS["yes-no"], "yes-no"),
        (ITEMS["vqa"][:3], "vqa"),
        (ITEMS["anls"], "exact-match"),
        (ITEMS["exact-match"], "exact-match"),
        ([BALL, ITEMS["vqa"][0]], "exact-match"),
    ],
)
def test_the_rule_that_the_data_asks_for(items: list[Item], name: str) -> None:
    assert inferred_rule(items).name == name


def test_a_rule_that_does_not_fit_says_so() -> None:
    spec = BenchmarkSpec("b", "c", scoring=Scoring.GENERATE, rule="circular")
    with pytest.raises(SourceError, match="needs choices"):
        rule_of(spec, ITEMS["anls"])
    with pytest.raises(SourceError, match="did you mean 'relaxed'"):
        find_rule("relaxd")
