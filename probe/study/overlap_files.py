"""What `probe sources overlap` found of a source, kept in the workspace for the pages: a small JSON file a comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from probe.study.kept_files import read_kept
from sources.canonical import content_hash
from sources.estimate import Estimate
from sources.whole_files import write_whole_text

INSIDE, SOURCE, BENCHMARK = "inside", "source", "benchmark"


@dataclass(frozen=True, slots=True)
class KeptOverlap:
    """What a source shares with itself, with another source, or with a benchmark, by `kind`.

    Of the `rows` looked at, the shares that it has by image, by long text and by image with its text; of a benchmark how many rows are
    left out of new studies instead. The fingerprints say of which data.
    """

    source: str
    other: str
    kind: str
    fingerprint: str
    other_fingerprint: str
    rows: int
    by_image: Estimate | None = None
    by_text: Estimate | None = None
    by_both: Estimate | None = None
    left_out: int = 0
    examples: tuple[str, ...] = ()


def keep_overlaps(folder: Path, found: Sequence[KeptOverlap]) -> None:
    """Write each comparison in place of what was kept of the same two."""
    for one in found:
        # `json` writes and reads NaN, the standard error of an interval that has none, which a document may not hold.
        write_whole_text(_file(folder, one.source, one.kind, one.other), json.dumps(asdict(one)) + "\n")


def kept_overlaps(folder: Path, source: str, sources: Mapping[str, str], benchmarks: Mapping[str, str]) -> tuple[KeptOverlap, ...]:
    """Return what is kept of a source with registered sources and benchmarks, given by name with their fingerprints.

    Left out is what was found on other data, or cannot be read.
    """
    asked = [(INSIDE, source, sources[source])] if source in sources else []
    asked += [(SOURCE, name, known) for name, known in sources.items() if name != source]
    asked += [(BENCHMARK, name, known) for name, known in benchmarks.items()]
    found = (
        ((read_kept(KeptOverlap, _file(folder, source, kind, name)), kind, name, known) for kind, name, known in asked)
        if folder.exists()
        else ()
    )
    own = sources.get(source)
    return tuple(
        one
        for one, kind, name, known in found
        if one is not None and (one.source, one.kind, one.other, one.fingerprint, one.other_fingerprint) == (source, kind, name, own, known)
    )


def _file(folder: Path, source: str, kind: str, other: str) -> Path:
    return folder / f"{content_hash([source, kind, other])}.json"
