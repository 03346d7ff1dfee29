"""What a design asks about: sources, groups that the user named, and groups by what the catalogue or the data says."""

from __future__ import annotations

from collections.abc import Iterator

from probe.errors import UsageError
from probe.study.designs.mixtures import proportional
from probe.study.designs.question import Unit
from probe.study.draws import Draws
from probe.study.request import RunRequest
from sources.mixture import Mixture


def asked_units(request: RunRequest, draws: Draws) -> Iterator[Unit]:
    """Yield a run's units: its groups, in proportion to usable rows, and the sources named beside them.

    Raises:
        UsageError: two units have one name.
    """
    for name, members in request.groups:
        if name in request.sources or name in dict(request.groups[: request.groups.index((name, members))]):
            raise UsageError(f"two units are called {name!r}: give the group another name, as in --group NAME=S1,S2.")
        yield Unit(name, proportional({slug: draws.pool(slug).usable for slug in members}))
    for slug in request.sources:
        yield Unit(slug, Mixture.single(slug))
