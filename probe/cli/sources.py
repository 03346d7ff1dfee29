"""`probe sources`: list, show, check, add, split and remove data sources."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from probe.cli.output import counting, listing_options, plain, print_fields, print_json, print_listing
from probe.errors import ProbeError
from probe.workspace import Workspace

if TYPE_CHECKING:
    from db.store import Store
    from db.values import SourceRecord
    from sources.catalogue import CatalogueEntry
    from sources.check import CheckReport, Spread
    from sources.sample import Sample
    from sources.sampling import SourcePool
    from sources.spec import Licence, SourceSpec
    from sources.split import Holdout

FORMATS = "auto|llava|chat|parquet|tsv|world|easy-vqa"
WITHOUT_PATH = ("world", "easy-vqa")
COLUMNS = ("slug", "kind", "format", "usable", "excluded", "licence")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9._-]+)*")
_RESERVED = re.compile(r"(base|untrained)|swarm-.*|confirm/.*")  # names of a study's other arms


@click.group()
def command() -> None:
    """List, show, check, add, split and remove data sources."""


@command.command("list")
@click.option("--kind", type=click.Choice(["registered", "built-in", "catalogue"]), default=None, help="Show only these.")
@listing_options
@click.pass_obj
def list_(workspace: Workspace, kind: str | None, form: str) -> None:
    """List sources: registered ones, built-in ones, and those that the catalogue knows."""
    rows = [row for row in source_rows(workspace) if kind in (None, row["kind"])]
    names = COLUMNS if form == "table" else None
    print_listing(rows, form, empty="No source is registered: probe sources add NAME --path FILE.", columns=names)


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
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def check(workspace: Workspace, slug: str, proxy: str, as_json: bool) -> None:
    """Read a source in full: rows usable and excluded by problem, images, tokens, duplicates, licence."""
    report = checked_source(workspace, slug, proxy)
    if as_json:
        from db.documents import to_document

        print_json(to_document(report))
    else:
        click.echo("\n".join(report_lines(report, proxy)))


@command.command()
@click.argument("slug")
@click.option("--path", type=click.Path(path_type=Path), default=None, help="The data file, or the folder that holds it.")
@click.option("--images", type=click.Path(path_type=Path), default=None, help="Folder that image paths start from.  [default: the data's]")
@click.option("--format", "form", default="auto", show_default=True, metavar=f"[{FORMATS}]", help="auto looks at the data.")
@click.option("--licence", default="", metavar="SPDX", help="As declared, for example CC-BY-4.0.")
@click.option("--licence-concluded", default="", metavar="SPDX", help="What somebody found it to be.")
@click.option("--terms", default="", help="Terms of the provider, in words.")
@click.option("--hub-id", default="", help="Where it comes from on the hub, for the record.")
@click.option("--revision", default="", help="Which revision of it, for the record.")
@click.option("--option", "options", multiple=True, metavar="K=V", help="An option of the format; repeat for more.")
@click.pass_obj
def add(workspace: Workspace, /, slug: str, **given: Any) -> None:
    """Register a source from a file or folder on this machine."""
    pool = add_source(workspace, new_spec(slug, **given))
    click.echo("\n".join(_added_lines(pool)))


@command.command()
@click.argument("slug")
@click.option("--holdout", type=click.FloatRange(0, 1, min_open=True, max_open=True), required=True, help="Share of the images: 0.1.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which images.")
@click.option("--benchmark", default="", metavar="NAME", help="Name of the benchmark.  [default: SLUG-holdout]")
@click.option("--capability", default="in-domain", show_default=True, help="Which capability it measures.")
@click.pass_obj
def split(workspace: Workspace, slug: str, holdout: float, seed: int, benchmark: str, capability: str) -> None:
    """Hold images of a source out as a benchmark; from then on they are never trained on."""
    made = split_source(workspace, slug, holdout, seed, benchmark, capability)
    if made is None:
        click.echo(f"{slug} is already split so, and a study uses it; nothing was changed.")
        return
    click.echo(f"{slug}: {made.rows_held_out} rows held out by image, {made.rows_left} left to train on.")
    for spec, items in zip(made.benchmarks, made.items, strict=True):
        click.echo(f"benchmark {spec.name}: {items} items, capability {spec.capability}")
    click.echo(f"Next: probe run --source {slug}")


@command.command()
@click.argument("slug")
@click.pass_obj
def remove(workspace: Workspace, slug: str) -> None:
    """Forget a source; its data stays where it is. Refused while a study uses it."""
    with workspace.open_store() as store:
        store.remove_source(slug)
    click.echo(f"{slug} is forgotten; its files were not touched.")


# Listing


def source_rows(workspace: Workspace) -> list[dict[str, Any]]:
    """Return every known source as a row: registered, then built-in, then the catalogue's."""
    from probe.study.registry import builtin_sources
    from sources.catalogue import catalogue

    records = _registered(workspace)
    builtin = builtin_sources()
    known = {record.spec.slug: record for record in records}
    own = [_row("registered", record.spec, record) for record in records if record.spec.slug not in builtin]
    made = [_row("built-in", spec, known.get(slug)) for slug, spec in builtin.items()]
    listed = [_row("catalogue", entry.spec(), None, entry) for slug, entry in catalogue().items() if slug not in known]
    return [*own, *made, *listed]


def _registered(workspace: Workspace) -> tuple[SourceRecord, ...]:
    if not workspace.exists():
        return ()
    with workspace.open_store() as store:
        return store.sources()


def _row(kind: str, spec: SourceSpec, record: SourceRecord | None, entry: CatalogueEntry | None = None) -> dict[str, Any]:
    return {
        "slug": spec.slug,
        "kind": kind,
        "format": spec.format,
        "usable": record.usable if record else None,
        "excluded": sum(n for _, n in record.excluded) if record else None,
        "licence": licence_text(spec.licence),
        "terms": spec.licence.terms,
        "path": spec.path,
        "hub_id": spec.hub_id,
        "title": entry.title if entry else "",
    }


def licence_text(licence: Licence) -> str:
    """Return the expression that counts: the concluded one where there is one."""
    return licence.declared if licence.concluded == "NOASSERTION" else licence.concluded


def source_fields(workspace: Workspace, slug: str) -> dict[str, Any]:
    """Return what is known of one source: registered, built in, or the catalogue's.

    Raises:
        ProbeError: nobody knows it.
    """
    from probe.study.registry import find_source
    from sources.catalogue import catalogue

    with workspace.open_store() as store:
        record = store.source(slug)
        if record is None and slug in catalogue():
            return _catalogue_fields(catalogue()[slug])
        return _spec_fields(record.spec if record else find_source(store, slug), record)


def _spec_fields(spec: SourceSpec, record: SourceRecord | None) -> dict[str, Any]:
    return {
        "slug": spec.slug,
        "format": spec.format,
        "path": spec.path,
        "images": spec.image_root,
        "licence_declared": spec.licence.declared,
        "licence_concluded": spec.licence.concluded,
        "terms": spec.licence.terms,
        "hub_id": spec.hub_id,
        "revision": spec.revision,
        "options": " ".join(f"{name}={value}" for name, value in spec.options),
        "usable": record.usable if record else None,
        "excluded": " ".join(f"{problem}={n}" for problem, n in record.excluded) if record else None,
        "fingerprint": record.fingerprint if record else None,
        "added_at": record.added_at if record else None,
    }


def _catalogue_fields(entry: CatalogueEntry) -> dict[str, Any]:
    from sources.catalogue import offline_help

    about = {
        "title": entry.title,
        "rows_about": entry.rows or None,
        "image_folders": " ".join(entry.images),
        "capabilities": " ".join(entry.capabilities),
        "homepage": entry.homepage,
        "note": entry.note,
        "how": offline_help(entry.slug),
    }
    return {name: value for name, value in _spec_fields(entry.spec(), None).items() if value is not None} | about


# Checking


def checked_source(workspace: Workspace, slug: str, proxy: str) -> CheckReport:
    """Check one source, with tokens as a proxy's processor makes them."""
    from probe.study.registry import find_source
    from sources.check import check_source

    with workspace.open_store() as store:
        spec = find_source(store, slug)
    with counting(f"reading {slug}") as progress:
        return check_source(spec, _token_count(proxy), progress, workspace.indexes)


def _token_count(proxy: str) -> Callable[[Sample], int | None]:
    from proxy_training.image_text import token_counter
    from proxy_training.proxies import proxy_spec

    spec = proxy_spec(proxy)
    count = token_counter(Path(spec.path))

    def tokens(sample: Sample) -> int | None:
        found = count(sample)
        return found if found <= spec.recipe.max_length else None

    return tokens


def report_lines(report: CheckReport, proxy: str) -> Iterator[str]:
    """Yield a check's findings as text lines."""
    yield f"{report.slug}: {report.usable:,} of {report.rows:,} rows usable"
    for entry in report.excluded:
        seen = ", ".join(f"row {example.number}" + (f" ({plain(example.detail)})" if example.detail else "") for example in entry.examples)
        yield f"  excluded {entry.count:,} {entry.problem.value}: {seen}"
    if outside := report.rows - report.usable - sum(entry.count for entry in report.excluded):
        yield f"  {outside:,} more rows are held out, or of other sub-sources"
    if len(report.subsources) > 1:
        yield "sub-sources: " + ", ".join(f"{plain(name) or '(none)'} {rows:,}" for name, rows in report.subsources)
    yield f"images: {report.distinct_images:,} distinct, a row {_spread(report.images_per_row)}"
    yield f"tokens a row under {proxy}: {_spread(report.tokens_per_row)}"
    yield f"duplicates: {report.duplicate_rows:,} rows, {report.duplicate_images:,} images"
    yield f"licence: declared {report.licence.declared}, concluded {report.licence.concluded}"
    if report.licence.terms:
        yield f"terms: {report.licence.terms}"
    yield f"fingerprint: {report.fingerprint}"
    yield from (f"warning: {warning}" for warning in report.warnings)


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return "not known"
    low, middle, high = (f"{value:g}" for value in (spread.minimum, spread.median, spread.maximum))
    return f"{low} to {high}, median {middle}, mean {spread.mean:.1f} ({spread.n:,} rows)"


# Adding


def new_spec(
    slug: str,
    path: Path | None,
    images: Path | None,
    form: str,
    licence: str,
    licence_concluded: str,
    terms: str,
    hub_id: str,
    revision: str,
    options: tuple[str, ...],
) -> SourceSpec:
    """Return the spec of a source as the user gave it; what is left out comes from the catalogue where that knows the name.

    Raises:
        SourceError: nothing is at the path, or no reader understands it.
        click.UsageError: a name, licence or option cannot be read.
    """
    from sources.catalogue import catalogue
    from sources.formats.registry import detect_format, find_reader
    from sources.spec import SourceSpec

    check_name(slug)
    if path is None and form not in WITHOUT_PATH:
        raise click.UsageError("say where the data lies: --path FILE or --path FOLDER")
    known = catalogue()[slug].spec() if slug in catalogue() else SourceSpec(slug, "")
    place = absolute(path) if path else ""
    found = detect_format(place) if form == "auto" else find_reader(form).name
    licences = {"declared": checked_licence(licence), "concluded": checked_licence(licence_concluded), "terms": terms}
    return replace(
        known,
        format=found,
        subset=known.subset.strip("*"),
        path=place,
        image_root=image_folder(images),
        licence=replace(known.licence, **{name: value for name, value in licences.items() if value}),
        hub_id=hub_id or known.hub_id,
        revision=revision,
        options=tuple(sorted(_options(options).items())),
    )


def add_source(workspace: Workspace, spec: SourceSpec) -> SourcePool:
    """Read a source once and register it.

    Raises:
        SourceError: no row of it is usable.
        ProbeError: a study uses another source of that name, or it is built in.
    """
    from probe.study.registry import builtin_sources, source_record
    from sources.sampling import SourcePool

    if spec.slug in builtin_sources():
        raise ProbeError(f"{spec.slug!r} is built in: give your own source another name.")
    with workspace.open_store() as store:
        known = store.source(spec.slug)
        if known and known.spec.option("holdout"):  # a script that adds and splits may run again
            spec = spec.with_option("holdout", known.spec.option("holdout"))
        with counting(f"reading {spec.slug}") as progress:
            pool = SourcePool.open(spec, workspace.indexes, progress)
        users = studies_using(store, spec.slug)
        if known and users and known.fingerprint != pool.fingerprint:
            raise ProbeError(f"study {users[0]!r} used {spec.slug!r} with other rows: add the new data under another name.")
        store.put_source(source_record(spec, pool.fingerprint, pool.usable, _counts(pool)))
    return pool


def studies_using(store: Store, slug: str) -> list[str]:
    """Return the studies whose base or arms contain a source or a part of it."""

    def ours(used: str) -> bool:
        return used == slug or used.startswith(f"{slug}/")

    return [
        study.name
        for study in store.studies()
        if any(ours(used) for used in (*study.base.weights(), *(s for arm in store.arms(study.name) for s in arm.curriculum.sources())))
    ]


def check_name(name: str) -> None:
    """Refuse a name that could not be typed in a mixture (`a=0.5,b=0.5`) or that a study gives to its own arms.

    Raises:
        click.UsageError: it is such a name.
    """
    if not _NAME.fullmatch(name):
        raise click.UsageError(f"{name!r} is no name for it: use letters, digits, '.', '_', '-' and '/', for example my-data")
    if _RESERVED.fullmatch(name):
        raise click.UsageError(f"{name!r} is a name that studies use themselves: take another, for example my-{name.replace('/', '-')}")


def checked_licence(expression: str) -> str:
    """Return an SPDX expression in its normal spelling, or nothing for nothing.

    Raises:
        click.UsageError: it is none; the message holds a valid one.
    """
    from probe.manifest.licences import LicenceError, normalise_licence

    try:
        return normalise_licence(expression) if expression.strip() else ""
    except LicenceError as error:
        raise click.UsageError(f"{error} (a valid example: CC-BY-4.0)") from None


def absolute(path: Path) -> str:
    """Return the absolute path of what the user typed."""
    return os.path.abspath(path.expanduser())


def image_folder(images: Path | None) -> str:
    """Return the absolute path of an image folder, or nothing for none.

    Raises:
        ProbeError: it is not there.
    """
    if images is not None and not Path(absolute(images)).is_dir():
        raise ProbeError(f"there is no folder {images}: give the folder that the image paths start from with --images.")
    return absolute(images) if images else ""


def _options(given: tuple[str, ...]) -> Mapping[str, str]:
    pairs = [option.partition("=") for option in given]
    for name, equals, value in pairs:
        if not (name and equals):
            raise click.UsageError(f"--option {name or value!r} is not of the form name=value, such as skill=colour")
    return {name: value for name, _, value in pairs}


def _counts(pool: SourcePool) -> dict[str, int]:
    return {problem.value: n for problem, n in pool.excluded.items()}


def _added_lines(pool: SourcePool) -> Iterator[str]:
    slug = pool.spec.slug
    yield f"{slug}: {pool.spec.format}, {pool.usable:,} of {pool.index.total:,} rows usable"
    for problem, n in pool.excluded.most_common():
        yield f"  excluded {n:,} {problem.value}: row {', '.join(map(str, pool.examples.get(problem, [])))}"
    if len(pool.subsources) > 1:
        yield "sub-sources: " + ", ".join(f"{slug}/{plain(name)} {rows:,}" for name, rows in sorted(pool.subsources.items()))
    if pool.spec.option("holdout"):
        yield f"it stays split (holdout={pool.spec.option('holdout')})"
    if licence_text(pool.spec.licence) == "NOASSERTION":
        yield "licence: not stated; say what it is with --licence"
    yield f"Next: probe sources check {slug}, then probe sources split {slug} --holdout 0.1 or probe run --source {slug}"


# Splitting


def split_source(workspace: Workspace, slug: str, fraction: float, seed: int, name: str, capability: str) -> Holdout | None:
    """Hold images out, register them as benchmarks, and leave the rest as the source. None where that was done and is in use.

    Raises:
        ProbeError: it is split otherwise, is part of another source, or a study has trained on it.
    """
    from probe.study.registry import find_source, register_benchmark, source_record
    from sources.sampling import SourcePool
    from sources.split import split_holdout

    with workspace.open_store() as store:
        spec = find_source(store, slug)
        done = _check_splittable(store, spec, f"{fraction!r}:{seed}")
        if done:
            return None
        whole = replace(spec, options=tuple(option for option in spec.options if option[0] != "holdout"))
        folder = Path(absolute(workspace.root)) / "benchmarks"
        with counting(f"splitting {slug}") as progress:
            made = split_holdout(whole, folder, fraction=fraction, seed=seed, cache_dir=workspace.indexes, progress=progress)
        named = tuple(replace(b, name=_benchmark_name(b.name, slug, name), capability=capability) for b in made.benchmarks)
        for benchmark in named:
            register_benchmark(store, benchmark)
        pool = SourcePool.open(made.training, workspace.indexes)
        store.put_source(source_record(made.training, pool.fingerprint, pool.usable, _counts(pool)))
        for record in store.sources():  # parts are found anew, as parts of the split source
            if record.spec.slug.startswith(f"{slug}/") and record.spec.option("subsource"):
                store.remove_source(record.spec.slug)
    return replace(made, benchmarks=named)


def _check_splittable(store: Store, spec: SourceSpec, wanted: str) -> bool:
    """Say whether the split was done and a study relies on it."""
    slug, done = spec.slug, spec.option("holdout")
    parent = next((slug[:i] for i, char in enumerate(slug) if char == "/" and store.source(slug[:i])), None)
    if spec.option("subsource") and parent:
        raise ProbeError(f"{slug} is a part of {parent}, which would still hold its images: split {parent}.")
    if done and done != wanted:
        raise ProbeError(f"{slug} is already split (holdout={done}): remove it and add it again to split it otherwise.")
    users = studies_using(store, slug)
    if users and not done:
        raise ProbeError(f"study {users[0]!r} has used the whole of {slug}: add the data again under another name and split that.")
    return bool(users)


def _benchmark_name(made: str, slug: str, wanted: str) -> str:
    if wanted:
        check_name(wanted)
    return f"{wanted}{made.removeprefix(f'{slug}-holdout')}" if wanted else made
