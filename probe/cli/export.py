"""`probe export`: write a manifest's mixture for a trainer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from probe.cli.manifest import load_manifest, specs_here
from probe.cli.output import counting, print_json, say
from probe.export.registry import exporter_names
from probe.workspace import Workspace

if TYPE_CHECKING:
    from probe.export import ExportOptions, ExportReport


@click.command()
@click.argument("manifest", metavar="M")
@click.option("--trainer", required=True, metavar="T", help=f"{', '.join(exporter_names())}. jsonl and webdataset serve any other.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="A folder that is empty or not there yet.")
@click.option(
    "--mode",
    type=click.Choice(["exact", "native", "once"]),
    default="exact",
    show_default=True,
    help="Small sources: rows written again (exact), repeated by the trainer (native), or not repeated.",
)
@click.option("--images", type=click.Choice(["copy", "link", "policy"]), default="copy", show_default=True, help="How images get there.")
@click.option("--tolerance", type=click.FloatRange(0, 1), default=0.005, show_default=True, help="How far a share may be off.")
@click.option("--seed", type=int, default=None, help="Of the draw.  [default: the manifest's]")
@click.option("--changed-sources", is_flag=True, help="Export also what is not the manifest's any more.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(
    workspace: Workspace,
    manifest: str,
    trainer: str,
    out: Path,
    mode: str,
    images: str,
    tolerance: float,
    seed: int | None,
    changed_sources: bool,
    as_json: bool,
) -> None:
    """Write a manifest's mixture for a trainer, with requested and realised shares. M is a file or the beginning of a hash."""
    from probe.export import ExportOptions, Images, Mode

    options = ExportOptions(Mode(mode), Images(images), tolerance, seed, changed_sources)
    report = export_here(workspace, manifest, trainer, out, options)
    if as_json:
        from db.documents import to_document

        print_json(to_document(report))
    else:
        click.echo("\n".join(report.lines(out)))
        click.echo(f"written to {out}: {report.listed()}")


def export_here(workspace: Workspace, manifest: str, trainer: str, out: Path, options: ExportOptions) -> ExportReport:
    """Open the manifest's sources, of streamed ones what is not here any more brought back, and export it.

    Raises:
        ExportError: no such trainer, or the export cannot be made; nothing is written then.
        ProbeError: no such manifest.
        SourceError: a streamed source's rows are not here and cannot be had again.
    """
    from probe.export import find_exporter
    from probe.study.decontamination import cleaner_of
    from probe.study.streaming import bring_here
    from sources.sampling import SourcePool

    export = find_exporter(trainer)
    doc = load_manifest(workspace, manifest)
    used = {slug for slug, rows in doc.rows().items() if rows}
    with workspace.look() as store:
        specs = {slug: spec for slug, spec in specs_here(store, doc).items() if slug in used}
        clean = cleaner_of(store, doc.study.clean_of, workspace.indexes).clean
    bring_here(workspace, specs, lambda line: say(line, err=True), counting)
    with counting("reading sources") as progress:
        pools = {slug: clean(SourcePool.open(spec, workspace.indexes, progress), progress) for slug, spec in specs.items()}
    return export(doc, pools, out, options=options)
