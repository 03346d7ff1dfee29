"""Which questions have a small closed set of answers, seen from the questions and answers alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

MOST_CHOICES = 26
_SHORT_CHARS, _SHORT_WORDS = 30, 3


def answer_choices(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, ...]]:
    """Return for each (question, answer) the sorted choices of its type, empty where it is free text.

    Two answers are of one type if the same question has both. A type is closed with 2 to 26 answers, all of them short. Where
    all answers together are so few, those that share no question are one type too.
    """
    kinds = _types(pairs)
    return [kinds.get(answer, ()) for _, answer in pairs]


def _types(pairs: Sequence[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    by_question: defaultdict[str, set[str]] = defaultdict(set)
    for question, answer in pairs:
        by_question[question].add(answer)
    types = _joined(by_question.values())
    if sum(len(kind) for kind in types) <= MOST_CHOICES:
        alone = {answer for kind in types if len(kind) == 1 for answer in kind}
        types = [kind for kind in types if len(kind) > 1] + ([alone] if alone else [])
    closed = (tuple(sorted(kind)) for kind in types if 2 <= len(kind) <= MOST_CHOICES and all(map(_is_short, kind)))
    return {answer: kind for kind in closed for answer in kind}


def _joined(sets: Iterable[set[str]]) -> list[set[str]]:
    parent: dict[str, str] = {}

    def find(answer: str) -> str:
        while parent.setdefault(answer, answer) != answer:
            parent[answer] = parent[parent[answer]]
            answer = parent[answer]
        return answer

    for answers in sets:
        first, *others = sorted(answers)
        for other in others:
            parent[find(other)] = find(first)
        find(first)
    joined: defaultdict[str, set[str]] = defaultdict(set)
    for answer in list(parent):
        joined[find(answer)].add(answer)
    return list(joined.values())


def _is_short(answer: str) -> bool:
    return 0 < len(answer) <= _SHORT_CHARS and len(answer.split()) <= _SHORT_WORDS
