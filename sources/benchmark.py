"""Benchmarks: held-out items with answers, in one normal form, independent of where they came from."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from sources.canonical import content_hash
from sources.sample import ImageRef


class PromptForm(enum.StrEnum):
    """How choices are offered: the question alone and the choices' texts scored, or listed with letters and letters scored."""

    TEXT = "text"
    LETTER = "letter"


class Split(enum.StrEnum):
    """Ranking and search read selection items only; a claim uses confirmation items only."""

    SELECTION = "selection"
    CONFIRMATION = "confirmation"


class Scoring(enum.StrEnum):
    """What an item's score is: how likely the right answer is, or what a rule or a scorer says of the answer that the model writes."""

    LIKELIHOOD = "likelihood"
    GENERATE = "generate"


@dataclass(frozen=True, slots=True)
class InHouseScorer:
    """A team's own scorer: `entry_point` (`package.module:function` or `file.py:function`) or `command`, looked for from `folder`."""

    entry_point: str = ""
    command: str = ""
    folder: str = ""
    timeout_s: float = 600.0


@dataclass(frozen=True, slots=True)
class BenchmarkSpec:
    """A named benchmark: where it lies and how it is asked and scored. `format` is `tsv`, `world` or `easy-vqa`.

    `rule` is empty where the items say it; `instruction` ends each question whose answer is generated. Neither is read with `LIKELIHOOD`.
    """

    name: str
    capability: str
    format: str = "tsv"
    path: str = ""
    image_root: str = ""
    prompt_form: PromptForm = PromptForm.TEXT
    options: tuple[tuple[str, str], ...] = ()
    scoring: Scoring = Scoring.LIKELIHOOD
    rule: str = ""
    scorer: InHouseScorer | None = None
    instruction: str = ""
    answer_tokens: int = 32  # most that are generated of an answer

    @property
    def generates(self) -> bool:
        """Say whether answers are generated and judged."""
        return self.scoring is Scoring.GENERATE

    def option(self, name: str, default: str = "") -> str:
        """Return one option's value."""
        return dict(self.options).get(name, default)


@dataclass(frozen=True, slots=True)
class Item:
    """One question. `choices` empty means free text; else `answer` is one of them, word for word.

    `answers` are those of several annotators or all that are accepted, `answer` the one that most of them gave; empty where there is one.
    """

    id: str
    images: tuple[ImageRef, ...]
    question: str
    choices: tuple[str, ...]
    answer: str
    category: str = ""
    answers: tuple[str, ...] = ()

    def accepted(self) -> tuple[str, ...]:
        """Return every answer that counts, one an annotator."""
        return self.answers or (self.answer,)

    def image_group(self) -> str:
        """Return the key that keeps items of one image in one split and one cluster."""
        return self.images[0].identity() if self.images else "text:" + content_hash(self.question)


def items_fingerprint(fingerprint: str) -> str:
    """Return the part of a benchmark's fingerprint that is of its items and how they are asked, without how answers are judged."""
    return fingerprint.partition("-")[0]


def same_items(one: str, other: str) -> bool:
    """Say whether two fingerprints are of the same items asked in the same way, whatever then judges the answers."""
    return one == other or ("-" in one and "-" in other and items_fingerprint(one) == items_fingerprint(other))
