"""A row of a source in a few words: its number, the file of its image, how its text begins."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from probe.cli.output import plain

if TYPE_CHECKING:
    from sources.sample import Sample
    from sources.sampling import SourcePool

TEXT_CHARS = 40
NAME_CHARS = 40


def row_name(pool: SourcePool, number: int) -> str:
    """Return `charts row 10 (10.png, "What colour is the shape?")`; of a row that cannot be read any more its number alone."""
    from sources.problems import RowError, SourceError

    start = f"{pool.spec.slug} row {number}"
    try:
        return f"{start} ({_in_words(pool.sample(number))})"
    except (SourceError, RowError):
        return start


def _in_words(sample: Sample) -> str:
    text = next((words for turn in sample.turns if (words := " ".join(turn.text.split()))), "")
    said = [plain(PurePosixPath(ref.path).name)[-NAME_CHARS:] for ref in sample.images[:1] if ref.path]
    return ", ".join([*said, f'"{plain(text[:TEXT_CHARS])}{"..." if len(text) > TEXT_CHARS else ""}"'])
