"""What a design asks about: sources, groups that the user named, and groups by what the catalogue or the data says of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import islice

from probe.errors import UsageError
from probe.study.designs.mixtures import proportional
from probe.study.designs.question import Unit
from probe.study.draws import Draws
from probe.study.request import GroupBy, RunRequest
from sources.mixture import Mixture
from sources.sampling import SourcePool
from sources.spec import SourceSpec
from sources.subsources import subsource_slug

ROWS_LOOKED_AT = 200  # of a source, drawn with seed 0, to see in what form it asks for answers


def asked_units(request: RunRequest, base: Mixture, draws: Draws) -> tuple[Unit, ...]:
    """Return a run's units: its groups, in proportion to usable rows, and the sources named beside them; with `by`, groups of those.

    Raises:
        UsageError: two units have one name, or a source says nothing of what it is to be grouped by.
    """
    sources = request.sources
    if request.by:
        sources = sources or (() if request.groups else tuple(base.weights()))
    alone = _grouped(request.by, sources, draws) if request.by else [Unit(slug, Mixture.single(slug)) for slug in sources]
    units = [*(_group(name, members, draws) for name, members in request.groups), *alone]
    names = [unit.name for unit in units]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"two units are called {twice!r}: give the group another name, as in --group NAME=S1,S2.")
    return tuple(units)


def group_notes(units: Iterable[Unit]) -> list[str]:
    """Return what a study remembers of its groups, one sentence each."""
    return [
        f"Group {unit.name}: {', '.join(f'{slug} {share:.0%}' for slug, share in unit.mixture.shares)}, in proportion to usable rows."
        for unit in units
        if unit.name not in unit.slugs()
    ]


def base_with_parts(base: Mixture, units: Sequence[Unit], draws: Draws) -> Mixture:
    """Return the base mixture with each source that a unit is a part of replaced by its sub-sources, as many rows as each has."""
    asked = {slug for unit in units for slug in unit.slugs()} - set(base.weights())
    weights: dict[str, float] = {}
    for slug, share in base.shares:
        parts = _parts(draws.pool(slug)) if any(one.startswith(f"{slug}/") for one in asked) else {slug: 1}
        for part, rows in parts.items():
            weights[part] = weights.get(part, 0.0) + share * rows / sum(parts.values())
    return Mixture.of(weights)


def _group(name: str, members: Collection[str], draws: Draws) -> Unit:
    return Unit(name, proportional({slug: draws.pool(slug).usable for slug in members}))


def _grouped(by: GroupBy, sources: Sequence[str], draws: Draws) -> list[Unit]:
    if by is GroupBy.SUBSOURCE:
        return [Unit(part, Mixture.single(part)) for slug in sources for part in _parts(draws.pool(slug))]
    groups: dict[str, list[str]] = {}
    for slug in sources:
        pool = draws.pool(slug)
        name = capability_of(pool.spec) if by is GroupBy.CAPABILITY else _form(pool)
        groups.setdefault(name, []).append(slug)
    return [_group(name, members, draws) for name, members in groups.items()]


def _parts(pool: SourcePool) -> dict[str, int]:
    """Return a source's sub-sources with their rows, or the source itself where it has one part only."""
    slug = pool.spec.slug
    if len(pool.subsources) < 2:
        return {slug: pool.usable}
    return {f"{slug}/{subsource_slug(name)}": rows for name, rows in sorted(pool.subsources.items())}


def capability_of(spec: SourceSpec) -> str:
    """Return the capability of benchmarks that a source is first of all meant to help.

    Raises:
        UsageError: nothing says so.
    """
    from sources import world
    from sources.catalogue import CAPABILITIES, entry_of

    slug = spec.slug
    entry = entry_of(spec)
    if entry and entry.capabilities:
        return CAPABILITIES[entry.capabilities[0]]
    if found := world.capability_of(spec):
        return found
    raise UsageError(f"nothing here says which capability {slug} is meant for: group it yourself, as in --group NAME={slug},...")


def _form(pool: SourcePool) -> str:
    """Return in what form most of a source's questions ask for an answer."""
    from sources.answer_forms import form_of

    try:
        return form_of(row.sample for row in islice(pool.order(0), min(ROWS_LOOKED_AT, pool.usable)))
    except ValueError as error:
        raise UsageError(f"{pool.spec.slug} cannot be grouped by format: {error}.") from None
