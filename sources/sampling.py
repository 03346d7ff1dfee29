"""Seeded draws: one source's usable rows in an endless order, and budgets spent on prefixes of it.

The order is a function of the rows' content and a seed: adding broken rows, moving the files or reordering them changes
nothing in what is drawn, and two sources with the same rows give the same draw.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sources.canonical import content_hash
from sources.fingerprint import fingerprint
from sources.formats.registry import open_rows
from sources.images import check_image
from sources.ordering import RowOrder
from sources.parts import Progress
from sources.problems import Problem, RowError, SourceError
from sources.reader import Rows
from sources.sample import ImageRef, Sample
from sources.spec import SourceSpec
from sources.views import (
    all_contaminated_message,
    counts_text,
    no_rows_message,
    rows_of_part,
    subsource_counts,
    viewed_rows,
    without_rows,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from sources.row_index import RowIndex
    from sources.view_facts import ViewFacts

_PASSES_KEPT = 16
_EXAMPLES = 5
_MOST_AT_ONCE = 128  # rows fetched together, sorted by number, so that a parquet row group is read once for several


@dataclass(frozen=True, slots=True)
class DrawnRow:
    """One row as drawn: `digest` hashes its turns and its images' bytes, `number` is its place in the source."""

    source: str
    number: int
    sample: Sample
    digest: str


Cost = Callable[[DrawnRow], float]
Fits = Callable[[DrawnRow], bool]


@dataclass(frozen=True, slots=True)
class Draw:
    """Rows in the order of the draw, what they cost together, and how often the most used source was gone through.

    `overlap` is the share of the rows that a draw with another seed is expected to hold too: 1 where a source is used up.
    `rejected` counts rows left out while drawing: too long for the budget's cost, or an image that failed at load.
    """

    rows: tuple[DrawnRow, ...]
    cost: float
    passes: float
    overlap: float
    rejected: Counter[Problem] = field(default_factory=Counter)


class SourcePool:
    """The usable rows of one source, indexed once."""

    def __init__(self, spec: SourceSpec, rows: Rows, index: RowIndex, contaminated: Collection[int] = ()) -> None:
        viewed = viewed_rows(spec, index)
        chosen, dropped = without_rows(index, viewed, contaminated)
        self.usable = len(index.numbers) if chosen is None else len(chosen)
        if not self.usable:
            raise SourceError(all_contaminated_message(spec, len(dropped)) if dropped else no_rows_message(spec, index))
        self.spec = spec
        self.fingerprint = fingerprint(spec)
        self.index = index
        part = dict(spec.options).get("subsource")
        excluded, self.seen = (index.excluded, dict(index.examples)) if part is None else index.excluded_in(part)
        self.excluded: Counter[Problem] = Counter(excluded)  # of the part alone; rows that are no samples are in none
        self.total = rows_of_part(spec, index, self.excluded)
        if dropped:
            self.excluded[Problem.CONTAMINATED] = len(dropped)
            self.seen[Problem.CONTAMINATED] = [(number, "") for number in dropped[:_EXAMPLES]]
        self.subsources: Counter[str] = subsource_counts(index, chosen)
        self._rows = rows
        self._chosen = chosen  # places in the index; None: all
        self._decoded: dict[str, str] = {}  # hashes of the images that the index did not decode, by identity
        self._failed: dict[int, RowError] = {}
        self._passes: dict[tuple[int, int], _Pass] = {}

    @classmethod
    def open(cls, spec: SourceSpec, cache_dir: Path | None = None, progress: Progress | None = None, jobs: int = 1) -> SourcePool:
        """Read and check a source's rows, or take its index from `cache_dir`; `progress` gets (done, total): of rows, then of images.

        `jobs` processes read; the pool is the same whatever their number.
        The options `subsource` (a name), `holdout` (`fraction:seed`, leaves the held-out groups of images out) and `difficulty` (a part of
        an order that lies in `cache_dir`) choose rows.

        Raises:
            SourceError: the source cannot be used at all, or no row of it is usable.
        """
        from sources.indexing import open_index

        rows = open_rows(spec)
        return cls(spec, rows, open_index(rows, spec, cache_dir, progress, jobs))

    def view(self, spec: SourceSpec) -> SourcePool:
        """Return the pool of the same source under other view options, without reading it again.

        Raises:
            SourceError: no row is in the view.
        """
        return SourcePool(spec, self._rows, self.index)

    def whole(self) -> SourcePool:
        """Return this view with its contaminated rows."""
        return self.view(self.spec) if Problem.CONTAMINATED in self.excluded else self

    def without(self, contaminated: Collection[int]) -> SourcePool:
        """Return this view without rows, by number, which are counted as `CONTAMINATED`.

        Raises:
            SourceError: nothing is left.
        """
        return SourcePool(self.spec, self._rows, self.index, contaminated) if contaminated else self

    def order(self, seed: int, rejected: dict[int, Problem] | None = None) -> Iterator[DrawnRow]:
        """Yield usable rows for ever, each pass in another order; see `sources.ordering.RowOrder`.

        Rows that fail at load are left out, and noted in `rejected` by number.

        Raises:
            SourceError: in a whole pass no row could be loaded.
        """
        for (_, number), row in self._walk(seed):
            if isinstance(row, DrawnRow):
                yield row
            elif rejected is not None:
                rejected[number] = row

    def samples(self, numbers: Sequence[int]) -> Iterator[Sample]:
        """Yield usable rows' samples as asked for, few at a time in memory; each batch is read in file order.

        Raises:
            SourceError: a row cannot be read any more.
        """
        for start in range(0, len(numbers), _MOST_AT_ONCE):
            batch = numbers[start : start + _MOST_AT_ONCE]
            read = {number: self.sample(number) for number in sorted(set(batch))}
            yield from (read[number] for number in batch)

    def sampled(self, most: int, seed: int) -> Iterator[DrawnRow]:
        """Yield a simple random sample of at most so many usable rows, in file order; those that fail at load are left out.

        Unlike `order` it works out no order of all rows first.
        """
        import numpy as np

        numbers = self.numbers()
        chosen = np.random.default_rng(seed).choice(self.usable, most, replace=False) if most < self.usable else np.arange(self.usable)
        for place in np.sort(chosen).tolist():
            if isinstance(row := self._row(numbers[place]), DrawnRow):
                yield row

    def draw(self, budget: float, seed: int, cost: Cost | None = None, fits: Fits | None = None) -> Draw:
        """Return the prefix of the order whose cost first reaches `budget`; without `cost` a row costs 1.

        A row that does not fit is left out and counted as `TOO_LONG`.

        Raises:
            SourceError: no row can be drawn.
        """
        rows: list[DrawnRow] = []
        rejected: dict[int, Problem] = {}
        spent, spent_in_pass, current, visited = 0.0, 0.0, 0, 0
        for (turn, number), row in self._walk(seed) if budget > 0 else ():
            visited += 1
            if turn != current and not spent_in_pass:
                why = counts_text(Counter(rejected.values()))
                raise SourceError(f"No row of {self.spec.slug} can be drawn ({why}); run `probe sources check {self.spec.slug}`")
            spent_in_pass = spent_in_pass if turn == current else 0.0
            current = turn
            if isinstance(row, Problem):
                rejected[number] = row
                continue
            if fits and not fits(row):
                rejected[number] = Problem.TOO_LONG
                continue
            price = cost(row) if cost else 1.0
            rows.append(row)
            spent, spent_in_pass = spent + price, spent_in_pass + price
            if spent >= budget:
                break
        # What was seen of the order, rejected rows too, is the chance of a row to be in another prefix of as many rows.
        overlap = min(1.0, visited / self.usable)
        return Draw(tuple(rows), spent, len(rows) / self.usable, overlap, Counter(rejected.values()))

    @property
    def content(self) -> str:
        """The hash of what the usable rows say and show, whatever their order: their images' bytes included.

        Of images that are named by path (`RowIndex.by_path`), the path and the size of the file stand for the bytes.
        """
        from sources.columns import sorted_digest

        return self.index.content if self._chosen is None else sorted_digest(self.index.keys.column, self._chosen)

    def numbers(self) -> Sequence[int]:
        """Return the usable rows' numbers in file order."""
        import numpy as np

        return np.ascontiguousarray(self._of_view(self.index.numbers)).data

    def some_numbers(self, n: int, seed: int) -> Sequence[int]:
        """Return the numbers of `n` usable rows, the first of the seed's order, in file order; of all where there are no more."""
        return self.numbers() if n >= self.usable else sorted(islice(self._pass(seed, 0), n))

    def groups(self) -> list[bytes]:
        """Return the group of images of each usable row, in file order."""
        return [self.index.groups[group] for group in self._of_view(self.index.group_of).tolist()]

    def decoded_images(self) -> list[int]:
        """Return the numbers (in the index) of the pool's images that were decoded when it was made: all, unless they are very many."""
        return [int(image) for image in self.index.decoded_in(self._chosen)]

    def facts(self) -> ViewFacts:
        """Return what the usable rows are together: images a row, distinct and repeated ones."""
        from sources.view_facts import view_facts

        return view_facts(self.index, self._chosen)

    @property
    def whole_source(self) -> bool:
        """Whether all usable rows of the source are in the pool."""
        return self._chosen is None

    def excluded_rows(self) -> Iterator[tuple[int, Problem, str]]:
        """Yield number, problem and detail of every row of the source, or of the part, that cannot be used, in order."""
        return self.index.excluded_rows(dict(self.spec.options).get("subsource"))

    @property
    def examples(self) -> dict[Problem, list[int]]:
        """The first few excluded rows' numbers, by problem; `seen` has them with their details."""
        return {problem: [number for number, _ in seen] for problem, seen in self.seen.items()}

    @property
    def rows(self) -> Rows:
        """The source's records, excluded ones too."""
        return self._rows

    def _of_view(self, column: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return column if self._chosen is None else column[self._chosen]

    def sample(self, number: int) -> Sample:
        """Return one usable row's sample.

        Raises:
            SourceError: the row cannot be read any more.
        """
        row = self._rows.get(number)
        if row.sample is None:
            raise SourceError(f"Row {number} of {self.spec.slug} changed while it was read; start again")
        return row.sample

    def numbered_samples(self) -> Iterator[tuple[int, Sample]]:
        """Yield every usable row's number and sample once, in file order."""
        return ((number, self.sample(number)) for number in self.numbers())

    def _walk(self, seed: int) -> Iterator[tuple[tuple[int, int], DrawnRow | Problem]]:
        turn = 0
        while len(self._failed) < self.usable:
            wanted: list[int] = []
            size = 8
            for number in self._pass(seed, turn):
                wanted.append(number)
                if len(wanted) == size:
                    yield from (((turn, number), row) for number, row in self._fetch(wanted))
                    wanted, size = [], min(2 * size, _MOST_AT_ONCE)
            yield from (((turn, number), row) for number, row in self._fetch(wanted))
            turn += 1
        raise SourceError(f"No row of {self.spec.slug} can be loaded; run `probe sources check {self.spec.slug}`")

    def _pass(self, seed: int, turn: int) -> Iterable[int]:
        """Return all usable rows' numbers in the order of one pass; what is known of the last few is kept, for arms that share a seed."""
        if (seed, turn) not in self._passes:
            while len(self._passes) >= _PASSES_KEPT:
                self._passes.pop(next(iter(self._passes)))
            numbers = self.numbers()
            self._passes[seed, turn] = _Pass(numbers[position] for position in self._row_order.permutation(seed, turn))
        return self._passes[seed, turn]

    @cached_property
    def _row_order(self) -> RowOrder:
        index, strata, group_of = self.index, self._of_view(self.index.strata), self._of_view(self.index.group_of)
        return RowOrder.of_numbered(strata, index.names, group_of, index.groups, index.keys, self._chosen)

    def _fetch(self, numbers: Sequence[int]) -> Iterator[tuple[int, DrawnRow | Problem]]:
        fetched = {number: self._row(number) for number in sorted(numbers)}
        return ((number, fetched[number]) for number in numbers)

    def _row(self, number: int) -> DrawnRow | Problem:
        if number in self._failed:
            return self._failed[number].problem
        row = self._rows.get(number)
        try:
            if row.sample is None:  # the file changed under us
                raise RowError(row.problem or Problem.MALFORMED, row.detail)
            return DrawnRow(self.spec.slug, number, row.sample, self._digest(row.sample))
        except RowError as error:
            self._failed[number] = error
            return error.problem

    def _digest(self, sample: Sample) -> str:
        return content_hash([sample.text_digest(), [self._image_digest(ref) for ref in sample.images]])

    def _image_digest(self, ref: ImageRef) -> str:
        identity = ref.identity()
        if identity not in self._decoded:
            digest = self.index.image_hash(ref)
            if self.index.was_decoded(ref, digest):
                return digest
            check_image(ref, decode=True)
            self._decoded[identity] = digest
        return self._decoded[identity]


class _Pass:
    """Numbers worked out as far as somebody asked, and kept for the next one."""

    def __init__(self, order: Iterator[int]) -> None:
        self._order = order
        self._known = array("q")

    def __iter__(self) -> Iterator[int]:
        at = 0
        while True:
            if at == len(self._known):
                number = next(self._order, None)
                if number is None:
                    return
                self._known.append(number)
            yield self._known[at]
            at += 1
