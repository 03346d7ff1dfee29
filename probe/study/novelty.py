"""Which sources are not new to a proxy: its base was trained on them, or on others that share their rows or images."""

from __future__ import annotations

import enum
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sources.bases import Base, Disclosure, bases, find_base
from sources.catalogue import entry_of, resolve_source
from sources.overlaps import OverlapKind, overlaps_of, with_parts
from sources.problems import SourceError
from sources.spec import SourceSpec

if TYPE_CHECKING:
    from db.store import Store
    from proxy_training.jobs import ProxySpec


class Share(enum.StrEnum):
    """How much of a source a base has seen."""

    ALL = "all"
    PARTS = "parts"
    IMAGES = "images"
    MADE_ALIKE = "made alike"  # other rows of the same generator


@dataclass(frozen=True, slots=True)
class Seen:
    """What a base has seen of a source, and in which of the sources that it was trained on."""

    share: Share
    within: tuple[str, ...]


def base_of(proxy: ProxySpec) -> Base | None:
    """Return the base that a proxy is, by its hub id, preset, folder, or what its config says it came from."""
    return find_base(_names(proxy), proxy.family)


def _names(proxy: ProxySpec) -> list[str]:
    folder = Path(proxy.path)
    cached = [part.removeprefix("models--").replace("--", "/", 1) for part in folder.parts if part.startswith("models--")]
    came_from = _config(folder).get("_name_or_path")
    origin = came_from if isinstance(came_from, str) else ""
    return [proxy.name, *cached, origin, Path(origin).name, folder.name]


def _config(folder: Path) -> dict[str, object]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def trained_on(proxy: ProxySpec) -> str:
    """Say in words what a proxy's base was trained on."""
    base = base_of(proxy)
    if base is None:
        return "not known"
    said = "; ".join(filter(None, (", ".join(base.trained_on), base.beside)))
    return {Disclosure.ALL: said, Disclosure.PART: f"in part published: {said}", Disclosure.NONE: "not published"}[base.disclosed]


def seen_by(base: Base, spec: SourceSpec) -> Seen | None:
    """Return what a base is known to have seen of a source; None: nothing that is known."""
    if spec.format in base.made_as:
        return Seen(Share.MADE_ALIKE, ())
    entry = entry_of(spec)
    if entry is None:
        return None
    known = with_parts(base.trained_on)
    if entry.slug in known:
        return Seen(Share.ALL, (known[entry.slug],))
    shared: dict[OverlapKind, dict[str, None]] = defaultdict(dict)
    for part in with_parts([entry.slug]):
        for overlap in overlaps_of(part):
            if overlap.other(part) in known:
                shared[overlap.kind][known[overlap.other(part)]] = None
    if rows := shared[OverlapKind.CONTAINS] | shared[OverlapKind.ROWS]:
        return Seen(Share.PARTS, tuple(rows))
    return Seen(Share.IMAGES, tuple(shared[OverlapKind.IMAGES])) if shared[OverlapKind.IMAGES] else None


def bases_that_saw(spec: SourceSpec) -> list[str]:
    """Return the names of the bases that have seen a source, with how much of it where that is not all."""
    found = ((base, seen_by(base, spec)) for base in bases())
    return [base.name if seen.share is Share.ALL else f"{base.name} ({seen.share.value})" for base, seen in found if seen]


def not_new(proxy: ProxySpec, specs: Iterable[SourceSpec]) -> dict[str, str]:
    """Return the sources that are not new to a proxy, each with a sentence that says why."""
    base = base_of(proxy)
    found = {spec.slug: seen for spec in specs if base and (seen := seen_by(base, spec))}
    return {slug: _sentence(proxy, base, [slug], seen) for slug, seen in found.items() if base}


def novelty_notes(proxy: ProxySpec, specs: Iterable[SourceSpec]) -> tuple[str, ...]:
    """Return what a reader must know of a proxy's past: sources that are not new to it, and what nobody knows, said once."""
    base = base_of(proxy)
    if base is None:
        return (f"it is not known what {proxy.name} was trained on, so sources may not be new to it (docs/catalogue.md says how to tell)",)
    alike: dict[Seen, list[str]] = defaultdict(list)
    for spec in specs:
        if seen := seen_by(base, spec):
            alike[seen].append(spec.slug)
    return (*(_sentence(proxy, base, slugs, seen) for seen, slugs in alike.items()), *_undisclosed(proxy, base))


def study_specs(store: Store, slugs: Iterable[str]) -> list[SourceSpec]:
    """Return the sources of these names; one whose data is not here any more by its name alone."""
    registered = {record.spec.slug: record.spec for record in store.sources()}
    return [_spec(slug, registered) for slug in dict.fromkeys(slugs)]


def _spec(slug: str, registered: dict[str, SourceSpec]) -> SourceSpec:
    try:
        return resolve_source(slug, registered)
    except SourceError:
        return SourceSpec(slug, "")


def _sentence(proxy: ProxySpec, base: Base, slugs: Sequence[str], seen: Seen) -> str:
    which, within = ", ".join(slugs), " and ".join(seen.within)
    trained = f"{_called(proxy, base)} was trained on"
    says = f" ({base.link})" if base.link else ""
    if seen.share is Share.MADE_ALIKE:
        return f"not new to {proxy.name}: {which}; {trained} rows that were made alike ({base.beside})"
    if seen.share is Share.ALL:
        return f"not new to {proxy.name}: {which}; {trained} {within}{says}"
    if seen.share is Share.PARTS:
        return f"not new to {proxy.name} in part: {which}; {trained} {within}, which shares rows with it{says}"
    return f"not new to {proxy.name} by its images: {which}; {trained} {within}, which has other texts on the same images{says}"


def _called(proxy: ProxySpec, base: Base) -> str:
    """Return a base's name, with a word of doubt where only the model type says that it is one."""
    return base.name if find_base(_names(proxy)) else f"{base.name}, its base by its model type,"


def _undisclosed(proxy: ProxySpec, base: Base) -> Iterator[str]:
    name = _called(proxy, base)
    if base.disclosed is Disclosure.NONE:
        yield f"it is not published what {name} was trained on, so nobody can say which sources are new to it ({base.link})"
    if base.disclosed is Disclosure.PART:
        beside = f" (also: {base.beside})" if base.beside else ""
        yield f"what {name} was trained on is published in part{beside}, so other sources may not be new to it either ({base.link})"
