"""`probe manifest`: list, show, verify and compare manifests."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from probe.cli.output import counting, listing_options, print_json, print_listing
from probe.errors import ProbeError
from probe.workspace import Workspace

if TYPE_CHECKING:
    from db.store import Store
    from probe.manifest.document import Manifest, SourceEntry
    from probe.manifest.rows import RowsNow
    from probe.manifest.verify import VerifyReport
    from sources.spec import SourceSpec


@click.group()
def command() -> None:
    """Show, verify and compare manifests: M is a file, or the beginning of a hash in the store."""


@command.command("list")
@click.option("--study", default=None, help="Only this study's.")
@listing_options
@click.pass_obj
def list_(workspace: Workspace, study: str | None, form: str) -> None:
    """List the manifests in the store, newest first."""
    rows = []
    if workspace.exists():
        with workspace.open_store() as store:
            rows = [{"hash": m.hash, "study": m.study, "created_at": m.created_at} for m in store.manifests(study)]
    print_listing(rows, form, empty="There is no manifest yet: probe optimize.", columns=("hash", "study", "created_at"))


@command.command()
@click.argument("manifest", metavar="M")
@click.option("--json", "as_json", is_flag=True, help="Print the document itself.")
@click.pass_obj
def show(workspace: Workspace, manifest: str, as_json: bool) -> None:
    """Show a manifest: mixture, gains with intervals, licences, warnings."""
    from probe.manifest import manifest_json, manifest_lines

    doc = load_manifest(workspace, manifest)
    click.echo(manifest_json(doc).rstrip() if as_json else "\n".join(manifest_lines(doc)))


@command.command()
@click.argument("manifest", metavar="M")
@click.option("--quick", is_flag=True, help="Compare hashes of files only; do not read rows and images again.")
@click.option("--again", is_flag=True, help="Read all rows and images again, also where files have the size and time that they had.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def verify(workspace: Workspace, manifest: str, quick: bool, again: bool, as_json: bool) -> None:
    """Check that what a manifest was decided on is still what lies on disk; exit code 1 when something changed."""
    if quick and again:
        raise click.UsageError("--quick reads no rows, --again reads all of them: give one of them.")
    report = verify_here(workspace, load_manifest(workspace, manifest), quick, again)
    if as_json:
        from db.documents import to_document

        print_json({"ok": report.ok} | to_document(report))
    else:
        click.echo("\n".join(report.lines()))
    if not report.ok:
        sys.exit(1)


@command.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def diff(workspace: Workspace, a: str, b: str, as_json: bool) -> None:
    """Show what manifest B says differently from manifest A, and nothing else."""
    from probe.manifest import diff_lines, diff_manifests

    found = diff_manifests(load_manifest(workspace, a), load_manifest(workspace, b))
    if as_json:
        print_json(found.plain())
    else:
        click.echo("\n".join(diff_lines(found)))


def load_manifest(workspace: Workspace, which: str) -> Manifest:
    """Return the manifest of a file, by its path or its name in the workspace, or of the beginning of a hash in the store.

    One of which only the file lies here is found by the hash in file names, too.

    Raises:
        ProbeError: there is none, or it cannot be read.
    """
    from probe.manifest import parse_manifest, read_manifest
    from probe.manifest.folder import manifests_in
    from probe.manifest.write import SHORT_HASH_CHARS

    for file in (Path(which), workspace.manifests / f"{Path(which).name}.json"):
        if which and file.is_file():
            return read_manifest(file)
    record = None
    if workspace.exists():
        with workspace.open_store() as store:
            record = store.manifest(which) if which else None
    if record is None and len(which) >= SHORT_HASH_CHARS:
        for doc in manifests_in(workspace.manifests):
            if doc.hash.startswith(which):
                return doc
    if record is None:
        raise ProbeError(f"there is no manifest {which!r}, neither a file nor a hash in the store: see `probe manifest list`.")
    return parse_manifest(record.json, f"manifest {record.hash}")


def specs_here(store: Store, doc: Manifest) -> dict[str, SourceSpec]:
    """Return where the manifest's sources lie on this machine; those that nobody knows are left out."""
    from probe.study.registry import find_source
    from sources.problems import SourceError

    found = {}
    for entry in doc.sources:
        try:
            found[entry.slug] = find_source(store, entry.slug)
        except (ProbeError, SourceError):
            continue
    return found


def verify_here(workspace: Workspace, doc: Manifest, quick: bool, again: bool = False) -> VerifyReport:
    """Compare a manifest with the sources and benchmarks of a workspace."""
    from probe.manifest import verify_manifest

    with workspace.look() as store:
        return verify_manifest(
            doc,
            specs_here(store, doc),
            read_rows=None if quick else _read_rows(workspace, store, doc, again),
            benchmark_fingerprint=None if quick else _benchmark_fingerprint(store),
            on_source=lambda slug, number, of: click.echo(f"source {number} of {of}: {slug}", err=True),
        )


def _read_rows(workspace: Workspace, store: Store, doc: Manifest, again: bool) -> Callable[[SourceSpec, SourceEntry], RowsNow]:
    from probe.manifest import rows_now
    from probe.study.decontamination import cleaner_of
    from sources.problems import SourceError

    def read(spec: SourceSpec, entry: SourceEntry) -> RowsNow:
        try:
            cleaner = cleaner_of(store, doc.study.clean_of, workspace.indexes)
        except ProbeError as error:
            raise SourceError(str(error)) from error
        with counting(f"reading {spec.slug}") as progress:
            return rows_now(spec, entry, workspace.indexes, progress, lambda pool: cleaner.clean(pool, progress), again)

    return read


def _benchmark_fingerprint(store: Store) -> Callable[[str], str]:
    from probe.study.registry import find_benchmark
    from sources.benchmark_data import read_benchmark

    def fingerprint(name: str) -> str:
        try:
            return read_benchmark(find_benchmark(store, name)).fingerprint
        except ProbeError as error:
            raise KeyError(name) from error

    return fingerprint
