"""Mixtures, phases and curricula: weights over sources and the integer counts they resolve to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


def largest_remainder(total: int, weights: Mapping[str, float]) -> dict[str, int]:
    """Split `total` into integers proportional to `weights` (Hamilton's method); ties go to the smaller name.

    The counts sum to `total` exactly, and none is further than 1 from its exact share.

    Raises:
        ValueError: no weight is positive, or one is negative or not finite.
    """
    if any(not math.isfinite(w) or w < 0 for w in weights.values()) or sum(weights.values()) <= 0:
        raise ValueError(f"weights must be finite, not negative and not all zero, got {dict(weights)}")
    scale = total / math.fsum(weights.values())
    exact = {name: weight * scale for name, weight in weights.items()}
    counts = {name: math.floor(share + 1e-9) for name, share in exact.items()}
    by_remainder = sorted(weights, key=lambda name: (counts[name] - exact[name], name))
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def equal_shares(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Say whether two mixtures are the same to a hundred-thousandth."""
    return all(abs(one.get(slug, 0.0) - other.get(slug, 0.0)) <= 1e-5 for slug in {*one, *other})


@dataclass(frozen=True, slots=True)
class Mixture:
    """Shares over sources, sorted by slug; they sum to 1 and zero shares are dropped."""

    shares: tuple[tuple[str, float], ...]

    @classmethod
    def of(cls, weights: Mapping[str, float]) -> Mixture:
        """Normalise weights into a mixture.

        Raises:
            ValueError: no weight is positive, or one is negative or not finite.
        """
        total = math.fsum(weights.values())
        if any(not math.isfinite(w) or w < 0 for w in weights.values()) or total <= 0:
            raise ValueError(f"weights must be finite, not negative and not all zero, got {dict(weights)}")
        return cls(tuple(sorted((slug, weight / total) for slug, weight in weights.items() if weight > 0)))

    @classmethod
    def single(cls, slug: str) -> Mixture:
        """Return the mixture of one source."""
        return cls(((slug, 1.0),))

    def weights(self) -> dict[str, float]:
        """Return the shares as a mapping."""
        return dict(self.shares)

    def counts(self, total: int) -> dict[str, int]:
        """Return integer counts that sum to `total`."""
        return largest_remainder(total, self.weights())


@dataclass(frozen=True, slots=True)
class Phase:
    """A mixture and the share of the budget that it gets."""

    mixture: Mixture
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Curriculum:
    """Phases in order; one phase is a static mixture.

    `budget` is this curriculum's own, in the study's unit; 0 is the study's. With `restarts` the learning rate starts again at every
    phase; without, one schedule runs over all of them.
    """

    phases: tuple[Phase, ...]
    budget: int = 0
    restarts: bool = False

    @classmethod
    def static(cls, mixture: Mixture) -> Curriculum:
        """Return the curriculum of one phase."""
        return cls((Phase(mixture),))

    def sources(self) -> tuple[str, ...]:
        """Return every source in it, sorted."""
        return tuple(sorted({slug for phase in self.phases for slug, _ in phase.mixture.shares}))
