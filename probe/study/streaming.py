"""Sources that are drawn from the hub or a URL: what the user asks for, and bringing their rows to this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from probe.errors import UsageError
from probe.workspace import Workspace

if TYPE_CHECKING:
    from db.store import Store
    from sources.spec import SourceSpec, Stream

Say = Callable[[str], None]
Counting = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]


def stream_of(
    known: SourceSpec,
    path: str | None,
    images: str | None,
    hub: str | None = None,
    subset: str | None = None,
    split: str = "train",
    file: str = "",
    pool_rows: int | None = None,
    pool_seed: int = 0,
) -> Stream | None:
    """Return how a source is to be streamed, or None for one that lies on this machine.

    Raises:
        UsageError: two places are given, or what belongs to a streamed source for one that is none.
    """
    from sources.catalogue import catalogue, offline_help
    from sources.problems import SourceError
    from sources.remote.listing import is_url, local_path
    from sources.remote.pool import DEFAULT_ROWS
    from sources.spec import Stream

    if hub and path:
        raise UsageError("give either --hub or --path")
    path, pictures = path and local_path(path), local_path(images or "")
    url = path if path and is_url(path) else ""
    if path and not url and is_url(pictures):
        url = f"file://{os.path.abspath(os.path.expanduser(path))}"
    if hub and (os.path.isdir(os.path.expanduser(hub)) or hub.startswith(("/", ".", "~"))):
        url = os.path.abspath(os.path.expanduser(hub))
    if not (url or hub or (known.hub_id and not path)):
        if subset or file or pool_rows is not None:
            raise UsageError("--subset, --file and --pool-rows belong to --hub or to a URL")
        return None
    rows = DEFAULT_ROWS if pool_rows is None else pool_rows
    entry = None if url or hub else catalogue().get(known.slug)
    if entry and not entry.format:
        raise SourceError(offline_help(entry.slug))
    if entry and entry.images and not images:
        raise SourceError(f"{offline_help(entry.slug)} Where the hub can be reached, --path and --format may be left out.")
    file = file or (entry.file if entry else "")
    return Stream(url, file, split, rows, pool_seed, pictures if is_url(pictures) else "")


def fetched(workspace: Workspace, spec: SourceSpec, say: Say, counting: Counting) -> SourceSpec:
    """Bring a streamed source's rows here, or go on with that; a source that lies here is returned as it is.

    Raises:
        SourceError: they cannot be had; the message holds the cure.
    """
    from sources.remote.pool import fetch_source

    with counting(f"fetching {spec.slug}") as progress:
        return fetch_source(spec, workspace.pools, say, progress)


def bring_here(workspace: Workspace, slugs: Iterable[str], say: Say, counting: Counting) -> None:
    """Fetch what is not here of registered streamed sources, and register sources of the catalogue that can be streamed.

    Raises:
        SourceError: a source cannot be fetched; the message says how to make it work from local files.
    """
    from probe.study.registering import add_source

    for slug in slugs:
        with workspace.look() as store:
            spec = _registered(store, slug)
        if spec is not None:
            fetched(workspace, spec, say, counting)
            continue
        wanted = catalogue_source(slug)
        if wanted is not None:
            spec = fetched(workspace, wanted, say, counting)
            with counting(f"reading {spec.slug}") as progress:
                add_source(workspace, spec, progress)
            say(f"{spec.slug} is registered now: {spec.hub_id} {spec.subset}, revision {spec.revision[:12]}.")


def catalogue_source(slug: str) -> SourceSpec | None:
    """Return a source of the catalogue as one to be streamed, or None where the catalogue does not know the name.

    Raises:
        SourceError: its images are not on the hub, it has no such subset, or the hub cannot be reached.
    """
    from sources.catalogue import catalogue_entry, offline_help
    from sources.remote.hub import named_subset
    from sources.remote.hub_errors import UnreachableError
    from sources.remote.pool import DEFAULT_ROWS
    from sources.spec import Stream
    from sources.subsources import subsource_slug

    entry, part = catalogue_entry(slug)
    if entry is None:
        return None
    if entry.images or not entry.hub_id or not entry.format:
        return None  # `find_source` says how to add it with its images, or that no reader knows its records
    spec = replace(entry.spec(), format="", stream=Stream(file=entry.file, rows=DEFAULT_ROWS))
    if entry.subset != "*":
        return spec
    try:
        subset = named_subset(replace(spec, subset=""), part)
    except UnreachableError as error:
        raise UnreachableError(f"{offline_help(entry.slug, part)} {error}") from error
    return replace(spec, slug=f"{entry.slug}/{subsource_slug(subset)}", subset=subset)


def _registered(store: Store, slug: str) -> SourceSpec | None:
    """Return the registered source that a name means, itself or the one that it is a part of."""
    known = {record.spec.slug: record.spec for record in store.sources()}
    names = [slug, *(slug[:cut] for cut in range(len(slug) - 1, 0, -1) if slug[cut] == "/")]
    return next((known[name] for name in names if name in known), None)
