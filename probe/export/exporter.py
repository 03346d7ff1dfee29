"""What all exporters share: drawing, checking, staging, reporting. A trainer's module says only what it writes.

    def write(work: Work) -> Written:
        for phase, parts in work.phases.items():
            for part in parts:
                work.write_records(f"{phase}/{part.name}.jsonl", part.rows)
        ...

    export = Exporter("mytrainer", write, NOTES)

How a trainer comes to a part's `wanted` rows from the file's `len(part.rows)` is its own arithmetic: in mode `exact` the two are
equal, in mode `native` the file holds each row once. `Exporter.draws` states it, so that other shares are refused before a byte is
written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.export.companions import export_warnings, write_companions
from probe.export.conversation import StoreImage, conversation_record, inexpressible
from probe.export.croissant import with_croissant
from probe.export.drawn_rows import DrawnRows, RowNumber, Unreadable, draw_rows, requested_counts
from probe.export.image_store import ImageStore
from probe.export.report import ExportError, ExportOptions, ExportReport, Mode, chosen_seed, refuse_other_shares, row_shares
from probe.export.staging import staged
from probe.manifest.document import Manifest
from sources.problems import RowError
from sources.sample import Sample

if TYPE_CHECKING:
    from sources.sampling import SourcePool

Record = Callable[[Sample, str, StoreImage], Mapping[str, Any]]  # of a sample, its source, and where images go
_NAME_CHARS = 80
_AT_ONCE = 64  # samples in memory, with the images that their records carry


@dataclass(frozen=True, slots=True)
class Part:
    """One source's rows in one phase. `name` is safe in paths, shells, YAML and lists; `wanted` is the manifest's count."""

    source: str
    name: str
    rows: tuple[RowNumber, ...]
    wanted: int


@dataclass(frozen=True, slots=True)
class Written:
    """What a trainer's module wrote, relative to the folder, and the commands that train on it, in order of the phases."""

    files: tuple[str, ...]
    commands: tuple[str, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Work:
    """What a trainer's module writes from."""

    folder: Path
    phases: Mapping[str, tuple[Part, ...]]
    images: ImageStore
    seed: int
    mode: Mode
    pools: Mapping[str, SourcePool]

    def shuffled(self, phase: str) -> tuple[RowNumber, ...]:
        """Return all rows of a phase in an order of the seed's."""
        from sources.mixture_draw import training_order

        return training_order(tuple(row for part in self.phases[phase] for row in part.rows), self.seed)

    def samples(self, rows: Sequence[RowNumber]) -> Iterator[tuple[RowNumber, Sample]]:
        """Fetch rows in the order given, few at a time in memory.

        Raises:
            SourceError: one cannot be read any more.
        """
        for start in range(0, len(rows), _AT_ONCE):
            batch = rows[start : start + _AT_ONCE]
            fetched: dict[tuple[str, int], Sample] = {}
            for source, of_source in groupby(sorted(batch, key=lambda row: (row.source, row.number)), lambda row: row.source):
                numbers = sorted({row.number for row in of_source})
                fetched |= {(source, n): sample for n, sample in zip(numbers, self.pools[source].samples(numbers), strict=True)}
            yield from ((row, fetched[row.source, row.number]) for row in batch)

    def records(
        self, rows: Sequence[RowNumber], record: Record = conversation_record, store: StoreImage | None = None
    ) -> Iterator[tuple[RowNumber, Mapping[str, Any]]]:
        """Yield rows as records; `store` puts an image somewhere, by default into the export's `images/`, and returns what stands for it.

        Raises:
            ExportError: an image that was there when the row was drawn cannot be read any more.
        """
        for row, sample in self.samples(rows):
            try:
                made = record(sample, row.source, store or self.images.store)
            except RowError as error:
                where = f"row {row.number} of {row.source}"
                raise ExportError(
                    f"an image of {where} cannot be read any more ({error}): run `probe sources check {row.source}`"
                ) from None
            yield row, made

    def write_records(self, file: str, rows: Sequence[RowNumber], record: Record = conversation_record) -> None:
        """Write rows as JSON Lines, in order but for the first one with an image, which goes first.

        Arrow takes a file's types from its first block: were that all text, `images` would be a list of nulls and the first image
        after it an error.
        """
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="\n", errors="strict") as handle:
            for _, made in self.records(image_first(rows), record):
                handle.write(json.dumps(made, ensure_ascii=True) + "\n")


@dataclass(frozen=True, slots=True)
class Exporter:
    """An exporter (`probe.export.registry.Export`) made of what differs between trainers.

    `notes` go into the export's README; `draws` is how many rows the trainer takes of a part by its own arithmetic; `unreadable`
    says why it cannot read a sample.
    """

    trainer: str
    write: Callable[[Work], Written]
    notes: tuple[str, ...]
    draws: Callable[[Part], int] = lambda part: part.wanted
    unreadable: Unreadable = inexpressible

    def __call__(
        self, doc: Manifest, pools: Mapping[str, SourcePool], out: Path, *, options: ExportOptions | None = None, seed: int | None = None
    ) -> ExportReport:
        """Write the export.

        Raises:
            ExportError: see `probe.export.registry.Export`.
        """
        options = options or ExportOptions()
        seed = chosen_seed(doc, options, seed)
        requested = requested_counts(doc)
        with staged(out) as folder:
            drawn = draw_rows(doc, pools, options, seed, self.unreadable)
            phases = cut_parts(drawn, options.mode)
            realised = {phase: {part.source: self.draws(part) for part in parts} for phase, parts in phases.items()}
            refuse_other_shares(requested, realised, options.tolerance)
            work = Work(folder, phases, ImageStore(folder, options.images), seed, options.mode, pools)
            written = self.write(work)
            report = ExportReport(
                trainer=self.trainer,
                seed=seed,
                mode=options.mode,
                files=(*written.files, "README.md", "MIXTURE.md", "manifest.json"),
                requested=row_shares(requested),
                realised=row_shares(realised),
                requested_counts=requested,
                counts=realised,
                excluded=drawn.excluded,
                warnings=(*export_warnings(doc, options, work.images, drawn.excluded, pools, realised), *written.warnings),
                commands=written.commands,
                images=work.images.files,
            )
            write_companions(folder, doc, report, self.notes)
            return with_croissant(report, doc, folder)


def image_first(rows: Sequence[RowNumber]) -> tuple[RowNumber, ...]:
    """Return rows with the first one that has an image put in front."""
    at = next((i for i, row in enumerate(rows) if row.has_image), 0)
    return (*rows[at : at + 1], *rows[:at], *rows[at + 1 :])


def cut_parts(drawn: DrawnRows, mode: Mode) -> dict[str, tuple[Part, ...]]:
    """Return each phase's parts; in mode `native` a part's rows are distinct."""
    names = safe_names({slug for sources in drawn.phases.values() for slug in sources})
    once = mode is Mode.NATIVE
    return {
        phase: tuple(
            Part(slug, names[slug], tuple({row.number: row for row in rows}.values()) if once else rows, len(rows))
            for slug, rows in sources.items()
        )
        for phase, sources in drawn.phases.items()
    }


def copies_and_rest(part: Part) -> tuple[int, int]:
    """Return how often a part's file is to be taken whole, and how many rows from its head after that: `wanted` exactly."""
    return divmod(part.wanted, len(part.rows))


def safe_names(slugs: Collection[str]) -> dict[str, str]:
    """Give each source a name of its own of letters, digits, `.`, `_` and `-`: no path, shell, YAML or list reads more into it."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for slug in sorted(slugs):
        name = base = re.sub(r"[^A-Za-z0-9._-]+", "_", slug).strip("._-")[:_NAME_CHARS] or "source"
        number = 2
        while name.lower() in taken:  # some file systems fold case
            name, number = f"{base}-{number}", number + 1
        taken.add(name.lower())
        names[slug] = name
    return names


def rows_written(part: Part) -> int:
    """Return how many rows a trainer takes that has no way of repeating: those in the file."""
    return len(part.rows)


def phase_files(phases: Mapping[str, Iterable[Part]], ending: str = "jsonl") -> tuple[str, ...]:
    """Return the files of all parts, `phase-1/name.jsonl` and so on."""
    return tuple(f"{phase}/{part.name}.{ending}" for phase, parts in phases.items() for part in parts)
