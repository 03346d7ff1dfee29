"""What `probe sources` prints of sources: listings, cards, and the findings of a check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.cli.output import counting, plain, say
from probe.workspace import Workspace
from sources.counted import counted

if TYPE_CHECKING:
    from db.store import Store
    from db.values import SourceRecord
    from sources.catalogue import CatalogueEntry
    from sources.check import CheckReport, Spread
    from sources.sample import Sample
    from sources.sampling import SourcePool
    from sources.spec import Licence, SourceSpec

MOST_SUBSOURCES = 40  # that are listed; `--json` has all


MOST_READ_AGAIN, ROWS_SAMPLED = 100_000, 20_000


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


def helps(row: Mapping[str, Any], capability: str) -> bool:
    """Say whether a listed source has a tag, or one that belongs to a capability of benchmarks.

    Raises:
        UsageError: nothing is tagged so.
    """
    from probe.errors import UsageError
    from sources.catalogue import CAPABILITIES

    if capability not in (*CAPABILITIES, *CAPABILITIES.values()):
        raise UsageError(f"no source is tagged {capability!r}: say one of {', '.join(CAPABILITIES)}.")
    return any(capability in (tag, CAPABILITIES[tag]) for tag in row["capabilities"].split())


def usable_commercially(row: Mapping[str, Any]) -> bool:
    """Say whether a listed source's licence is known, an SPDX one, and neither non-commercial nor joined by terms of its own."""
    from probe.manifest.licences import flag_member
    from sources.spec import Licence

    return not flag_member(row["slug"], Licence(row["licence"]))


def _registered(workspace: Workspace) -> tuple[SourceRecord, ...]:
    if not workspace.exists():
        return ()
    with workspace.open_store() as store:
        return store.sources()


def _row(kind: str, spec: SourceSpec, record: SourceRecord | None, entry: CatalogueEntry | None = None) -> dict[str, Any]:
    from sources.catalogue import entry_of

    entry = entry or entry_of(spec)
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
        "subset": spec.subset,
        "title": entry.title if entry else "",
        "rows_about": entry.rows or None if entry else None,
        "capabilities": " ".join(entry.capabilities) if entry else "",
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

    with workspace.look() as store:
        record = store.source(slug)
        if record is None and slug in catalogue():
            return _catalogue_fields(catalogue()[slug])
        spec = record.spec if record else find_source(store, slug)
        return _spec_fields(spec, record) | _known_fields(spec)


def _known_fields(spec: SourceSpec) -> dict[str, Any]:
    """Return what the catalogue knows besides of a source: overlaps, and the bases that it is not new to."""
    from probe.study.novelty import bases_that_saw
    from sources.catalogue import entry_of
    from sources.overlaps import overlaps_of

    entry = entry_of(spec)
    overlaps = overlaps_of(entry.slug) if entry else ()
    return {
        "catalogue": entry.slug if entry else "",
        "overlaps": "; ".join(f"{overlap.seen_from(entry.slug)} ({overlap.words})" for overlap in overlaps if entry),
        "not_new_to": ", ".join(bases_that_saw(spec)),
    }


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
        "subset": spec.subset,
        "revision": spec.revision,
        **_stream_fields(spec),
        "options": " ".join(f"{name}={value}" for name, value in spec.options),
        "usable": record.usable if record else None,
        "excluded": " ".join(f"{problem}={n}" for problem, n in record.excluded) if record else None,
        "fingerprint": record.fingerprint if record else None,
        "added_at": record.added_at if record else None,
    }


def _stream_fields(spec: SourceSpec) -> dict[str, Any]:
    stream = spec.stream
    if stream is None:
        return {}
    return {"url": stream.url, "split": stream.split, "pool_rows": stream.rows or "all", "pool_seed": stream.seed}


def _catalogue_fields(entry: CatalogueEntry) -> dict[str, Any]:
    from sources.catalogue import offline_help

    about = {
        "title": entry.title,
        "rows_about": entry.rows or None,
        "counts": entry.counts,
        "image_folders": " ".join(entry.images),
        "capabilities": " ".join(entry.capabilities),
        "homepage": entry.homepage,
        "note": entry.note,
        "facts": "; ".join(f"{fact.about}: {fact.link}{'' if fact.read else ' (not read)'}" for fact in entry.facts),
        "how": offline_help(entry.slug),
    }
    return (
        {name: value for name, value in _spec_fields(entry.spec(), None).items() if value is not None} | about | _known_fields(entry.spec())
    )


def checked_source(
    workspace: Workspace, slug: str, proxy: str, *, jobs: int = 1, full: bool = False, fix_list: Path | None = None
) -> CheckReport:
    """Check one source, with tokens as a proxy's processor makes them, and bring what is registered of it up to date.

    With `full` all images are decoded; `fix_list` gets every excluded row.
    """
    from probe.study.registering import refresh_source
    from probe.study.registry import find_source
    from probe.study.streaming import bring_here
    from sources.audit import audit_images, write_fix_list
    from sources.check import check_pool
    from sources.sampling import SourcePool

    bring_here(workspace, [slug], lambda line: say(line, err=True), counting)
    with workspace.look() as store:
        spec = find_source(store, slug)
        with counting(f"reading {slug}") as progress:
            pool = SourcePool.open(spec, workspace.indexes, progress, jobs)
            audit = audit_images(pool.rows, pool.index, jobs, progress) if full else None
        if fix_list:
            write_fix_list(pool, fix_list, audit)
        report = check_pool(pool, _token_count(proxy), audit=audit)
        stale = refresh_source(store, pool)
        held = list(_held_items(workspace, store, pool))
    return replace(report, warnings=(*report.warnings, *held, *_not_exported(pool), *_misnamed(pool), *([stale] if stale else [])))


def _held_items(workspace: Workspace, store: Store, pool: SourcePool) -> Iterator[str]:
    """Yield which registered benchmarks' items stand in a source: a new study that is scored there leaves those rows out."""
    from probe.study.decontamination import cleaner_of, readable
    from probe.study.items import BenchmarkReader

    reader = BenchmarkReader()
    names, unread = readable(store.benchmarks(), reader)
    yield from unread
    with counting("comparing with benchmarks") as progress:
        findings = cleaner_of(store, names, workspace.indexes, reader).findings(pool, progress)
    for found in findings:
        if found.numbers:
            seen = ", ".join(f"row {number} (item {plain(item)})" for number, item in found.examples)
            rows = counted(len(found.numbers), "row holds", "rows hold")
            yield f"{rows} items of benchmark {found.benchmark}, left out where it is scored: {seen}"


def _not_exported(pool: SourcePool) -> Iterator[str]:
    """Yield why rows that probes train on would be left out by exports; of very many rows a random sample is looked at."""
    from probe.export.conversation import inexpressible

    if pool.usable > MOST_READ_AGAIN:
        reasons = Counter(inexpressible(row.sample) for row in pool.sampled(ROWS_SAMPLED, 0))
        among = f" of {sum(reasons.values()):,} drawn"
    else:
        reasons, among = Counter(inexpressible(sample) for _, sample in pool.numbered_samples()), ""
    for reason, rows in reasons.most_common():
        if reason:
            which = f"{rows:,}{among} rows are" if among else counted(rows, "row is", "rows are")
            yield f"{which} trained on by probes and left out by exports, because trainers would misread it: {reason}"


def _looked_elsewhere(pool: SourcePool) -> Iterator[str]:
    """Yield where images were looked for, where most rows' are not there."""
    from sources.formats.files import image_root
    from sources.problems import Problem

    if pool.spec.path and 2 * pool.excluded[Problem.MISSING_IMAGE] > pool.total:
        where = image_root(pool.spec)
        yield f"  most rows' images are missing: they were looked for in {where}; give their folder with --images and --replace"


def _misnamed(pool: SourcePool) -> Iterator[str]:
    """Yield what to do where images that are missing lie there under another extension, as OCR-VQA's do (`.gif` for `.jpg`)."""
    from sources.images import other_extensions
    from sources.problems import Problem, SourceError

    found = []
    for number in pool.examples.get(Problem.MISSING_IMAGE, []):
        try:
            images = pool.sample(number).images
        except SourceError:  # a row that is none without its image, as in a tar
            continue
        found += [(ref.path, there) for ref in images if (there := other_extensions(ref))]
    if found:
        path, there = found[0]
        yield (
            f"{plain(path or '')} is missing, and {plain(', '.join(there))} is there: name the files as the rows name them "
            "(an image's format is found in its bytes, whatever its name says)"
        )


def _token_count(proxy: str) -> Callable[[Sample], int | None]:
    from proxy_training.image_text import token_counter
    from proxy_training.proxies import proxy_spec

    spec = proxy_spec(proxy)
    count = token_counter(Path(spec.path), spec.image_limit)

    def tokens(sample: Sample) -> int | None:
        found = count(sample)
        return found if found <= spec.recipe.max_length else None

    return tokens


def report_lines(report: CheckReport, proxy: str) -> Iterator[str]:
    """Yield a check's findings as text lines."""
    from sources.check import percent

    yield f"{report.slug}: {report.usable:,} of {counted(report.rows, 'row')} usable"
    for entry in report.excluded:
        seen = ", ".join(f"row {example.number}" + (f" ({plain(example.detail)})" if example.detail else "") for example in entry.examples)
        yield f"  excluded {entry.count:,} {entry.problem.value}: {seen}"
    if outside := report.rows - report.usable - sum(entry.count for entry in report.excluded):
        yield f"  {counted(outside, 'more row is', 'more rows are')} held out, or of another difficulty"
    yield from subsource_lines(report.slug, dict(report.subsources))
    yield f"images: {report.distinct_images:,} distinct, a row {_spread(report.images_per_row)}"
    if report.undecoded_images and report.bad_share_at_most is not None:
        of, bound = report.decoded_images + report.undecoded_images, percent(report.bad_share_at_most)
        yield f"  of {of:,} images {report.decoded_images:,} were decoded; at most {bound} of the others are bad (95 %); --full decodes all"
    yield f"tokens a row under {proxy}: {_spread(report.tokens_per_row)}"
    yield f"duplicates: {counted(report.duplicate_rows, 'row')}, {counted(report.duplicate_images, 'image')}"
    yield f"licence: declared {report.licence.declared}, concluded {report.licence.concluded}"
    if report.licence.terms:
        yield f"terms: {report.licence.terms}"
    yield f"fingerprint: {report.fingerprint}"
    yield from (f"warning: {warning}" for warning in report.warnings)


def part_slugs(report: CheckReport) -> dict[str, int]:
    """Return the rows of each sub-source by the name that `probe run --source` takes; empty where there is only one."""
    from sources.subsources import subsource_slug

    return {f"{report.slug}/{subsource_slug(name)}": rows for name, rows in report.subsources} if len(report.subsources) > 1 else {}


def subsource_lines(slug: str, subsources: Mapping[str, int]) -> Iterator[str]:
    """Yield a source's parts, largest first, each with the name it is probed by, and how to probe one."""
    from sources.subsources import subsource_slug

    if len(subsources) < 2:
        return
    yield f"sub-sources: {len(subsources):,}"
    ranked = sorted(subsources.items(), key=lambda part: (-part[1], part[0]))
    for name, rows in ranked[:MOST_SUBSOURCES]:
        own = subsource_slug(name)
        yield f"  {slug}/{own}: {counted(rows, 'row')}" + (f" ({plain(name)})" if name not in ("", own) else "")
    if len(ranked) > MOST_SUBSOURCES:
        yield f"  and {len(ranked) - MOST_SUBSOURCES:,} more with {sum(rows for _, rows in ranked[MOST_SUBSOURCES:]):,} rows"
    yield f"each can be probed on its own: probe run --source {slug}/{subsource_slug(ranked[0][0])}"


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return "not known"
    low, middle, high = (f"{value:g}" for value in (spread.minimum, spread.median, spread.maximum))
    return f"{low} to {high}, median {middle}, mean {spread.mean:.1f} ({counted(spread.n, 'row')})"


def added_lines(pool: SourcePool) -> Iterator[str]:
    """Yield what was found in a source that was added, and what to do next."""
    slug = pool.spec.slug
    yield f"{slug}: {pool.spec.format}, {pool.usable:,} of {counted(pool.total, 'row')} usable"
    for problem, n in pool.excluded.most_common():
        seen = pool.seen.get(problem, [])
        why = f" ({plain(seen[0][1])})" if seen and seen[0][1] else ""
        yield f"  excluded {n:,} {problem.value}: row {', '.join(str(number) for number, _ in seen)}{why}"
    yield from _looked_elsewhere(pool)
    yield from subsource_lines(slug, pool.subsources)
    if pool.spec.option("holdout"):
        yield f"it stays split (holdout={pool.spec.option('holdout')})"
    if licence_text(pool.spec.licence) == "NOASSERTION":
        yield "licence: not stated; say what it is with --licence"
    yield f"Next: probe sources check {slug}, then probe sources split {slug} --holdout 0.1 or probe run --source {slug}"
