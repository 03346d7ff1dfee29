"""A benchmark's generated answers, judged by its rule: scores and what could be read, per item."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sources.answer_rules.judgement import Judgement
from sources.answer_rules.registry import AnswerRule
from sources.benchmark import Item

Floats = NDArray[np.float32]


def judged(rule: AnswerRule, items: Sequence[Item], predictions: Mapping[int, str]) -> tuple[Floats, Floats]:
    """Return scores and readability, both [items], of predictions by item number; NaN where an item has no prediction.

    Under a rule that groups, scores stand on the items that lead their group, and are NaN on the others and where a member has none.
    """
    found = {number: rule.judge(items[number], text) for number, text in predictions.items()}
    parsed = _spread(len(items), {number: float(judgement.parsed) for number, judgement in found.items()})
    if rule.group is None:
        return _spread(len(items), {number: judgement.score for number, judgement in found.items()}), parsed
    return _spread(len(items), _together(rule, items, found)), parsed


def _together(rule: AnswerRule, items: Sequence[Item], found: Mapping[int, Judgement]) -> dict[int, float]:
    assert rule.group is not None
    members: defaultdict[str, list[int]] = defaultdict(list)
    for number, item in enumerate(items):
        members[rule.group(item)].append(number)
    together: dict[int, float] = {}
    for group in members.values():
        if all(number in found for number in group):
            right = float(all(found[number].score == 1.0 for number in group))
            together |= {number: right for number in group if rule.leads(items[number])}
    return together


def _spread(n: int, values: Mapping[int, float]) -> Floats:
    spread = np.full(n, np.nan, np.float32)
    for number, value in values.items():
        spread[number] = value
    return spread


def chance_of_guessing(rule: AnswerRule, items: Sequence[Item]) -> float:
    """Return the mean score of guessing among choices by the rule; 0 where nothing has choices."""
    guesses: defaultdict[str, float] = defaultdict(lambda: 1.0)
    for number, item in enumerate(items):
        if item.choices:
            guesses[rule.group(item) if rule.group else str(number)] *= 1 / len(item.choices)
    return sum(guesses.values()) / len(guesses) if guesses else 0.0
