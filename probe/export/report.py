"""What an export is asked and what it answers; and the rule that realised shares are the requested ones."""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from probe.errors import ProbeError
from probe.manifest.document import Manifest
from sources.counted import counted

SHARE_TOLERANCE = 0.005  # absolute, per source: 0.5 %


class ExportError(ProbeError):
    """Nothing was exported; the message is one sentence with the cure."""


class Mode(enum.StrEnum):
    """How rows of a source that is smaller than its count come again.

    `exact`: written again and again; `native`: each is written once and the trainer repeats them by means of its own, where it has
    some; `once`: not at all.
    """

    EXACT = "exact"
    NATIVE = "native"
    ONCE = "once"


class Images(enum.StrEnum):
    """How images get into the export: bytes copied, files hard-linked where possible, or pixels under our image policy as PNG.

    An image of which a trainer's plain `convert("RGB")` would make another picture is written under the policy in any case.
    """

    COPY = "copy"
    LINK = "link"
    POLICY = "policy"


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How to export. `seed` is the manifest's own by default; `changed_sources` exports sources that are not the manifest's any more."""

    mode: Mode = Mode.EXACT
    images: Images = Images.COPY
    tolerance: float = SHARE_TOLERANCE
    seed: int | None = None
    changed_sources: bool = False


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written. Shares are shares of rows over all phases; `counts` and `requested_counts` are rows a phase and source.

    `excluded` counts, a source, distinct rows that its draw met and that the trainer's format cannot hold, by reason: the next
    drawn rows stand in their place, as if the source had never held them.
    """

    trainer: str
    seed: int
    mode: Mode
    files: tuple[str, ...]  # relative to the folder
    requested: Mapping[str, float]
    realised: Mapping[str, float]
    requested_counts: Mapping[str, Mapping[str, int]]
    counts: Mapping[str, Mapping[str, int]]
    excluded: Mapping[str, Mapping[str, int]]
    warnings: tuple[str, ...]
    commands: tuple[str, ...]
    images: int = 0  # files below the folder `images/`

    def listed(self) -> str:
        """Return what lies in the folder as text, of folders in it how many files."""
        folders = Counter(name.partition("/")[0] for name in self.files if "/" in name) + Counter({"images": self.images})
        inside = [f"{folder}/ ({counted(files, 'file')})" for folder, files in folders.items()]
        return ", ".join([*(name for name in self.files if "/" not in name), *inside])

    def lines(self, out: Path | None = None) -> list[str]:
        """Return the report as plain text lines; `out` is where the export lies."""
        return [*self._shares(), *self._exclusions(), *(f"warning: {warning}" for warning in self.warnings), *self._how(out)]

    def _shares(self) -> Iterator[str]:
        width = max(len("source"), *map(len, self.requested))
        yield f"{'source':<{width}}  requested  realised       rows"
        for slug, share in self.requested.items():
            rows = sum(phase.get(slug, 0) for phase in self.counts.values())
            yield f"{slug:<{width}}  {share:9.2%}  {self.realised.get(slug, 0.0):8.2%}  {rows:>9,}"

    def _exclusions(self) -> Iterator[str]:
        for slug, reasons in self.excluded.items():
            for reason, rows in reasons.items():
                yield f"{slug}: {counted(rows, 'row')} excluded: {reason}"

    def _how(self, out: Path | None) -> Iterator[str]:
        yield f"to train, in {out} (its README.md says what the words in capitals stand for):" if out else "to train:"
        yield from (f"  {command}" for command in self.commands)


def chosen_seed(doc: Manifest, options: ExportOptions, seed: int | None) -> int:
    """Return the seed of an export: the one given, else the options', else the manifest's own."""
    return next(value for value in (seed, options.seed, doc.sampling_seed) if value is not None)


def row_shares(counts: Mapping[str, Mapping[str, int]]) -> dict[str, float]:
    """Return each source's share of all rows over phases, sorted by slug."""
    slugs = sorted({slug for phase in counts.values() for slug in phase})
    rows = {slug: sum(phase.get(slug, 0) for phase in counts.values()) for slug in slugs}
    total = sum(rows.values())
    return {slug: count / total if total else 0.0 for slug, count in rows.items()}


def refuse_other_shares(requested: Mapping[str, Mapping[str, int]], realised: Mapping[str, Mapping[str, int]], tolerance: float) -> None:
    """Check, phase by phase, that the realised shares are the requested ones.

    Raises:
        ExportError: one is further away than `tolerance`.
    """
    for phase, counts in requested.items():
        got, asked = row_shares({phase: realised.get(phase, {})}), row_shares({phase: counts})
        for slug in sorted(asked, key=lambda slug: got.get(slug, 0.0) - asked[slug]):  # what is short of rows is named first
            if not math.isclose(got.get(slug, 0.0), asked[slug], rel_tol=0.0, abs_tol=tolerance):
                raise ExportError(
                    f"{slug} would be {got.get(slug, 0.0):.2%} of {phase} and the manifest asks for {asked[slug]:.2%}, "
                    f"which is more than {tolerance:.2%} away: use mode exact, which writes the rows of small sources again"
                )
