"""What the licences of a mixture ask together: who may use it, whose provider's terms to read, which members do not go together.

Of `A OR B` the freer one counts. Which share-alike licences go together is in `probe.manifest.share_alike`. Nothing here is legal
advice: it says what to look at, and what matters where the mixture itself is passed on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from probe.manifest.document import Manifest
from probe.manifest.licence_rule import holds
from probe.manifest.licences import NOASSERTION, LicenceError, effective_licence, licence_traits
from probe.manifest.share_alike import demands, families, family
from sources.spec import Licence


@dataclass(frozen=True, slots=True)
class MixtureTerms:
    """Chosen sources by what their licences ask; `conflicts` are sentences, `provider_terms` words by source.

    `unreadable` are sources whose licence is no SPDX expression: nothing is known of them.
    """

    expression: str
    noncommercial: tuple[str, ...]
    no_derivatives: tuple[str, ...]
    share_alike: tuple[str, ...]
    own_terms: tuple[str, ...]
    unknown: tuple[str, ...]
    unreadable: tuple[str, ...]
    provider_terms: Mapping[str, str]
    conflicts: tuple[str, ...]

    @property
    def commercial(self) -> bool | None:
        """Say whether no licence forbids commercial use; None where one is not known or has terms of its own."""
        if self.noncommercial:
            return False
        return None if self.own_terms or self.unknown or self.unreadable else True

    def sentence(self) -> str:
        """Return the short answer to whether the mixture may be used commercially."""
        if self.noncommercial:
            return f"Not for commercial use: {', '.join(self.noncommercial)}"
        open_ = (*self.own_terms, *self.unknown, *self.unreadable)
        if open_:
            return f"Not known whether for commercial use: read the terms of {', '.join(open_)}"
        more = "; read the provider terms" if self.provider_terms else ""
        return f"No licence here forbids commercial use{more}"


def mixture_terms(doc: Manifest) -> MixtureTerms:
    """Return the terms of a manifest's chosen sources."""
    members = {entry.slug: entry.licence for entry in doc.sources if entry.rows}
    known = dict(_readable(members))
    provider = {slug: " ".join(licence.terms.split()) for slug, licence in members.items() if licence.terms.strip()}
    return MixtureTerms(
        expression=doc.licences.expression,
        noncommercial=_asking(known, lambda key: "non-commercial" in licence_traits(key)),
        no_derivatives=_asking(known, lambda key: "no derivatives" in licence_traits(key)),
        share_alike=_asking(known, lambda key: bool(family(key))),
        own_terms=_asking(known, lambda key: "LicenseRef-" in key),
        unknown=_asking(known, lambda key: key == NOASSERTION),
        unreadable=tuple(slug for slug in members if slug not in known),
        provider_terms=provider,
        conflicts=tuple(_conflicts(known)),
    )


def _readable(members: Mapping[str, Licence]) -> Iterator[tuple[str, str]]:
    for slug, licence in members.items():
        try:
            yield slug, effective_licence(licence)
        except LicenceError:
            continue


def _asking(known: Mapping[str, str], has: Callable[[str], bool]) -> tuple[str, ...]:
    """Return the sources none of whose alternatives is without a trait."""
    return tuple(slug for slug, expression in known.items() if not holds(expression, lambda key: not has(key)))


def _conflicts(known: Mapping[str, str]) -> Iterator[str]:
    yield from _two_share_alikes(known)
    yield from _further_restricted(known)
    for slug in _asking(known, lambda key: "no derivatives" in licence_traits(key)):
        yield f"{slug} ({known[slug]}) may not be passed on changed, and a mixture is a changed form of it"


def _two_share_alikes(known: Mapping[str, str]) -> Iterator[str]:
    asked = sorted(((demand, slug) for slug in known for demand in demands(known[slug])), key=lambda asked: asked[0].name)
    apart: dict[tuple[str, str], tuple[dict[str, None], dict[str, None]]] = {}
    for (one, slug), (other, beside) in combinations(asked, 2):
        if not one.goes_with(other):
            names = (one.name, other.name) if one.family == other.family else (one.family, other.family)
            sides = apart.setdefault(names, ({}, {}))
            sides[0][slug] = sides[1][beside] = None
    for names, sides in apart.items():
        told = " and ".join(f"{name} ({', '.join(side)})" for name, side in zip(names, sides, strict=True))
        yield f"{told}: each asks that what is made of it be under itself"


def _further_restricted(known: Mapping[str, str]) -> Iterator[str]:
    """Yield share-alike members beside ones that restrict more: `CC-BY-SA` lets nobody add a restriction."""
    free = [slug for slug in known if families(known[slug]) and "CC-BY-NC-SA" not in families(known[slug])]
    stricter = [
        slug
        for slug in _asking(known, lambda key: re.search("non-commercial|no derivatives|terms of its own", licence_traits(key)) is not None)
        if not families(known[slug])
    ]
    if free and stricter:
        yield f"{_named(free, known)} may not be restricted further, and {_named(stricter, known)} would"


def _named(slugs: Iterable[str], known: Mapping[str, str]) -> str:
    return ", ".join(f"{slug} ({known[slug]})" for slug in slugs)
