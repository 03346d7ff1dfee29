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


@dataclass(frozen=True, slots=True)
class BenchmarkSpec:
    """A named benchmark: where it lies and how it is asked. `format` is `tsv`, `world` or `easy-vqa`."""

    name: str
    capability: str
    format: str = "tsv"
    path: str = ""
    image_root: str = ""
    prompt_form: PromptForm = PromptForm.TEXT
    options: tuple[tuple[str, str], ...] = ()

    def option(self, name: str, default: str = "") -> str:
        """Return one option's value."""
        return dict(self.options).get(name, default)


@dataclass(frozen=True, slots=True)
class Item:
    """One question. `choices` empty means free text; else `answer` is one of them, word for word."""

    id: str
    images: tuple[ImageRef, ...]
    question: str
    choices: tuple[str, ...]
    answer: str
    category: str = ""

    def image_group(self) -> str:
        """Return the key that keeps items of one image in one split and one cluster."""
        return self.images[0].identity() if self.images else "text:" + content_hash(self.question)
