"""Baselines that are one mixture, such as a base that is proportional to usable rows: told once, under all their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from probe.manifest.document import Manifest
from sources.mixture import equal_shares

T = TypeVar("T")
JOINT = " = "


def by_mixture(doc: Manifest, gains: Mapping[str, T]) -> dict[str, T]:
    """Return what was found over baselines, by name; over those that are one mixture once, as `base = proportional`.

    What was found otherwise over the same mixture (in another confirmation) stands apart.
    """
    groups: list[list[str]] = []
    for name in gains:
        same = next((group for group in groups if gains[group[0]] == gains[name] and _equal(doc, group[0], name)), None)
        if same is None:
            groups.append([name])
        else:
            same.append(name)
    return {JOINT.join(group): gains[group[0]] for group in groups}


def _equal(doc: Manifest, one: str, other: str) -> bool:
    return one in doc.baselines and other in doc.baselines and equal_shares(doc.baselines[one], doc.baselines[other])
