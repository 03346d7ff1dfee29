"""Full-scale results as users give them: checked, and brought to what the store keeps."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from db.values import Outcome, OutcomeScore
from probe.errors import ProbeError
from probe.study.ranking import known_study
from probe.study.registry import find_source
from sources.canonical import content_hash
from sources.mixture import Curriculum

if TYPE_CHECKING:
    from db.store import Store

OVERALL = "overall"
LARGEST_CSV = 10_000_000  # bytes
COLUMNS = ("name", "manifest", "mixture", "benchmark", "score", "stderr", "seeds", "note")
NEEDED = ("benchmark", "score")


@dataclass(frozen=True, slots=True)
class Given:
    """A result as the user states it: `scores` and `stderrs` by benchmark, capability, or `overall`."""

    curriculum: Curriculum
    scores: Mapping[str, float]
    stderrs: Mapping[str, float] = field(default_factory=dict)
    seeds: int = 1
    name: str = ""
    manifest: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a CSV file: one score of one result."""

    number: int
    cells: Mapping[str, str]

    def value(self, column: str, default: float) -> float:
        """Return a number.

        Raises:
            ProbeError: it is none.
        """
        text = self.cells.get(column, "")
        try:
            return float(text) if text else default
        except ValueError:
            raise ProbeError(f"line {self.number}: {column} {text!r} is no number.") from None


def checked(store: Store, study: str, given: Given) -> Outcome:
    """Return a result as the store keeps it; without a name it is named by its mixture.

    Raises:
        ProbeError, SourceError: the study, a source or a benchmark is unknown, or a number is out of range.
    """
    record = known_study(store, study)
    if not given.scores:
        raise ProbeError("give at least one score: --score BENCHMARK=0.41.")
    if strange := [key for key in given.stderrs if key not in given.scores]:
        raise ProbeError(f"the standard error of {strange[0]} has no score: give --score {strange[0]}=... too.")
    if not given.manifest:
        for slug in given.curriculum.sources():
            find_source(store, slug)
    benchmarks = {one.spec.name: one.spec.capability for one in store.study_benchmarks(record.name)}
    scores = tuple(
        OutcomeScore(_level(key, benchmarks, study), key, _share(key, value), _error(key, given.stderrs.get(key, math.nan)))
        for key, value in given.scores.items()
    )
    if given.seeds < 1:
        raise ProbeError(f"{given.seeds} seeds cannot have given these scores: give --seeds of at least 1.")
    name = given.name or (given.manifest or content_hash(given.curriculum))[:8]
    return Outcome(study, name, given.curriculum, scores, given.seeds, given.manifest, given.note)


def read_lines(path: Path) -> list[Line]:
    """Return the lines of a CSV file with the columns `COLUMNS`, one score a line.

    Raises:
        ProbeError: it cannot be read, is larger than results are, or its columns are others.
    """
    try:
        if path.stat().st_size > LARGEST_CSV:
            raise ProbeError(f"{path} is larger than {LARGEST_CSV // 1_000_000} MB: results are a few lines each.")
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            columns = [name or "" for name in rows.fieldnames or ()]
            if strange := [name for name in columns if name not in COLUMNS]:
                raise ProbeError(f"{path}: there is no column {strange[0]!r}; there are {', '.join(COLUMNS)}.")
            if missing := [name for name in NEEDED if name not in columns]:
                raise ProbeError(f"{path} lacks the column {missing[0]!r}; its first line names the columns {', '.join(COLUMNS)}.")
            return [Line(number, _cells(row, number)) for number, row in enumerate(rows, start=2)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ProbeError(f"{path} cannot be read as CSV ({error}).") from None


def results_of(lines: Sequence[Line]) -> Iterator[tuple[Line, list[Line]]]:
    """Return the lines of each result with its first one: those of one name, or, without a name, of one manifest or mixture.

    Raises:
        ProbeError: lines of one result contradict each other, or score the same twice.
    """
    groups: dict[tuple[str, ...], list[Line]] = {}
    for line in lines:
        name = line.cells.get("name", "")
        groups.setdefault((name,) if name else ("", line.cells.get("manifest", ""), line.cells.get("mixture", "")), []).append(line)
    for group in groups.values():
        for line in group[1:]:
            for column in ("manifest", "mixture", "seeds", "note"):
                if line.cells.get(column, "") not in ("", group[0].cells.get(column, "")):
                    raise ProbeError(f"line {line.number}: another {column} than line {group[0].number} gives of the same result.")
        keys = [line.cells["benchmark"] for line in group]
        if twice := [line for line in group if keys.count(line.cells["benchmark"]) > 1]:
            raise ProbeError(f"line {twice[1].number}: {twice[1].cells['benchmark']} is scored on line {twice[0].number} already.")
        yield group[0], group


def _cells(row: Mapping[str | None, str | list[str] | None], number: int) -> dict[str, str]:
    if None in row:
        raise ProbeError(f"line {number} has more cells than the first line names: put a note with commas into quotes.")
    return {str(key): str(value or "").strip() for key, value in row.items()}


def _level(key: str, benchmarks: Mapping[str, str], study: str) -> str:
    if key in benchmarks:
        return "benchmark"
    if key in benchmarks.values():
        return "capability"
    if key == OVERALL:
        return OVERALL
    known = ", ".join(dict.fromkeys((*benchmarks, *benchmarks.values(), OVERALL)))
    raise ProbeError(f"study {study!r} has no benchmark or capability {key!r}; it has {known}.")


def _share(key: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise ProbeError(f"the score {value:g} of {key} is not in 0..1: divide it by the benchmark's full mark (41 % is 0.41).")
    return value


def _error(key: str, value: float) -> float:
    if math.isfinite(value) and not 0 < value < 1:
        raise ProbeError(f"the standard error {value:g} of {key} is not between 0 and 1: give it in the score's unit.")
    return value
