"""The generated world as a source: rows made when asked for, none stored.

    SourceSpec("world/colour", format="world", options=(("rows", "2000"), ("skill", "colour")))
    row 0: <64 x 64 PNG> "which color does the star have?" -> "red"

The options are in `sources.world.options`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sources.reader import Row
from sources.sample import ImageRef, Role, Sample, Turn
from sources.spec import SourceSpec
from sources.world.drawing import scene_png
from sources.world.options import WorldOptions, parse_options
from sources.world.rows import WorldRow, make_row


class WorldReader:
    """Reads sources of the generated world; there is no file, so nothing is sniffed."""

    name = "world"
    version = 1

    def sniff(self, path: Path) -> bool:
        """Say no: the world is never on disk."""
        return False

    def files(self, path: Path) -> list[Path]:
        """Return nothing: there are no files."""
        return []

    def open(self, spec: SourceSpec) -> WorldRows:
        """Open a source.

        Raises:
            SourceError: an option is unknown or has a value that is not allowed.
        """
        return WorldRows(parse_options(spec.options))


@dataclass(frozen=True, slots=True)
class WorldRows:
    """The rows of one world source; each is a pure function of the options and its number."""

    options: WorldOptions

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.options.rows

    def __iter__(self) -> Iterator[Row]:
        """Make all rows in order."""
        return map(self.get, range(len(self)))

    def get(self, number: int) -> Row:
        """Make one row.

        Raises:
            IndexError: there is no such row.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"row {number} of {len(self)}")
        return Row(number, _sample(self.options, number, make_row(self.options, number)))


def _sample(options: WorldOptions, number: int, row: WorldRow) -> Sample:
    turns: list[Turn] = []
    for question, answer in row.turns:
        place: tuple[str | int, ...] = () if turns else (0,)
        turns += [Turn(Role.USER, (*place, question)), Turn(Role.ASSISTANT, (answer,))]
    return Sample(f"{options.seed}-{number}", (ImageRef(data=scene_png(row.shown)),), tuple(turns), row.topic.value)
