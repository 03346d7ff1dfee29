"""Files of records, one JSON object a line, and what lies beside them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.export.conversation import conversation_record
from probe.export.image_store import ImageStore
from probe.export.report import ExportError, ExportOptions, ExportReport, Images
from probe.manifest.document import Manifest
from probe.manifest.markdown import escaped, mixture_markdown
from probe.manifest.write import manifest_json
from sources.problems import RowError

if TYPE_CHECKING:
    from sources.sampling import DrawnRow, SourcePool


def write_records(path: Path, rows: Iterable[DrawnRow], images: ImageStore) -> None:
    """Write rows in order, but the first row with an image goes first.

    Arrow takes a file's types from its first block: were that all text, `images` would be a list of nulls and the first image
    after it an error.

    Raises:
        ExportError: an image that was there when the row was drawn cannot be read any more.
    """
    with path.open("w", encoding="utf-8", newline="\n", errors="strict") as file:
        for row in _image_first(list(rows)):
            file.write(json.dumps(_record(row, images), ensure_ascii=True) + "\n")


def count_sources(path: Path) -> dict[str, int]:
    """Return how many of a file's records are of which source, found by reading it back."""
    with path.open(encoding="utf-8") as file:
        counts = Counter(json.loads(line)["source"] for line in file)
    return dict(sorted(counts.items()))


def write_companions(folder: Path, doc: Manifest, report: ExportReport, notes: Iterable[str]) -> None:
    """Write `manifest.json`, `MIXTURE.md` and a `README.md` that says what to do with the rest."""
    (folder / "manifest.json").write_text(manifest_json(doc), encoding="utf-8")
    (folder / "MIXTURE.md").write_text(mixture_markdown(doc), encoding="utf-8")
    (folder / "README.md").write_text(_readme(doc, report, notes), encoding="utf-8")


def export_warnings(
    doc: Manifest, options: ExportOptions, images: ImageStore, excluded: Mapping[str, Mapping[str, int]], pools: Mapping[str, SourcePool]
) -> tuple[str, ...]:
    """Return what whoever trains on an export has to know, the manifest's own warnings first."""
    found = [*doc.warnings]
    changed = [entry.slug for entry in doc.sources if entry.rows and pools[entry.slug].fingerprint != entry.fingerprint]
    found += [f"{slug} is not what the manifest was decided on: its fingerprint is another" for slug in changed]
    for slug, reasons in excluded.items():
        found.append(f"{slug}: {sum(reasons.values())} rows that this trainer cannot read were left out of the draw")
    found += [f"{entry.slug} is repeated: {entry.repeat:.1f} epochs of its usable rows" for entry in doc.sources if entry.repeat > 1]
    found += [f"{flag.source}: {flag.licence}: {flag.reason}" for flag in doc.licences.flagged]
    if images.rotated:
        found.append(
            f"{images.rotated} images carry an EXIF rotation that most trainers ignore and the proxy did not: "
            f"export them with images={Images.POLICY}"
        )
    if options.images is Images.LINK and images.copied_instead:
        found.append(f"{images.copied_instead} images could not be hard-linked and were copied")
    return tuple(dict.fromkeys(found))


def _image_first(rows: list[DrawnRow]) -> list[DrawnRow]:
    at = next((i for i, row in enumerate(rows) if row.sample.images), 0)
    return [*rows[at : at + 1], *rows[:at], *rows[at + 1 :]]


def _record(row: DrawnRow, images: ImageStore) -> dict[str, Any]:
    try:
        return conversation_record(row.sample, row.source, images.store)
    except RowError as error:
        where = f"row {row.number} of {row.source}"
        raise ExportError(f"an image of {where} cannot be read any more ({error}): run `probe sources check {row.source}`") from None


def _readme(doc: Manifest, report: ExportReport, notes: Iterable[str]) -> str:
    table = ["| phase | source | requested rows | rows |", "|---|---|---:|---:|"]
    for phase, counts in report.requested_counts.items():
        table += [f"| {phase} | {escaped(slug)} | {count} | {report.counts[phase].get(slug, 0)} |" for slug, count in counts.items()]
    warnings = [f"- {escaped(warning)}" for warning in report.warnings]
    commands = ["```sh", *report.commands, "```"]
    title = [
        f"# Export of manifest {doc.hash} for {report.trainer}",
        "",
        f"MIXTURE.md says what is in it and why. Rows drawn with seed {report.seed}, mode {report.mode}.",
    ]
    return "\n".join([*title, "", *table, "", *notes, "", *commands, *(["", "Warnings", "", *warnings] if warnings else [])]) + "\n"
