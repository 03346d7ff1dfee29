"""Phases made of what is known of sources: their pools by difficulty, their effects in the study, the capabilities they are meant for."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from probe.errors import UsageError
from probe.study.designs.mixtures import proportional
from probe.study.registry import find_source
from probe.study.units import capability_of
from probe.workspace import Workspace
from sources.difficulty import OPTION, pool_place
from sources.mixture import Phase
from sources.sampling import SourcePool

if TYPE_CHECKING:
    from db.store import Store
    from db.values import EffectRow, Ranking


class PhasesBy(enum.StrEnum):
    """What phases are made by: pools from easy to hard, tiers from the worst to the best, capabilities in the order of their sources."""

    DIFFICULTY = "difficulty"
    QUALITY = "quality"
    CAPABILITY = "capability"


Groups = Sequence[Sequence[str]]  # the sources of each phase, in order


def phases_by(workspace: Workspace, store: Store, by: PhasesBy, study: str, sources: Sequence[str]) -> tuple[Phase, ...]:
    """Return phases in order; inside a phase, and between phases, shares are proportional to usable rows.

    Raises:
        UsageError: nothing is known that phases could be made by, or it makes fewer than two.
    """
    slugs = list(dict.fromkeys(find_source(store, name).slug for name in sources))
    if by is PhasesBy.DIFFICULTY:
        groups = _by_difficulty(store, slugs)
    elif by is PhasesBy.QUALITY:
        groups = _by_quality(store.ranking(study), study, slugs)
    else:
        groups = _by_capability(store, slugs)
    if len(groups) < 2:
        raise UsageError(f"--phases-by {by.value} makes one phase of these sources, two or more are needed: write them with --phase.")
    return _phases([{slug: _usable(workspace, store, slug) for slug in group} for group in groups])


def phase_options(phases: Sequence[Phase]) -> str:
    """Return phases as the options that would write them."""
    parts = [",".join(f"{slug}={share:.4g}" for slug, share in phase.mixture.shares) for phase in phases]
    return f"{' '.join(f'--phase {part}' for part in parts)} --phase-share {','.join(f'{phase.share:.4g}' for phase in phases)}"


def _phases(groups: Sequence[Mapping[str, int]]) -> tuple[Phase, ...]:
    total = math.fsum(rows for group in groups for rows in group.values())
    return tuple(Phase(proportional(group), math.fsum(group.values()) / total) for group in groups)


def _by_difficulty(store: Store, slugs: Sequence[str]) -> Groups:
    """Return the pools of the sources, those of one rank together."""
    if not slugs:
        raise UsageError("--phases-by difficulty needs the source whose pools are the phases: --source S.")
    ladders = [_pools(store, slug) for slug in slugs]
    if len({len(ladder) for ladder in ladders}) > 1:
        told = ", ".join(f"{slug} {len(ladder)}" for slug, ladder in zip(slugs, ladders, strict=True))
        raise UsageError(f"these sources have other numbers of pools ({told}): make as many of each with `probe sources difficulty`.")
    return list(zip(*ladders, strict=True))


def _pools(store: Store, slug: str) -> list[str]:
    """Return a source's registered pools, the easiest first.

    Raises:
        UsageError: there are none, or several sets of them.
    """
    sets: dict[tuple[int, str], dict[int, str]] = {}
    for record in store.sources():
        if record.spec.option(OPTION) and record.spec.slug.rpartition("/")[0] == slug:
            order, place, pools = pool_place(record.spec)
            sets.setdefault((pools, order), {})[place] = record.spec.slug
    whole = sorted((pools, [held[k] for k in range(1, pools + 1)]) for (pools, _), held in sets.items() if len(held) == pools)
    if not whole:
        raise UsageError(f"{slug} has no pools by difficulty yet: probe sources difficulty {slug}.")
    if len(whole) > 1:
        told = " and ".join(str(pools) for pools, _ in whole)
        raise UsageError(f"{slug} has {told} pools by difficulty: say which with --phase, or forget some with probe sources remove.")
    return whole[0][1]


def _by_quality(ranking: Ranking | None, study: str, slugs: Sequence[str]) -> Groups:
    """Return the tiers of a study's sources from the last to the first; sources of one tier are not told apart."""
    rows: list[EffectRow] = [row for row in ranking.effects if row.level == "overall" and row.tier] if ranking else []
    tiers = {row.source: row.tier or 0 for row in rows if not slugs or row.source in slugs}
    if unknown := [slug for slug in slugs if slug not in tiers]:
        raise UsageError(f"study {study!r} ranks {', '.join(unknown)} in no tier: probe run --study {study} --source {unknown[0]}.")
    if not tiers:
        raise UsageError(f"study {study!r} ranks no source yet: probe run --study {study} --source S, then probe rank --study {study}.")
    return [sorted(slug for slug, tier in tiers.items() if tier == wanted) for wanted in sorted(set(tiers.values()), reverse=True)]


def _by_capability(store: Store, slugs: Sequence[str]) -> Groups:
    if not slugs:
        raise UsageError("--phases-by capability needs the sources: --source S, in the order that their capabilities should have.")
    groups: dict[str, list[str]] = {}
    for slug in slugs:
        groups.setdefault(capability_of(find_source(store, slug)), []).append(slug)
    return list(groups.values())


def _usable(workspace: Workspace, store: Store, slug: str) -> int:
    record = store.source(slug)
    return record.usable if record else SourcePool.open(find_source(store, slug), workspace.indexes).usable
