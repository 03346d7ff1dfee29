"""The rules by name, and which one a benchmark's items ask for."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sources.answer_rules.edit_distance import anls
from sources.answer_rules.exact_match import exact_match
from sources.answer_rules.judgement import Judgement
from sources.answer_rules.multiple_choice import multiple_choice
from sources.answer_rules.ocrbench import ocrbench
from sources.answer_rules.relaxed import relaxed
from sources.answer_rules.vqa import FEWEST_ANNOTATORS, vqa
from sources.answer_rules.yes_no import yes_no
from sources.benchmark import Item
from sources.problems import SourceError

RULES_VERSION = 1  # raised only when a golden test of a rule changes: the same answers would then get other scores
ROTATION = 1_000_000  # VLMEvalKit numbers the rotations of item n as n + k * 1,000,000
SHORT_ANSWER = "Answer the question using a single word or phrase."


@dataclass(frozen=True, slots=True)
class AnswerRule:
    """A rule: how one answer is judged, what the question ends with, and which items count as one.

    With `group`, the items of one key count together, and only where all are right; their score stands on the item that `leads`.
    """

    name: str
    judge: Callable[[Item, str], Judgement]
    instruction: str = ""
    group: Callable[[Item], str] | None = None
    leads: Callable[[Item], bool] = lambda item: True
    needs_choices: bool = False


def _rotation_of(item: Item) -> str:
    return str(int(item.id) % ROTATION) if item.id.isdecimal() else item.id


def _is_unrotated(item: Item) -> bool:
    return not item.id.isdecimal() or int(item.id) < ROTATION


RULES = {
    rule.name: rule
    for rule in (
        AnswerRule("multiple-choice", multiple_choice, needs_choices=True),
        AnswerRule("circular", multiple_choice, group=_rotation_of, leads=_is_unrotated, needs_choices=True),
        AnswerRule("yes-no", yes_no),
        AnswerRule("vqa", vqa, SHORT_ANSWER),
        AnswerRule("anls", anls, SHORT_ANSWER),
        AnswerRule("relaxed", relaxed, SHORT_ANSWER),
        AnswerRule("ocrbench", ocrbench),
        AnswerRule("exact-match", exact_match, SHORT_ANSWER),
    )
}


def find_rule(name: str) -> AnswerRule:
    """Return a rule.

    Raises:
        SourceError: there is none of that name.
    """
    if name not in RULES:
        close = difflib.get_close_matches(name, RULES, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(RULES)}"
        raise SourceError(f"There is no answer rule {name!r}; {hint}")
    return RULES[name]


def inferred_rule(items: Sequence[Item]) -> AnswerRule:
    """Return the rule that items plainly ask for; exact match where nothing is plain."""
    if all(set(item.choices) == {"Yes", "No"} for item in items):
        return RULES["yes-no"]
    if all(item.choices for item in items):
        return RULES["multiple-choice" if all(map(_is_unrotated, items)) else "circular"]
    if all(len(item.answers) >= FEWEST_ANNOTATORS for item in items):
        return RULES["vqa"]
    return RULES["exact-match"]
