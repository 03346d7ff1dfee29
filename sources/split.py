"""`probe sources split`: an in-domain benchmark out of one's own data, and the source without its images.

Held out are groups of rows that share images (by their bytes, also through other rows), chosen by a seeded hash: training on
the returned view never sees a held-out image, and rows added to the source later do not move a held-out image back, unless
they join its group to another.
"""

from __future__ import annotations

import base64
import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sources.answer_types import answer_choices
from sources.benchmark import BenchmarkSpec
from sources.images import read_image_bytes
from sources.ordering import seeded_key
from sources.parts import Progress
from sources.problems import SourceError
from sources.sample import ImageRef, Role, Sample
from sources.sampling import SourcePool
from sources.spec import SourceSpec
from sources.whole_files import write_whole

CAPABILITY = "in-domain"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Holdout:
    """What a split made: the source to train on, and the benchmarks with their numbers of items (choices, then free text)."""

    training: SourceSpec
    benchmarks: tuple[BenchmarkSpec, ...]
    items: tuple[int, ...]
    rows_held_out: int
    rows_left: int


def split_holdout(
    spec: SourceSpec,
    out_dir: Path,
    *,
    fraction: float | None = None,
    n: int | None = None,
    seed: int = 0,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> Holdout:
    """Hold out a fraction of a source's groups of images, or as many whole groups as give at least `n` rows.

    Each held-out row's first question becomes an item of a TSV in `out_dir`, its images before its text, unless its answer is
    empty or not to be learned. Where the answers to a type of question are a small closed set they are its choices, else it is
    free text; the two kinds go to two benchmarks.

    Raises:
        SourceError: the source is unusable, already split, or nothing would be left on one of the sides.
    """
    if (fraction is None) == (n is None):
        raise SourceError("Say how much to hold out: either a fraction or a number of rows")
    if spec.option("holdout"):
        raise SourceError(f"{spec.slug} is already split ({spec.option('holdout')}); split the source that it was made from")
    whole = SourcePool.open(spec.with_option("holdout", f"0.0:{seed}"), cache_dir, progress)
    fraction = _fraction_for(whole, n, seed) if n is not None else fraction
    training = spec.with_option("holdout", f"{fraction!r}:{seed}")
    kept = set(whole.view(training).numbers())
    held = [number for number in whole.numbers() if number not in kept]
    if not held:
        raise SourceError(f"Nothing of {spec.slug} would be held out ({whole.usable} rows); hold out more")
    benchmarks, items = _write(spec, whole, set(held), out_dir)
    return Holdout(training, benchmarks, items, len(held), len(kept))


def _fraction_for(pool: SourcePool, n: int, seed: int) -> float:
    """Return the smallest fraction whose groups hold at least `n` rows."""
    ranks = sorted(seeded_key(seed, "holdout", group) for group in pool.groups())
    if not 0 < n < len(ranks):
        raise SourceError(f"{pool.spec.slug} has {len(ranks)} usable rows; hold out fewer than that, and at least one")
    return (ranks[n - 1] + 2**12) / 2.0**64  # past the rank itself by more than a double's rounding


def _write(spec: SourceSpec, pool: SourcePool, held: set[int], out_dir: Path) -> tuple[tuple[BenchmarkSpec, ...], tuple[int, ...]]:
    pairs = [(number, *pair) for number, sample in pool.numbered_samples() if (pair := first_pair(sample))[1]]
    choices = answer_choices([(question, answer) for _, question, answer in pairs])
    asked = {number: (question, answer, options) for (number, question, answer), options in zip(pairs, choices, strict=True)}
    made = []
    for kind, suffix in ((True, ""), (False, "-text")):
        numbers = [number for number in sorted(held & asked.keys()) if bool(asked[number][2]) is kind]
        if numbers:
            name = f"{spec.slug}-holdout{suffix}"
            path = out_dir / f"{name.replace('/', '--')}.tsv"
            _write_tsv(path, _lines(pool, numbers, asked), has_choices=kind)
            made.append((BenchmarkSpec(name, CAPABILITY, "tsv", str(path)), len(numbers)))
    return tuple(benchmark for benchmark, _ in made), tuple(count for _, count in made)


def first_pair(sample: Sample) -> tuple[str, str]:
    """Return a conversation's first question, without its images, and the answer to it: nothing where it is not to be learned."""
    question, answer = (next(turn for turn in sample.turns if turn.role is role) for role in (Role.USER, Role.ASSISTANT))
    return question.text.strip(), answer.text.strip() if answer.has_loss else ""


def _lines(pool: SourcePool, numbers: Iterable[int], asked: dict[int, tuple[str, str, tuple[str, ...]]]) -> Iterator[list[str]]:
    written: dict[str, str] = {}  # image -> index of the line that holds it
    for number in numbers:
        question, answer, options = asked[number]
        sample = pool.sample(number)
        places = next(turn for turn in sample.turns if turn.role is Role.USER).image_places
        cell = _image_cell([sample.images[place] for place in places], written, str(number))
        padded = [*options, *[""] * (len(_LETTERS) - len(options))] if options else []
        right = _LETTERS[options.index(answer)] if options else answer
        yield [str(number), cell, question, *padded, right, sample.subsource]


def _image_cell(images: Sequence[ImageRef], written: dict[str, str], index: str) -> str:
    encoded = [base64.b64encode(read_image_bytes(ref)).decode() for ref in images]
    if len(images) != 1:
        return repr(encoded)  # `[]` for a row without an image
    return encoded[0] if (first := written.setdefault(images[0].identity(), index)) == index else first


def _write_tsv(path: Path, lines: Iterable[list[str]], has_choices: bool) -> None:
    header = ["index", "image", "question", *(_LETTERS if has_choices else ""), "answer", "category"]

    def write(target: Path) -> None:
        with target.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t", lineterminator="\n")
            writer.writerow(header)
            writer.writerows(lines)

    write_whole(path, write)
