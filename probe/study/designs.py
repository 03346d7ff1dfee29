"""The designs: which arms a question needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from db.values import Arm, ArmRole, Design
from sources.canonical import content_hash
from sources.mixture import Curriculum, Mixture

UNTRAINED = "untrained"
BASE = "base"
MOST_OVERLAP = 0.5  # repeats that share more of their rows say too little of what another draw would give


def untrained_arm() -> Arm:
    """Return the proxy as it is: the reference of `solo`, and what every score starts from."""
    return Arm(UNTRAINED, ArmRole.UNTRAINED, None, Curriculum(()))


def base_arm(base: Mixture) -> Arm:
    """Return the base mixture: the reference of `add-one`."""
    return Arm(BASE, ArmRole.BASE, None, Curriculum.static(base))


def solo_arms(sources: Sequence[str]) -> list[Arm]:
    """Return each source alone (SAIL-VL's quick quality evaluation)."""
    return [Arm(slug, ArmRole.SOURCE, Design.SOLO, Curriculum.static(Mixture.single(slug)), slug) for slug in sources]


def add_one_arms(sources: Sequence[str], base: Mixture, share: float) -> list[Arm]:
    """Return the base mixture with a share of each source (SAIL-VL's incremental evaluation)."""
    return [Arm(f"+{slug}", ArmRole.SOURCE, Design.ADD_ONE, Curriculum.static(with_share(base, slug, share)), slug) for slug in sources]


def with_share(base: Mixture, slug: str, share: float) -> Mixture:
    """Return `(1 - share) * base + share * slug`."""
    weights = {name: weight * (1 - share) for name, weight in base.shares}
    weights[slug] = weights.get(slug, 0.0) + share
    return Mixture.of(weights)


def swarm_arms(mixtures: Sequence[Mixture]) -> list[Arm]:
    """Return space-filling mixtures (RegMix, Olmix), named by what they hold so that a swarm can grow."""
    return [Arm(f"swarm-{content_hash(mixture)[:8]}", ArmRole.MIXTURE, Design.SWARM, Curriculum.static(mixture)) for mixture in mixtures]


def confirm_arms(candidates: Mapping[str, Mixture]) -> list[Arm]:
    """Return the candidate and its baselines, to be trained with fresh seeds."""
    return [Arm(f"confirm/{name}", ArmRole.CONFIRM, None, Curriculum.static(mixture)) for name, mixture in candidates.items()]


def proportional(usable: Mapping[str, int]) -> Mixture:
    """Return the mixture proportional to usable rows."""
    return Mixture.of({slug: float(rows) for slug, rows in usable.items()})


def uniform(sources: Sequence[str]) -> Mixture:
    """Return equal shares."""
    return Mixture.of(dict.fromkeys(sources, 1.0))
