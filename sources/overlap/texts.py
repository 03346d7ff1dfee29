"""Texts compared: a question with its answer by their words, a long text by the runs of words that it shares.

Case, punctuation and white space do not count. A short question is the same wherever somebody asks it, so it says nothing without its
image; a long text that stands in a benchmark and in a row comes from one place.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from sources.benchmark import Item
from sources.sample import Role, Sample

LONG_WORDS = 25  # of a benchmark item's own words, at least: a text that can match by itself
RUN = 8  # words that stand in the same order
LEAST_SHARED = 0.8  # of an item's runs
_PAIRS_KEPT = 10_000
_COMMON = 3  # items of a benchmark that have a run: in more it is the benchmark's own wording
_SHORT = 120  # characters: short texts come again and again, so what is known of the last few thousand is kept
_WORD = re.compile(r"\w+")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
Words = tuple[str, ...]


def words(text: str) -> Words:
    """Return a text's words without case, punctuation and form of writing."""
    return _short_words(text) if len(text) <= _SHORT else _words(text)


@lru_cache(maxsize=1 << 14)
def _short_words(text: str) -> Words:
    return _words(text)


def _words(text: str) -> Words:
    return tuple(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


@dataclass(frozen=True, slots=True)
class RowWords:
    """What a conversation says: the words of each question with its answer, and of all turns. Made once a row for many benchmarks."""

    pairs: tuple[tuple[Words, Words], ...]
    all: Words

    @classmethod
    def of(cls, sample: Sample) -> RowWords:
        """Take the words out of a sample's turns."""
        said = [words(turn.text) for turn in sample.turns]
        pairs = tuple(
            (said[place], said[place + 1])
            for place, (asked, answered) in enumerate(pairwise(sample.turns))
            if asked.role is Role.USER and answered.role is Role.ASSISTANT
        )
        return cls(pairs, tuple(word for turn in said for word in turn))


@dataclass(frozen=True, slots=True)
class _Asked:
    """An item's question, its answer, and the letter of the answer among its choices."""

    question: Words
    answer: Words
    letter: str

    def answered_by(self, answer: Words) -> bool:
        """Say whether a row's answer is this one: its words, inside a sentence too, or its letter."""
        return bool(self.answer) and (
            _holds(answer, self.answer) or (bool(self.letter) and answer[:1] == (self.letter,) and len(answer) == 1)
        )


class BenchmarkTexts:
    """The questions and long texts of a benchmark's items, made to be looked up."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._items: dict[_Asked, list[int]] = {}  # many items may ask the same
        for number, item in enumerate(items):
            self._items.setdefault(_Asked(words(item.question), words(item.answer), _letter(item)), []).append(number)
        self._by_start: dict[Words, list[_Asked]] = {}
        self._lengths: set[int] = set()
        self._found: dict[tuple[Words, Words], frozenset[int]] = {}  # of the short pairs last seen
        for asked in self._items:
            if asked.question:
                self._by_start.setdefault(asked.question[:RUN], []).append(asked)
                self._lengths.add(min(RUN, len(asked.question)))
        self._runs: dict[Words, list[int]] = {}
        self._needed: dict[int, int] = {}
        self._index_runs(items)

    def asked_in(self, row: RowWords) -> set[int]:
        """Return the items whose question a conversation asks, maybe among other words, and gives its answer to."""
        found: set[int] = set()
        for pair in row.pairs:
            known = self._found.get(pair)
            found |= self._answered(*pair) if known is None else known
        return found

    def _answered(self, question: Words, answer: Words) -> frozenset[int]:
        held = [asked for asked in self._candidates(question) if asked.answered_by(answer) and _holds(question, asked.question)]
        found = frozenset(number for asked in held for number in self._items[asked])
        if len(question) + len(answer) <= LONG_WORDS:
            if len(self._found) >= _PAIRS_KEPT:
                self._found.clear()
            self._found[question, answer] = found
        return found

    def copied_in(self, row: RowWords) -> set[int]:
        """Return the items with a long text of which a conversation holds most."""
        if not self._runs:
            return set()
        hits: Counter[int] = Counter()
        for run in set(runs(row.all)):
            hits.update(self._runs.get(run, ()))
        return {number for number, count in hits.items() if count >= self._needed[number]}

    def _candidates(self, question: Words) -> set[_Asked]:
        """Return what items ask that begins somewhere in a row's question; a question of under three words must be all of it."""
        found: set[_Asked] = set()
        for length in self._lengths:
            starts = range(len(question) - length + 1) if length >= 3 else range(int(len(question) == length))
            for start in starts:
                found.update(self._by_start.get(question[start : start + length], ()))
        return found

    def _index_runs(self, items: Sequence[Item]) -> None:
        texts = {number: text for number, item in enumerate(items) if len(text := _item_words(item)) >= LONG_WORDS}
        held = {number: set(runs(text)) for number, text in texts.items()}
        counts = Counter(run for of in held.values() for run in of)
        for number, of in held.items():
            telling = [run for run in of if counts[run] <= _COMMON]
            if len(telling) > LONG_WORDS - RUN:
                self._needed[number] = -int(-LEAST_SHARED * len(telling) // 1)
                for run in telling:
                    self._runs.setdefault(run, []).append(number)


def runs(text: Words) -> Iterable[Words]:
    """Return every run of `RUN` words of a text."""
    return (text[start : start + RUN] for start in range(len(text) - RUN + 1))


def _item_words(item: Item) -> Words:
    return words(item.question) + words(item.answer)


def _letter(item: Item) -> str:
    place = item.choices.index(item.answer) if item.answer in item.choices else -1
    return _LETTERS[place] if 0 <= place < len(_LETTERS) else ""


def _holds(text: Words, part: Words) -> bool:
    return any(text[start : start + len(part)] == part for start in range(len(text) - len(part) + 1))
