"""Verify that what a manifest was decided on is still what lies on disk, and name what is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from probe.manifest.document import BenchmarkEntry, Manifest, OutsideEntry, ReaderEntry, SourceEntry
from probe.manifest.readers import current_reader
from probe.manifest.rows import LISTED_ROWS, RowsNow
from probe.manifest.typed_json import plain_value
from sources.counted import counted
from sources.problems import RowError, SourceError
from sources.spec import SourceSpec

if TYPE_CHECKING:
    from sources.row_changes import RowChanges

Fingerprint = Callable[[SourceSpec], str]
ReaderOf = Callable[[SourceSpec], ReaderEntry]
ReadRows = Callable[[SourceSpec, SourceEntry], RowsNow]
SHOWN_ROWS = 10  # in a sentence


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as the manifest says. `kind` is one of `source`, `order`, `rows`, `reader`, `benchmark`, `image_policy`.

    `rows` are the numbers of the rows in question, at most 1,000, where they are known.
    """

    kind: str
    name: str
    message: str
    rows: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was looked at and what was found; an empty `findings` means that everything checked is unchanged."""

    findings: tuple[Finding, ...]
    sources: int
    benchmarks: int
    not_checked: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Say whether nothing has changed."""
        return not self.findings

    def lines(self) -> list[str]:
        """Return the report as text, one line a finding."""
        found = [finding.message for finding in self.findings]
        skipped = [f"not checked: {what}" for what in self.not_checked]
        verdict = "unchanged" if self.ok else f"{len(self.findings)} changed"
        return [*found, *skipped, f"checked {counted(self.sources, 'source')} and {counted(self.benchmarks, 'benchmark')}: {verdict}"]


def verify_manifest(
    doc: Manifest,
    specs: Mapping[str, SourceSpec],
    *,
    fingerprint: Fingerprint | None = None,
    reader_of: ReaderOf | None = None,
    read_rows: ReadRows | None = None,
    benchmark_fingerprint: Callable[[str], str] | None = None,
    image_policy: Any = None,
    on_source: Callable[[str, int, int], None] | None = None,
) -> VerifyReport:
    """Compare a manifest with the sources and benchmarks at hand; a source that is gone is a finding, never an exception.

    Args:
        doc: the manifest.
        specs: where each source lies now, by slug.
        fingerprint: hashes a source; by default `sources.fingerprint.fingerprint`.
        reader_of: the reader that would read a source now; by default the registered one of the source's format.
        read_rows: the rows of a source now, such as `rows_now`, which notices missing and replaced images; not compared without it.
        benchmark_fingerprint: the fingerprint of a benchmark by name; benchmarks are not checked without it.
        image_policy: the policy in force; by default `sources.images.IMAGE_POLICY`.
        on_source: is told (slug, number, of how many) of each source before it is read.
    """
    findings: list[Finding] = []
    for number, entry in enumerate(doc.sources, start=1):
        if on_source is not None:
            on_source(entry.slug, number, len(doc.sources))
        findings += _check_source(entry, specs.get(entry.slug), fingerprint or _fingerprint, reader_of or current_reader, read_rows)
    if benchmark_fingerprint is not None:
        findings += _check_benchmarks(doc, benchmark_fingerprint)
    findings += _check_policy(doc, image_policy)
    optional = {"rows and their images": read_rows, "benchmarks": benchmark_fingerprint}
    benchmarks = len(doc.objective.benchmarks) + len(doc.outside) if benchmark_fingerprint else 0
    not_checked = tuple(what for what, how in optional.items() if how is None)
    return VerifyReport(tuple(findings), len(doc.sources), benchmarks, not_checked)


def _check_source(
    entry: SourceEntry, spec: SourceSpec | None, fingerprint: Fingerprint, reader_of: ReaderOf, read_rows: ReadRows | None
) -> list[Finding]:
    if spec is None:
        message = f"source {entry.slug} is not registered here: add it with `probe sources add {entry.slug} --path ...`"
        return [Finding("source", entry.slug, message)]
    try:
        now, reader = fingerprint(spec), reader_of(spec)
        found = read_rows(spec, entry) if read_rows else None
        return [*_compare_files(entry, now, found), *_compare_reader(entry, reader), *(_compare_rows(entry, found) if found else ())]
    except (SourceError, RowError, OSError, KeyError, ValueError) as error:
        return [Finding("source", entry.slug, f"source {entry.slug} cannot be read any more: {_sentence(error)}")]


def _compare_files(entry: SourceEntry, now: str, found: RowsNow | None) -> Iterator[Finding]:
    if now == entry.fingerprint:
        return
    told = f"fingerprint {now}, the manifest says {entry.fingerprint}"
    if found is None or not entry.content or found.content != entry.content:
        yield Finding("source", entry.slug, f"source {entry.slug} has changed (a row, the order of rows or a file): {told}")
    elif found.changes and found.changes.moved is not None:
        first = found.changes.moved
        message = f"source {entry.slug} holds the same rows in another order, from row {first} on: {told}"
        yield Finding("order", entry.slug, message, (first,))
    else:
        yield Finding("order", entry.slug, f"source {entry.slug} holds the same rows in another order or another form: {told}")


def _compare_reader(entry: SourceEntry, now: ReaderEntry) -> Iterator[Finding]:
    if now != entry.reader:
        then = f"{entry.reader.name} version {entry.reader.version}"
        message = f"source {entry.slug} would be read by {now.name} version {now.version}, the manifest says {then}"
        yield Finding("reader", entry.slug, message)


def _compare_rows(entry: SourceEntry, found: RowsNow) -> Iterator[Finding]:
    if found.usable != entry.usable:
        yield Finding(
            "rows", entry.slug, f"source {entry.slug} has {counted(found.usable, 'usable row')}, the manifest says {entry.usable}"
        )
    elif entry.content and found.content != entry.content:
        message = f"source {entry.slug} has rows with other texts or images: content {found.content}, the manifest says {entry.content}"
        yield Finding("rows", entry.slug, message)
    yield from _compare_excluded(entry, found)
    if found.changes and not (entry.content and found.content == entry.content):  # else the last index was of other rows, not the manifest
        yield from _name_rows(entry.slug, found.changes)


def _compare_excluded(entry: SourceEntry, found: RowsNow) -> Iterator[Finding]:
    then = entry.excluded if entry.excluded is not None else found.excluded
    for problem in sorted({*found.excluded, *then}):
        now, before = found.excluded.get(problem, 0), then.get(problem, 0)
        if now != before:
            rows = found.excluded_rows.get(problem, ())
            all_known = len(rows) == now - before or (found.changes and len(rows) < LISTED_ROWS)
            which = f" ({'' if all_known else 'such as '}{_rows_text(rows)})" if rows and now > before else ""
            message = f"source {entry.slug} has {counted(now, 'row')} excluded as {problem}{which}, the manifest says {before}"
            yield Finding("rows", entry.slug, message, rows if now > before else ())


def _name_rows(slug: str, changes: RowChanges) -> Iterator[Finding]:
    """Name rows, numbered as they stand in the file of now, those that are gone as they stood then."""
    for what, rows in (
        ("other texts or images than they had", changes.changed),
        ("no usable row any more where there was one", changes.gone),
        ("a usable row where there was none", changes.new),
    ):
        if rows:
            yield Finding("rows", slug, f"source {slug}: {_rows_text(rows)}: {what}", rows[:LISTED_ROWS])


def _rows_text(rows: Sequence[int]) -> str:
    """Return `row 7`, or `rows 7, 9, ... and 11 more`."""
    shown = ", ".join(map(str, rows[:SHOWN_ROWS]))
    return f"row{'s' if len(rows) > 1 else ''} {shown}" + (f" and {len(rows) - SHOWN_ROWS:,} more" if len(rows) > SHOWN_ROWS else "")


def _check_benchmarks(doc: Manifest, fingerprint: Callable[[str], str]) -> Iterator[Finding]:
    known: list[BenchmarkEntry | OutsideEntry] = [*doc.objective.benchmarks, *doc.outside]
    for entry in known:
        try:
            now = fingerprint(entry.name)
        except (SourceError, OSError, KeyError, ValueError) as error:
            yield Finding("benchmark", entry.name, f"benchmark {entry.name} cannot be read any more: {_sentence(error)}")
            continue
        if now != entry.fingerprint:
            message = f"benchmark {entry.name} has changed: fingerprint {now}, the manifest says {entry.fingerprint}"
            yield Finding("benchmark", entry.name, message)


def _check_policy(doc: Manifest, policy: Any) -> Iterator[Finding]:
    if policy is None:
        from sources.images import IMAGE_POLICY  # here: it imports PIL

        policy = IMAGE_POLICY
    now, then = plain_value(policy), plain_value(doc.image_policy)
    if now != then:
        yield Finding("image_policy", "images", f"images are turned into pixels by another policy now: {now}, the manifest says {then}")


def _fingerprint(spec: SourceSpec) -> str:
    from sources.fingerprint import fingerprint

    return fingerprint(spec)


def _sentence(error: Exception) -> str:
    if isinstance(error, KeyError) and error.args:
        return f"{error.args[0]} is not known here"
    return " ".join(str(error).split()) or type(error).__name__
