"""`probe sources`: list, show, check, compare, judge, add, fetch, split and remove data sources."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from probe.cli.output import counting, listing_options, print_fields, print_json, print_listing, say
from probe.cli.source_report import (
    added_lines,
    checked_source,
    helps,
    part_slugs,
    report_lines,
    source_fields,
    source_rows,
    usable_commercially,
)
from probe.workspace import Workspace
from sources.counted import counted
from sources.parts import default_jobs

F = TypeVar("F", bound=Callable[..., Any])

FORMATS = "auto|llava|chat|parquet|webdataset|tsv|world|easy-vqa"
COLUMNS = ("slug", "kind", "format", "usable", "excluded", "rows_about", "licence", "capabilities")


def jobs_option(command: F) -> F:
    """Add `--jobs`: how many processes read a source."""
    about = "Processes that read.  [default: a core each, at most 8]"
    return click.option("--jobs", type=click.IntRange(1), default=default_jobs, help=about)(command)


@click.group()
def command() -> None:
    """List, show, check, compare, judge, add, fetch, split and remove data sources."""


@command.command("list")
@click.option("--kind", type=click.Choice(["registered", "built-in", "catalogue"]), default=None, help="Show only these.")
@click.option("--capability", default=None, metavar="C", help="Show only those that the catalogue tags so: charts, ocr, math, ...")
@click.option(
    "--commercial", is_flag=True, help="Show only those whose licence is known and not non-commercial; `terms` remain to be read."
)
@listing_options
@click.pass_obj
def list_(workspace: Workspace, kind: str | None, capability: str | None, commercial: bool, form: str) -> None:
    """List sources: registered ones, built-in ones, and those that the catalogue knows."""
    rows = [row for row in source_rows(workspace) if kind in (None, row["kind"])]
    rows = [row for row in rows if capability is None or helps(row, capability)]
    rows = [row for row in rows if not commercial or usable_commercially(row)]
    names = COLUMNS if form == "table" else None
    empty = "No source is such." if capability or commercial else "No source is registered: probe sources add NAME --path FILE."
    print_listing(rows, form, empty=empty, columns=names)


@command.command()
@click.argument("slug")
@listing_options
@click.pass_obj
def show(workspace: Workspace, slug: str, form: str) -> None:
    """Show what is known of one source, without reading its data."""
    print_fields(source_fields(workspace, slug), form)


@command.command()
@click.argument("slug")
@click.option("--proxy", default="tiny", show_default=True, help="Whose processor counts the tokens of a row.")
@click.option("--full", is_flag=True, help="Decode every image, also where there are so many that a sample says enough.")
@click.option("--fix-list", type=click.Path(path_type=Path), default=None, metavar="FILE", help="Write every excluded row as a JSON line.")
@jobs_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def check(workspace: Workspace, slug: str, proxy: str, full: bool, fix_list: Path | None, jobs: int, as_json: bool) -> None:
    """Read a source: rows usable and excluded by problem, images, tokens, duplicates, licence. Interrupted, it goes on where it was."""
    report = checked_source(workspace, slug, proxy, jobs=jobs, full=full, fix_list=fix_list)
    if as_json:
        from db.documents import to_document

        print_json(to_document(report) | {"parts": part_slugs(report)})
    else:
        say("\n".join(report_lines(report, proxy)))


@command.command()
@click.argument("slug")
@click.option("--path", default=None, metavar="PATH|URL", help="The data file, or its folder; s3://, https:// and others too.")
@click.option("--hub", default=None, metavar="ORG/NAME", help="A data set of the hub, or a folder laid out as one.")
@click.option("--subset", default=None, metavar="S", help="Which subset of it.")
@click.option("--split", default="train", show_default=True, help="Which split of it.")
@click.option("--file", default="", metavar="F", help="Only these of its files, by name or pattern.")
@click.option("--pool-rows", type=click.IntRange(min=0), default=None, help="How many rows are drawn of it; 0: all.  [default: 20,000]")
@click.option("--pool-seed", type=int, default=0, show_default=True, help="Which rows.")
@click.option("--images", default=None, metavar="DIR|URL", help="Folder that image paths start from.  [default: the data's]")
@click.option("--format", "form", default="auto", show_default=True, metavar=f"[{FORMATS}]", help="auto looks at the data.")
@click.option("--licence", default="", metavar="SPDX", help="As declared, for example CC-BY-4.0.")
@click.option("--licence-concluded", default="", metavar="SPDX", help="What somebody found it to be.")
@click.option("--terms", default="", help="Terms of the provider, in words.")
@click.option("--hub-id", default="", help="Where it comes from on the hub, for the record.")
@click.option("--revision", default="", help="Which branch, tag or commit of it.  [default: the newest]")
@click.option("--option", "options", multiple=True, metavar="K=V", help="An option of the format; repeat for more.")
@click.option("--replace", "replace_known", is_flag=True, help="Take the place of other data that is registered by this name.")
@jobs_option
@click.pass_obj
def add(workspace: Workspace, /, slug: str, replace_known: bool, jobs: int, **given: Any) -> None:
    """Register a source: a file or folder, a URL, or a data set of the hub. Of what is not here, rows are drawn by seed and kept."""
    from probe.study.registering import add_source, new_spec
    from probe.study.streaming import fetched

    spec = fetched(workspace, new_spec(slug, **given), lambda line: say(line, err=True), counting)
    with counting(f"reading {slug}") as progress:
        pool = add_source(workspace, spec, progress, replace_known, jobs)
    say("\n".join(added_lines(pool)))


@command.command()
@click.argument("slug")
@click.pass_obj
def fetch(workspace: Workspace, slug: str) -> None:
    """Bring the rows of a streamed source here again, or go on where that was interrupted; what is here is not fetched twice."""
    from probe.study.registry import find_source
    from probe.study.streaming import bring_here

    bring_here(workspace, [slug], lambda line: say(line, err=True), counting)
    with workspace.look() as store:
        spec = find_source(store, slug)
    say(f"{slug} is here: {spec.path or spec.format}")


@command.command()
@click.argument("slug")
@click.option("--holdout", type=click.FloatRange(0, 1, min_open=True, max_open=True), required=True, help="Share of the images: 0.1.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which images.")
@click.option("--benchmark", default="", metavar="NAME", help="Name of the benchmark.  [default: SLUG-holdout]")
@click.option("--capability", default="in-domain", show_default=True, help="Which capability it measures.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def split(workspace: Workspace, slug: str, holdout: float, seed: int, benchmark: str, capability: str, as_json: bool) -> None:
    """Hold images of a source out as a benchmark; from then on they are never trained on."""
    from probe.study.registering import split_source

    with counting(f"splitting {slug}") as progress:
        made = split_source(workspace, slug, holdout, seed, benchmark, capability, progress)
    if as_json:
        made_benchmarks = zip(made.benchmarks, made.items, strict=True) if made else ()
        print_json(
            {
                "source": slug,
                "changed": made is not None,
                "rows_held_out": made.rows_held_out if made else None,
                "rows_left": made.rows_left if made else None,
                "benchmarks": [{"name": spec.name, "items": n, "capability": spec.capability} for spec, n in made_benchmarks],
            }
        )
        return
    if made is None:
        say(f"{slug} is already split so, and a study uses it; nothing was changed.")
        return
    say(f"{slug}: {counted(made.rows_held_out, 'row')} held out by image, {made.rows_left} left to train on.")
    for spec, items in zip(made.benchmarks, made.items, strict=True):
        say(f"benchmark {spec.name}: {counted(items, 'item')}, capability {spec.capability}")
    say(f"Next: probe run --source {slug}")


@command.command()
@click.argument("slug")
@click.option("--proxy", default="tiny", show_default=True, metavar="P", help="Whose loss says what is easy.")
@click.option("--pools", type=click.IntRange(2, 100), default=3, show_default=True, help="Parts of equal size.")
@click.option("--rows", type=click.IntRange(2), default=None, help="Judge so many rows, drawn at random.  [default: all]")
@click.option("--device", default=None, help="cpu, cuda, cuda:1, ...; found by itself.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def difficulty(workspace: Workspace, slug: str, proxy: str, pools: int, rows: int | None, device: str | None, as_json: bool) -> None:
    """Register parts of a source from easy to hard, as the untrained proxy's own loss judges its rows. Interrupted, it goes on."""
    from probe.cli.source_difficulty import show_difficulty

    show_difficulty(workspace, slug, proxy, pools, rows, device, as_json)


@command.command()
@click.argument("slugs", nargs=-1, metavar="[SOURCE]...")
@click.option("--benchmark", "benchmarks", multiple=True, metavar="B", help="Compare with this one.  [default: all registered]")
@click.option("--rows", type=click.IntRange(1), default=20_000, show_default=True, help="Rows of a source to look for in another.")
@listing_options
@click.pass_obj
def overlap(workspace: Workspace, slugs: tuple[str, ...], benchmarks: tuple[str, ...], rows: int, form: str) -> None:
    """Say what sources share with themselves, with each other and with benchmarks; one alone, with all others.

    Rows that hold a benchmark's image, question and answer, or most of its long text, are left out of a new study's draws.
    """
    from probe.cli.source_overlap import COLUMNS, example_lines, overlap_rows

    found = overlap_rows(workspace, slugs, benchmarks, rows)
    if form == "json":
        print_json([{name: value for name, value in row.items() if " " not in name} for row in found])
    elif form == "csv":
        told = [row | {"examples": "; ".join(row["told"])} for row in found]
        print_listing(told, form, empty="", columns=(*COLUMNS, "examples"))
    else:
        print_listing(found, form, empty="Nothing to compare.", columns=COLUMNS)
        say("\n".join(example_lines(found)))


@command.command()
@click.argument("slug")
@click.pass_obj
def remove(workspace: Workspace, slug: str) -> None:
    """Forget a source; its data stays where it is. Refused while a study uses it."""
    with workspace.open_store() as store:
        store.remove_source(slug)
    say(f"{slug} is forgotten; its files were not touched.")
