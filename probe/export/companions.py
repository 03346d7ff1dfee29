"""What lies beside every export: the manifest, `MIXTURE.md`, a `README.md` with the commands; and what a user is warned of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from probe.export.drawn_rows import requested_counts, what_changed
from probe.export.image_store import ImageStore
from probe.export.report import ExportOptions, ExportReport, Images, row_shares
from probe.manifest.document import Manifest
from probe.manifest.markdown import escaped, mixture_markdown
from probe.manifest.write import manifest_json
from sources.counted import counted

if TYPE_CHECKING:
    from sources.sampling import SourcePool


def write_companions(folder: Path, doc: Manifest, report: ExportReport, notes: Iterable[str]) -> None:
    """Write `manifest.json`, `MIXTURE.md` and a `README.md` that says what to do with the rest."""
    (folder / "manifest.json").write_text(manifest_json(doc), encoding="utf-8")
    (folder / "MIXTURE.md").write_text(mixture_markdown(doc), encoding="utf-8")
    (folder / "README.md").write_text(_readme(doc, report, notes), encoding="utf-8")


def export_warnings(
    doc: Manifest,
    options: ExportOptions,
    images: ImageStore,
    excluded: Mapping[str, Mapping[str, int]],
    pools: Mapping[str, SourcePool],
    counts: Mapping[str, Mapping[str, int]],
) -> tuple[str, ...]:
    """Return what whoever trains on an export has to know, the manifest's own warnings first; `counts` are rows by phase and source."""
    found = [*doc.warnings, *_other_budgets(doc, counts), *_shrunken(doc, counts)]
    if any(not phase.restarts for phase in doc.phases[1:]):
        found.append(
            "the phases were decided with one learning rate schedule over all of them, and trainings of their own start it anew: "
            "let the trainer's schedule run on, or test the order with restarts (`probe run --design phases`)"
        )
    changed = {entry.slug: what_changed(entry, pools[entry.slug]) for entry in doc.sources if entry.rows}
    found += [f"{slug} is not what the manifest was decided on: {what}" for slug, what in changed.items() if what]
    for slug, reasons in excluded.items():
        found.append(f"{slug}: {counted(sum(reasons.values()), 'row')} left out of the draw that this trainer cannot read")
    found += [f"{entry.slug} is repeated: {entry.repeat:.1f} epochs of its usable rows" for entry in doc.sources if entry.repeat > 1]
    found += [f"{flag.source}: {flag.licence}: {flag.reason}" for flag in doc.licences.flagged]
    if images.rewritten:
        which = counted(images.rewritten, "image that is", "images that are")
        found.append(
            f"{which} turned by EXIF, transparent or deeper than 8 bits, written as the proxy saw them: trainers would show others"
        )
    if options.images is Images.LINK and images.copied_instead:
        found.append(f"{counted(images.copied_instead, 'image')} copied that could not be hard-linked")
    return tuple(dict.fromkeys(found))


def _other_budgets(doc: Manifest, counts: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    for phase, asked in requested_counts(doc).items():
        got, wanted = sum(counts.get(phase, {}).values()), sum(asked.values())
        if got != wanted:
            yield f"{phase} has {counted(got, 'row')} and the manifest asks for {wanted:,}: its shares hold, its length does not"


def _shrunken(doc: Manifest, counts: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """Name sources that keep less than half of their share: those below twice the tolerance can, and no refusal says so."""
    for phase, asked in requested_counts(doc).items():
        got, wanted = row_shares({phase: counts.get(phase, {})}), row_shares({phase: asked})
        for slug, share in wanted.items():
            if got.get(slug, 0.0) < share / 2:
                yield f"{slug} is {got.get(slug, 0.0):.2%} of {phase} and the manifest asks for {share:.2%}: mode exact keeps it whole"


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
