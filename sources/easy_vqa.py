"""easy-VQA: real data that nobody here made, small enough to try everything on (https://github.com/vzhou842/easy-VQA, MIT).

    ["what color is the shape?", "blue", 0]          question, answer, image number

One coloured shape on a light ground, 64 x 64 pixels; about ten questions an image, of three types that the answer tells
apart: colour, shape, presence (yes or no). The sources are its training split, the benchmarks its test split.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sources.benchmark import BenchmarkSpec, Item
from sources.formats.conversation import Message, Place, Prepend, build_sample
from sources.formats.record_rows import RecordRows
from sources.ordering import seeded_key
from sources.problems import SourceError
from sources.reader import Rows
from sources.sample import ImageRef, Role, Sample
from sources.spec import Licence, SourceSpec

ANSWERS: Mapping[str, tuple[str, ...]] = {
    "colour": ("black", "blue", "brown", "gray", "green", "red", "teal", "yellow"),
    "shape": ("circle", "rectangle", "triangle"),
    "presence": ("yes", "no"),
}
PARTS = (*ANSWERS, "all", "half-wrong", "shuffled", "half-a", "half-b")
DEFAULT_ITEMS = 300
_SEED = 0  # of what is damaged, halved and permuted: the parts are fixed data sets
_LICENCE = Licence(declared="MIT", concluded="MIT", terms="generated images and questions by Victor Zhou")
_MISSING = "easy-VQA is not installed; run: pip install 'vlm-source-probe[demo]'"


@dataclass(frozen=True, slots=True)
class Question:
    """One question of the package. `number` is its place in the split."""

    number: int
    text: str
    answer: str
    image: int

    @property
    def kind(self) -> str:
        """Its type, told by its answer."""
        return next(kind for kind, answers in ANSWERS.items() if self.answer in answers)

    def key(self, purpose: str) -> int:
        """Return its seeded random number for one purpose."""
        return seeded_key(_SEED, purpose, self.number)


def easy_vqa_source_specs() -> tuple[SourceSpec, ...]:
    """Return the sources `easy-vqa/<part>`, installed or not."""
    return tuple(SourceSpec(f"easy-vqa/{part}", "easy-vqa", licence=_LICENCE, options=(("part", part),)) for part in PARTS)


def easy_vqa_benchmark_specs(items: int = DEFAULT_ITEMS) -> tuple[BenchmarkSpec, ...]:
    """Return one benchmark per question type; its name's last part is its capability."""
    options = (("items", str(items)), ("part", ""))
    return tuple(BenchmarkSpec(f"easy-vqa/{kind}", kind, "easy-vqa", options=(options[0], ("part", kind))) for kind in ANSWERS)


def easy_vqa_items(spec: BenchmarkSpec) -> tuple[Item, ...]:
    """Return the first `items` questions of a type: images in seeded order, one question of each before a second of any.

    The order of images is the same for the three types, so their items are about nearly the same images.

    Raises:
        SourceError: the package is not installed, or there is no such type.
    """
    kind = spec.option("part")
    if kind not in ANSWERS:
        raise SourceError(f"easy-VQA has no benchmark {kind!r}; it has {', '.join(ANSWERS)}")
    turn_of: dict[int, int] = {}
    keyed = []
    for question in sorted(read_questions("test"), key=lambda question: question.key("item")):
        if question.kind == kind:
            turn_of[question.image] = turn = turn_of.get(question.image, 0) + 1
            keyed.append((turn, seeded_key(_SEED, "test image", question.image), question.number, question))
    chosen = [entry[-1] for entry in sorted(keyed, key=lambda entry: entry[:-1])][: int(spec.option("items", str(DEFAULT_ITEMS)))]
    return tuple(Item(f"test-{q.number}", (_image("test", q.image),), q.text, ANSWERS[kind], q.answer, kind) for q in chosen)


class EasyVqaReader:
    """Reads the training split of the installed package."""

    name = "easy-vqa"
    version = 1

    def sniff(self, path: Path) -> bool:
        """Say no: it comes from a package, never from a path."""
        return False

    def files(self, path: Path) -> list[Path]:
        """Return nothing: there are no files."""
        return []

    def open(self, spec: SourceSpec) -> Rows:
        """Open one part, `options part=all`.

        Raises:
            SourceError: the package is not installed, or there is no such part.
        """
        part = spec.option("part", "all")
        if part not in PARTS:
            raise SourceError(f"easy-VQA has no part {part!r}; it has {', '.join(PARTS)}")
        return RecordRows(_Questions(_PART[part](read_questions("train"))), lambda record, number: _sample(record["question"]))


class _Questions(list[Any]):
    def get(self, number: int) -> Mapping[str, Any]:
        return {"question": self[number]}

    def __iter__(self) -> Any:
        return ({"question": question} for question in super().__iter__())


def _sample(question: Question) -> Sample:
    messages = [Message(Role.USER, [Place.NEXT, question.text]), Message(Role.ASSISTANT, [question.answer])]
    return build_sample(f"train-{question.number}", messages, [_image("train", question.image)], Prepend.ALL, question.kind)


def _of_kind(kind: str) -> Callable[[list[Question]], list[Question]]:
    return lambda questions: [question for question in questions if question.kind == kind]


def _half_wrong(questions: list[Question]) -> list[Question]:
    wrong: dict[int, str] = {}
    for kind, answers in ANSWERS.items():
        ranked = sorted((q for q in questions if q.kind == kind), key=lambda q: q.key("wrong"))
        for question in ranked[: len(ranked) // 2]:
            others = [answer for answer in answers if answer != question.answer]
            wrong[question.number] = others[question.key("which") % len(others)]
    return [Question(q.number, q.text, wrong.get(q.number, q.answer), q.image) for q in questions]


def _shuffled(questions: list[Question]) -> list[Question]:
    ranked = _ranked_images(questions)
    other = dict(zip(ranked, ranked[1:] + ranked[:1], strict=True))  # one cycle: no image keeps its questions
    return [Question(q.number, q.text, q.answer, other[q.image]) for q in questions]


def _half(which: int) -> Callable[[list[Question]], list[Question]]:
    def half(questions: list[Question]) -> list[Question]:
        images = set(_ranked_images(questions)[which::2])
        return [question for question in questions if question.image in images]

    return half


def _ranked_images(questions: list[Question]) -> list[int]:
    return sorted({question.image for question in questions}, key=lambda image: seeded_key(_SEED, "image", image))


_PART: Mapping[str, Callable[[list[Question]], list[Question]]] = {
    **{kind: _of_kind(kind) for kind in ANSWERS},
    "all": list,
    "half-wrong": _half_wrong,
    "shuffled": _shuffled,
    "half-a": _half(0),
    "half-b": _half(1),
}


def package_version() -> str:
    """Return the installed version of easy-VQA.

    Raises:
        SourceError: it is not installed.
    """
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("easy-vqa")
    except PackageNotFoundError as error:
        raise SourceError(_MISSING) from error


@cache
def data_folder() -> Path:
    """Return the package's data folder, without importing the package.

    Raises:
        SourceError: it is not installed.
    """
    from importlib.util import find_spec

    found = find_spec("easy_vqa")
    if found is None or found.origin is None:
        raise SourceError(_MISSING)
    return Path(found.origin).parent / "data"


@cache
def read_questions(split: str) -> list[Question]:
    """Return all questions of `train` or `test`, in the package's order.

    Raises:
        SourceError: the package is not installed.
    """
    text = (data_folder() / split / "questions.json").read_text(encoding="utf-8")
    return [Question(number, *entry) for number, entry in enumerate(json.loads(text))]


def _image(split: str, number: int) -> ImageRef:
    return ImageRef(path=f"{split}/images/{number}.png", root=str(data_folder()))
