"""Our rules against the real VLMEvalKit, item by item on the same answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from answer_cases import HARD, KINDS, hard_answers, own_score, questions, right_answer, row
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vlmevalkit import MISSING, VlmEvalKit, interpreter

from sources.answer_rules.judging import judged
from sources.answer_rules.registry import RULES


@pytest.fixture(scope="module")
def kit() -> Iterator[VlmEvalKit]:
    python = interpreter()
    if python is None:
        pytest.skip(MISSING)
    running = VlmEvalKit(python)
    yield running
    running.close()


@pytest.mark.parametrize("kind", KINDS)
def test_every_hard_answer_gets_the_same_score(kit: VlmEvalKit, kind: str) -> None:
    for items in questions(kind):
        for text in HARD:
            theirs = kit(kind, [row(kind, item, text) for item in items])["scores"][0]
            assert own_score(kind, items, [text] * len(items)) == pytest.approx(theirs, abs=1e-6), (items[0], text)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_answer_gets_the_same_score(kit: VlmEvalKit, kind: str, data: st.DataObject) -> None:
    items = data.draw(st.sampled_from(questions(kind)))
    texts = [data.draw(hard_answers) for _ in items]
    theirs = kit(kind, [row(kind, item, text) for item, text in zip(items, texts, strict=True)])["scores"][0]
    assert own_score(kind, items, texts) == pytest.approx(theirs, abs=1e-6)


def test_circular_right_answers_count_and_one_wrong_rotation_does_not(kit: VlmEvalKit) -> None:
    kind = "circular"
    for items in questions(kind):
        right = [right_answer(kind, item) for item in items]
        for texts in (right, [*right[:-1], "A" if right[-1] != "A" else "B"]):
            theirs = kit(kind, [row(kind, item, text) for item, text in zip(items, texts, strict=True)])["scores"][0]
            assert own_score(kind, items, texts) == theirs == float(texts == right)


# Answers that a table keeps as they are: pandas reads an empty cell, `nan` and the like as missing, whoever wrote them.
KEPT = [text for text in HARD if text.strip() == text and text.isprintable() and text and text.lower() not in ("nan", "none", "null")]


@pytest.mark.parametrize("kind", KINDS)
def test_the_data_classes_own_evaluation_agrees(kit: VlmEvalKit, kind: str) -> None:
    """All the way through files, as a user of VLMEvalKit runs it: each item's score, and their mean."""
    asked, answers = [], []
    for number, text in enumerate(KEPT):
        items = questions(kind)[number % len(questions(kind))]
        moved = [replace(item, id=str(int(item.id) + 10 * number)) for item in items]
        asked += moved
        answers += [right_answer(kind, item) if number % 3 == 0 else text for item in moved]
    theirs = kit(kind, [row(kind, item, text) for item, text in zip(asked, answers, strict=True)], evaluate=True)
    ours, _ = judged(RULES[kind], asked, dict(enumerate(answers)))
    leading = [number for number in range(len(asked)) if ours[number] == ours[number]]
    order = sorted(leading, key=lambda number: int(asked[number].id))
    assert [float(ours[number]) for number in order] == pytest.approx(theirs["scores"], abs=1e-6)
    assert float(ours[leading].mean()) == pytest.approx(theirs["overall"], abs=1e-6)
    assert 0 < theirs["overall"] < 1
