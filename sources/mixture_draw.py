"""Draws of a mixture from several sources' orders, and the order in which what was drawn is trained on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from sources.mixture import Mixture
from sources.ordering import seeded_key
from sources.problems import Problem, SourceError
from sources.sampling import Cost, Draw, Fits, SourcePool

_DIGITS = 6  # of a budget: sums of shares in another order must not differ by a row


@dataclass(frozen=True, slots=True)
class Taken:
    """How much of a source's order is drawn already: the budget that was asked for, the rows that it took, and what they cost."""

    budget: float = 0.0
    rows: int = 0
    cost: float = 0.0


def draw_mixture(
    pools: Mapping[str, SourcePool],
    mixture: Mixture,
    budget: float,
    seed: int,
    cost: Cost | None = None,
    fits: Fits | None = None,
    taken: dict[str, Taken] | None = None,
) -> Draw:
    """Draw each source's share of a budget, sources in order of their slugs; without `cost`, rows by largest remainder.

    Where `taken` is given, each source goes on behind what is taken of it, which is brought up to date.

    Raises:
        SourceError: a source of the mixture is not in `pools`, or has no row that can be drawn.
    """
    shares = {slug: share * budget for slug, share in mixture.shares} if cost else {**mixture.counts(math.ceil(budget))}
    if missing := sorted(set(shares) - set(pools)):
        raise SourceError(f"The mixture needs {', '.join(missing)}; add it with `probe sources add`")
    draws = [_draw_behind(pools[slug], shares[slug], seed, cost, fits, taken) for slug in sorted(shares)]
    rejected = sum((draw.rejected for draw in draws), Counter[Problem]())
    rows = tuple(row for draw in draws for row in draw.rows)
    overlap = math.fsum(draw.overlap * len(draw.rows) for draw in draws) / max(1, len(rows))
    return Draw(rows, math.fsum(draw.cost for draw in draws), max(draw.passes for draw in draws), overlap, rejected)


def _draw_behind(pool: SourcePool, share: float, seed: int, cost: Cost | None, fits: Fits | None, taken: dict[str, Taken] | None) -> Draw:
    if taken is None:
        return pool.draw(share, seed, cost, fits)
    before = taken.get(pool.spec.slug, Taken())
    whole = round(before.budget + share, _DIGITS)
    drawn = pool.draw(whole, seed, cost, fits)
    taken[pool.spec.slug] = Taken(whole, len(drawn.rows), drawn.cost)
    return replace(drawn, rows=drawn.rows[before.rows :], cost=drawn.cost - before.cost)


class Ordered(Protocol):
    """What a place in the training order depends on."""

    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def number(self) -> int: ...  # noqa: D102
    @property
    def digest(self) -> str: ...  # noqa: D102


R = TypeVar("R", bound=Ordered)


def training_order(rows: Sequence[R], seed: int) -> tuple[R, ...]:
    """Return the rows shuffled: a function of the seed and the rows' digests, not of the order they come in."""
    seen: Counter[str] = Counter()
    keyed: list[tuple[int, str, str, int, R]] = []
    for row in rows:
        keyed.append((seeded_key(seed, "training", row.digest, seen[row.digest]), row.digest, row.source, row.number, row))
        seen[row.digest] += 1
    return tuple(entry[-1] for entry in sorted(keyed, key=lambda entry: entry[:-1]))
