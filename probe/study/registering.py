"""Putting sources into the store: their names and licences checked, their rows read once, and images held out."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.errors import ProbeError, UsageError
from probe.workspace import Workspace

if TYPE_CHECKING:
    from db.store import Store
    from sources.sampling import SourcePool
    from sources.spec import SourceSpec
    from sources.split import Holdout

Progress = Callable[[int, int], None]
WITHOUT_PATH = ("world", "easy-vqa")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9._-]+)*")
_RESERVED = re.compile(r"(base|untrained)|swarm-.*|confirm/.*")  # names of a study's other arms


def new_spec(
    slug: str,
    path: str | None,
    images: str | None,
    form: str,
    licence: str,
    licence_concluded: str,
    terms: str,
    hub_id: str,
    revision: str,
    options: tuple[str, ...],
    **streamed: Any,
) -> SourceSpec:
    """Return the spec of a source as the user gave it; what is left out comes from the catalogue where that knows the name.

    `streamed` is what `probe.study.streaming.stream_of` takes. The spec of a streamed source has no path before it is fetched.

    Raises:
        SourceError: nothing is at the path, or no reader understands it.
        UsageError: a name, licence or option cannot be read, or the name is one of what is built in.
    """
    from probe.study.streaming import stream_of
    from sources.formats.registry import detect_format, find_reader, nothing_at
    from sources.problems import SourceError
    from sources.published import published_spec

    check_name(slug)
    refuse_builtin_family(slug)
    known = _known(slug, hub_id)
    stream = stream_of(known, path, images, **streamed) if form not in WITHOUT_PATH else None
    if path is None and stream is None and form not in WITHOUT_PATH:
        raise UsageError("say where the data lies: --path FILE, --path FOLDER, --path URL or --hub ORG/NAME")
    if path and not stream:
        published = published_spec(slug, absolute(path))
        known = replace(published, hub_id=hub_id or published.hub_id)
    if known.path and not stream and not Path(known.path).exists():
        raise SourceError(nothing_at(known.path))
    found = detect_format(known.path) if form == "auto" and not stream else "" if form == "auto" else find_reader(form).name
    if found:
        _refuse_unknown_options(found, options)
    licences = {"declared": checked_licence(licence), "concluded": checked_licence(licence_concluded), "terms": terms}
    return replace(
        known,
        format=found,
        subset=streamed.get("subset") or known.subset.strip("*"),
        image_root=image_folder(images) if not (stream and stream.images) else "",
        licence=replace(known.licence, **{name: value for name, value in licences.items() if value}),
        hub_id="" if stream and stream.url and not hub_id else streamed.get("hub") or known.hub_id if stream else known.hub_id,
        revision=revision,
        options=tuple(sorted(_options(options).items())),
        stream=stream,
    )


def _known(slug: str, hub_id: str) -> SourceSpec:
    """Return what the catalogue knows of a name, and where it comes from as the user says."""
    from sources.catalogue import catalogue
    from sources.spec import SourceSpec

    known = catalogue()[slug].spec() if slug in catalogue() else SourceSpec(slug, "")
    return replace(known, hub_id=hub_id or known.hub_id)


def add_source(
    workspace: Workspace, spec: SourceSpec, progress: Progress | None = None, replace_known: bool = False, jobs: int = 1
) -> SourcePool:
    """Read a source once and register it.

    Raises:
        SourceError: no row of it is usable.
        ProbeError: a study uses another source of that name, or one is registered and it was not said to replace it.
    """
    from probe.study.registry import source_record
    from sources.sampling import SourcePool

    with workspace.open_store() as store:
        known = store.source(spec.slug)
        if known and known.spec.option("holdout"):  # a script that adds and splits may run again
            spec = spec.with_option("holdout", known.spec.option("holdout"))
        pool = SourcePool.open(spec, workspace.indexes, progress, jobs)
        users = store.studies_using(spec.slug)
        if known and users and known.fingerprint != pool.fingerprint:
            raise ProbeError(f"study {users[0]!r} used {spec.slug!r} with other rows: add the new data under another name.")
        if known and not replace_known and known.fingerprint != pool.fingerprint:
            raise ProbeError(
                f"{spec.slug!r} is registered already, with other data ({known.spec.path or known.spec.format}): "
                "give the new data another name, or say --replace."
            )
        store.put_source(source_record(spec, pool))
    return pool


def refresh_source(store: Store, pool: SourcePool) -> str:
    """Bring a registered source's counts up to date with what its data holds now; return what kept them from being, else nothing."""
    from probe.study.registry import source_record

    known, now = store.source(pool.spec.slug), source_record(pool.spec, pool)
    if known is None or replace(known, added_at="") == now:
        return ""
    users = store.studies_using(pool.spec.slug)
    if users and (known.fingerprint, known.content) != (now.fingerprint, now.content):
        return f"the data is not what study {users[0]!r} used, so what is registered of it stays: put it back, or add it under another name"
    store.put_source(now)
    return ""


def refuse_builtin_family(name: str) -> None:
    """Refuse a name that would hide what is built in, or be hidden by it.

    Raises:
        UsageError: it begins as the built-in sources do.
    """
    family = name.partition("/")[0]
    if family in WITHOUT_PATH:
        raise UsageError(f"{name!r}: names that begin with {family} are built in; take another, for example my-{name.replace('/', '-')}")


def check_name(name: str) -> None:
    """Refuse a name that could not be typed in a mixture (`a=0.5,b=0.5`) or that a study gives to its own arms.

    Raises:
        UsageError: it is such a name.
    """
    if not _NAME.fullmatch(name):
        from sources.subsources import subsource_slug

        close = "/".join(subsource_slug(part) for part in name.split("/") if part) or "my-data"
        raise UsageError(f"{name!r} is no name for it: use letters, digits, '.', '_', '-' and '/', for example {close}")
    if _RESERVED.fullmatch(name):
        raise UsageError(f"{name!r} is a name that studies use themselves: take another, for example my-{name.replace('/', '-')}")


def checked_licence(expression: str) -> str:
    """Return an SPDX expression in its normal spelling, or nothing for nothing.

    Raises:
        UsageError: it is none; the message holds a valid one.
    """
    from probe.manifest.licences import LicenceError, normalise_licence

    try:
        return normalise_licence(expression) if expression.strip() else ""
    except LicenceError as error:
        raise UsageError(f"{error} (a valid example: CC-BY-4.0)") from None


def absolute(path: Path | str) -> str:
    """Return the absolute path of what the user typed, a `file://` URL included."""
    from sources.remote.listing import local_path

    return os.path.abspath(os.path.expanduser(local_path(os.fspath(path))))


def image_folder(images: Path | str | None) -> str:
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
            raise UsageError(f"--option {name or value!r} is not of the form name=value, such as skill=colour")
    return {name: value for name, _, value in pairs}


def _refuse_unknown_options(form: str, given: tuple[str, ...]) -> None:
    """Refuse options that a format would not look at: a filter with a wrong name would filter nothing."""
    from sources.formats.registry import find_reader
    from sources.spec import VIEW_OPTIONS

    known: tuple[str, ...] | None = getattr(find_reader(form), "options", None)
    if known is None:
        return
    if unknown := sorted(set(_options(given)) - {*known, *VIEW_OPTIONS}):
        raise UsageError(f"--option {unknown[0]}: {form} takes {', '.join(known) or 'no option'}")


def split_source(
    workspace: Workspace, slug: str, fraction: float, seed: int, name: str, capability: str, progress: Progress | None = None
) -> Holdout | None:
    """Hold images out, register them as benchmarks, and leave the rest as the source. None where that was done and is in use.

    Raises:
        ProbeError: it is split otherwise, is part of another source, or a study has trained on it.
    """
    from probe.study.registry import benchmark_record, find_source, source_record
    from sources.sampling import SourcePool
    from sources.split import split_holdout

    with workspace.open_store() as store:
        spec = find_source(store, slug)
        done = _check_splittable(store, spec, f"{fraction!r}:{seed}")
        if done:
            return None
        whole = replace(spec, options=tuple(option for option in spec.options if option[0] != "holdout"))
        folder = Path(absolute(workspace.root)) / "benchmarks"
        made = split_holdout(whole, folder, fraction=fraction, seed=seed, cache_dir=workspace.indexes, progress=progress)
        named = tuple(replace(b, name=_benchmark_name(b.name, slug, name), capability=capability) for b in made.benchmarks)
        for made_of in [benchmark_record(benchmark) for benchmark in named]:  # all are read before any is kept
            store.put_benchmark(made_of)
        pool = SourcePool.open(made.training, workspace.indexes)
        store.put_source(source_record(made.training, pool))
        for record in store.sources():  # parts are found anew, as parts of the split source
            if record.spec.slug.startswith(f"{slug}/") and (record.spec.option("subsource") or record.spec.option("difficulty")):
                store.remove_source(record.spec.slug)
    return replace(made, benchmarks=named)


def _check_splittable(store: Store, spec: SourceSpec, wanted: str) -> bool:
    """Say whether the split was done and a study relies on it."""
    slug, done = spec.slug, spec.option("holdout")
    parent = next((slug[:i] for i, char in enumerate(slug) if char == "/" and store.source(slug[:i])), None)
    if (spec.option("subsource") or spec.option("difficulty")) and parent:
        raise ProbeError(f"{slug} is a part of {parent}, which would still hold its images: split {parent}.")
    if done and done != wanted:
        raise ProbeError(f"{slug} is already split (holdout={done}): remove it and add it again to split it otherwise.")
    users = store.studies_using(slug)
    if users and not done:
        raise ProbeError(
            f"study {users[0]!r} has used the whole of {slug}: add the data again under another name, split that, "
            "and use it in another --study."
        )
    return bool(users)


def _benchmark_name(made: str, slug: str, wanted: str) -> str:
    if wanted:
        check_name(wanted)
    return f"{wanted}{made.removeprefix(f'{slug}-holdout')}" if wanted else made
