"""VLMEvalKit TSV: one question a line, images as base64. Defined by `VLMEvalKit/docs/en/Development.md`.

    index  image         hint     question            A    B     answer  category  l2-category  split
    17     iVBORw0K...   A map.   What colour is it?  red  blue  B       colour    attribute    dev
    18     17                     Is it round?        yes  no    A       shape     attribute    dev

`image` is base64, another row's index (64 characters or fewer), or a Python list of these (`[]`: none); or there is `image_path`,
relative to the image root. Where no row has an image, the questions are text-only. `answer` is a letter or a choice's text. Without
choices the answer is free text, or a list of the answers that annotators gave or that are accepted (in `answers`, where there is such a
column); where all such answers are yes or no, the choices are Yes and No. An empty answer or `nan` is a row without one. A hint stands
before the question.
"""

from __future__ import annotations

import ast
import base64
import binascii
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sources.benchmark import Item
from sources.formats.conversation import Message, Part, Place, Prepend, build_sample
from sources.formats.tsv_lines import TsvLines
from sources.problems import Problem, RowError, SourceError
from sources.reader import Row, Rows
from sources.sample import ImageRef, Role, Sample
from sources.spec import SourceSpec

_REFERENCE_CHARS = 64
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_YES_NO = {"yes": "Yes", "no": "No"}
_ABSENT = ("", "nan")


@dataclass(frozen=True, slots=True)
class TsvTable:
    """A TSV's lines as mappings from column to text; a line that csv cannot read is None."""

    lines: TsvLines
    root: str
    yes_no: bool  # every answer without choices is yes or no
    images: Mapping[str, int]  # index -> the line that has its image; empty where no line refers to another
    text_only: bool = False  # no line has an image

    def item(self, number: int) -> Item:
        """Return one line as an item.

        Raises:
            RowError: it cannot be used.
        """
        line = self.lines[number]
        if line is None:
            raise RowError(Problem.MALFORMED, "not a line of this table")
        if any(0xDC80 <= ord(char) <= 0xDCFF for name, cell in line.items() if name != "image" for char in cell):
            raise RowError(Problem.BAD_ENCODING, "bytes that are not UTF-8")
        return self._item(line, number)

    def _item(self, line: Mapping[str, str], number: int) -> Item:
        question = line.get("question", "").strip()
        if not question:
            raise RowError(Problem.MALFORMED, "no question")
        answers = _answers(line)
        choices, answer = ((), most_common(answers)) if answers else _choices_and_answer(line, self.yes_no)
        hint = line.get("hint", "").strip()
        question = question if hint.lower() in _ABSENT else f"{hint}\n{question}"
        category = line.get("category") or line.get("l2-category") or ""
        return Item(line.get("index") or str(number), self._images_of(line), question, choices, answer, category, answers)

    def _images_of(self, line: Mapping[str, str]) -> tuple[ImageRef, ...]:
        if self.text_only:
            return ()
        if cell := line.get("image", "").strip():
            return tuple(ImageRef(data=_decode(self._resolve(entry))) for entry in _entries(cell))
        if cell := line.get("image_path", "").strip():
            return tuple(ImageRef(path=entry, root=self.root) for entry in _entries(cell))
        raise RowError(Problem.MISSING_IMAGE, "neither image nor image_path")

    def _resolve(self, cell: str) -> str:
        seen = set()
        while len(cell) <= _REFERENCE_CHARS:
            line = None if cell in seen or cell not in self.images else self.lines[self.images[cell]]
            if line is None:
                raise RowError(Problem.MISSING_IMAGE, f"no row {cell!r} to take the image from")
            seen.add(cell)
            cell = line["image"].strip()
        return cell


def read_table(path: Path, image_root: str = "") -> TsvTable:
    """Read a TSV.

    Raises:
        SourceError: no such file, no lines, or no `question` and `answer` columns.
    """
    seen = _Seen()
    try:
        lines = TsvLines(path, seen.note)
        if not len(lines):
            raise SourceError(f"{path} holds no questions (0 rows); download it again or give another --path")
        images = {line["index"]: at for at, line in enumerate(lines) if line and _has_image(line)} if seen.refers else {}
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror}); give the TSV file with --path") from error
    return TsvTable(lines, image_root or str(path.parent), seen.answered and seen.yes_no, images, not seen.pictured)


@dataclass(slots=True)
class _Seen:
    """What the lines of a table are together."""

    answered: bool = False  # a line without choices has an answer
    yes_no: bool = True  # all those answers are yes or no
    pictured: bool = False  # a line has an image
    refers: bool = False  # ... that may be another line's

    def note(self, line: Mapping[str, str]) -> None:
        """Take in one line."""
        if not _choice_letters(line) and (answer := line["answer"].strip().lower()) not in _ABSENT:
            self.answered = True
            self.yes_no = self.yes_no and answer in _YES_NO
        cell = line.get("image", "").strip()
        self.pictured = self.pictured or bool(cell or line.get("image_path", "").strip())
        self.refers = self.refers or (bool(cell) and (cell.startswith("[") or len(cell) <= _REFERENCE_CHARS))


def _has_image(line: Mapping[str, str]) -> bool:
    return bool(line.get("index") and line.get("image"))


class TsvReader:
    """Reads a TSV as a source: each line is one question and its answer as text."""

    name = "tsv"
    version = 2
    options: tuple[str, ...] = ()

    def sniff(self, path: Path) -> bool:
        """Say whether the first line names the columns `question` and `answer` between tabs."""
        try:
            with path.open("rb") as file:
                head = file.readline(65536).decode("utf-8-sig", "replace").rstrip("\r\n").split("\t")
        except OSError:
            return False
        return {"question", "answer"} <= {name.strip().strip('"') for name in head}

    def files(self, path: Path) -> list[Path]:
        """Return the file."""
        return [path] if path.is_file() else []

    def open(self, spec: SourceSpec) -> Rows:
        """Open a TSV file.

        Raises:
            SourceError: it is none, or has no rows.
        """
        return _TsvRows(read_table(Path(spec.path), spec.image_root))


class _TsvRows:
    def __init__(self, table: TsvTable) -> None:
        self._table = table

    def __len__(self) -> int:
        return len(self._table.lines)

    def __iter__(self) -> Iterator[Row]:
        return map(self.get, range(len(self)))

    def get(self, number: int) -> Row:
        try:
            return Row(number, _sample(self._table.item(number)))
        except RowError as error:
            return Row(number, None, error.problem, error.detail)


def _sample(item: Item) -> Sample:
    places: list[Part] = [Place.NEXT] * len(item.images)
    messages = [Message(Role.USER, [*places, item.question]), Message(Role.ASSISTANT, [item.answer])]
    return build_sample(item.id, messages, item.images, Prepend.ALL, item.category)


def _choice_letters(line: Mapping[str, str]) -> list[str]:
    return [letter for letter in _LETTERS if line.get(letter, "").strip().lower() not in _ABSENT]


def _choices_and_answer(line: Mapping[str, str], yes_no: bool) -> tuple[tuple[str, ...], str]:
    answer = line["answer"].strip()
    if answer.lower() in _ABSENT:
        raise RowError(Problem.NO_ANSWER, "no answer, as in a test split")
    letters = _choice_letters(line)
    if not letters and len(answer) == 1 and answer in line:
        raise RowError(Problem.MALFORMED, f"the answer is {answer}, and there are no choices")
    if not letters:
        return (("Yes", "No"), _YES_NO[answer.lower()]) if yes_no else ((), answer)
    choices = tuple(line[letter].strip() for letter in letters)
    if len(set(choices)) != len(choices) or len(choices) < 2:
        raise RowError(Problem.MALFORMED, "one choice only" if len(choices) < 2 else "two choices are equal")
    return choices, _chosen(answer, letters, choices)


def _answers(line: Mapping[str, str]) -> tuple[str, ...]:
    """Return the answers of a line that lists them, nothing of one with choices or with one answer."""
    cell = line.get("answers", "").strip() or line["answer"].strip()
    if not cell.startswith("[") or _choice_letters(line):
        return ()
    try:
        answers = ast.literal_eval(cell)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ()  # an answer that happens to begin with a bracket
    if not isinstance(answers, list) or not all(isinstance(answer, (str, int, float)) for answer in answers):
        return ()
    if not any(str(answer).strip() for answer in answers):
        raise RowError(Problem.NO_ANSWER, "a list without an answer")
    return tuple(map(str, answers))


def most_common(answers: tuple[str, ...]) -> str:
    """Return the answer that stands most often in a list, the first of several."""
    counts = Counter(answer.strip() for answer in answers if answer.strip())
    return counts.most_common(1)[0][0]


def _chosen(answer: str, letters: list[str], choices: tuple[str, ...]) -> str:
    if answer in letters:
        return choices[letters.index(answer)]
    same = [choice for choice in choices if choice == answer] or [choice for choice in choices if choice.casefold() == answer.casefold()]
    if len(same) != 1:
        raise RowError(Problem.MALFORMED, f"the answer {answer[:40]!r} is none of the choices")
    return same[0]


def _entries(cell: str) -> list[str]:
    if not cell.startswith("["):
        return [cell]
    try:
        entries = ast.literal_eval(cell)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise RowError(Problem.MALFORMED, "a list of images that cannot be read") from error
    if not isinstance(entries, list) or not all(isinstance(entry, (str, int)) for entry in entries):
        raise RowError(Problem.MALFORMED, "a list of images that holds something else")
    return [str(entry) for entry in entries]


def _decode(cell: str) -> bytes:
    try:
        return base64.b64decode(cell, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RowError(Problem.UNDECODABLE_IMAGE, f"broken base64: {error}") from error
