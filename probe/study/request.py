"""What a run is asked: sources or groups of them, a design with its options, and the study that they belong to."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from db.values import Design
from sources.mixture import Mixture, Phase


class GroupBy(enum.StrEnum):
    """What sources are grouped by: the capability that the catalogue says, the form of their answers, or each into its sub-sources."""

    CAPABILITY = "capability"
    FORMAT = "format"
    SUBSOURCE = "subsource"


Groups = tuple[tuple[str, tuple[str, ...]], ...]  # names with the sources of each


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What the user asked for; None means the study's own, or the proxy's default for a new study.

    `groups` are units made of several sources, and with `by` the sources named (or those of the base mixture) are made into units. `sizes`
    are budgets in the study's unit, for a ladder of sources or of `phases`. With `restarts` the learning rate starts again at every
    phase. `doubled` adds arms with a unit's share doubled to those with it halved.
    """

    sources: tuple[str, ...]
    study: str = "main"
    design: Design | None = None
    base: Mixture | None = None
    proxy: str | None = None
    samples: int | None = None
    tokens: int | None = None
    seeds: int | None = None
    benchmarks: tuple[str, ...] = ()
    add_share: float | None = None
    mixtures: int = 12
    recipe_changes: tuple[tuple[str, Any], ...] = ()
    device: str | None = None  # where a new study's precision is measured
    keep_contaminated: bool = False  # train on rows that hold a benchmark's items too
    groups: Groups = ()
    by: GroupBy | None = None
    sizes: tuple[int, ...] = ()
    phases: tuple[Phase, ...] = ()
    restarts: bool = True
    doubled: bool = False
    gates: tuple[tuple[str, ...], ...] = ()  # of add-one: units that joined the base mixture one after another, the last one asked about

    def named(self) -> tuple[str, ...]:
        """Return the sources that are asked about: by themselves, in groups and in phases."""
        grouped = (slug for _, members in self.groups for slug in members)
        staged = (slug for phase in self.phases for slug, _ in phase.mixture.shares)
        return tuple(dict.fromkeys((*self.sources, *grouped, *staged)))

    def slugs(self) -> tuple[str, ...]:
        """Return the sources that it names, those of its base mixture too."""
        return tuple(dict.fromkeys((*self.named(), *(self.base.weights() if self.base else ()))))

    def renamed(self, slug_of: Callable[[str], str]) -> RunRequest:
        """Return the request with each source named by its slug: of a sub-source the user may have given the data's own name."""
        slugs = {name: slug_of(name) for name in self.slugs()}
        return replace(
            self,
            sources=_once(slugs[name] for name in self.sources),
            base=_renamed(self.base, slugs) if self.base and self.base.shares else self.base,
            groups=tuple((name, _once(slugs[slug] for slug in members)) for name, members in self.groups),
            phases=tuple(replace(phase, mixture=_renamed(phase.mixture, slugs)) for phase in self.phases),
        )


def _once(slugs: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(slugs))


def _renamed(mixture: Mixture, slugs: Mapping[str, str]) -> Mixture:
    if all(slugs[name] == name for name, _ in mixture.shares):
        return mixture
    weights: dict[str, float] = {}
    for name, weight in mixture.shares:
        weights[slugs[name]] = weights.get(slugs[name], 0.0) + weight
    return Mixture.of(weights)
