"""What a ranking has not decided yet: undecided verdicts, and neighbours in the order of sources that are neither apart nor the same."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from db.values import EffectRow, Ranking, Verdict
from probe.decide.levels import OVERALL

SLACK = 2.5


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """Arms whose next repeats would tell; `size` is the estimate over its deviation: the larger, the nearer to a decision.

    `more_seeds` is how many more would decide it were its estimate the truth (inf: no number); 0 where that is not known.
    """

    arms: tuple[str, ...]
    what: str
    size: float
    more_seeds: float = 0.0

    def worth(self, left: int) -> bool:
        """Say whether it may be decided with so many seeds that are left.

        An estimate from few seeds is noisy, so a question is given up only where it asks for more than `SLACK` times what is left. Giving
        up early makes no verdict, so it costs none of the level (non-binding futility: Jennison and Turnbull 2000, Group Sequential
        Methods, 5.1).
        """
        return left > 0 and self.more_seeds <= SLACK * left


def open_questions(ranking: Ranking, verdicts_from: frozenset[str] | None = None) -> tuple[OpenQuestion, ...]:
    """Return what is open at the overall level, the nearest to a decision first.

    Verdicts are asked of arms that have one; of the others, whose answer is a tier, each is asked against its neighbour in the order of
    effects. Nothing is open between two that are shown to differ by less than the margin, nor where a verdict is `neutral`.
    `verdicts_from` names the designs that are asked (None: all).
    """
    rows = [row for row in ranking.effects if row.level == OVERALL]
    verdicts = [row for row in rows if row.verdict is Verdict.UNDECIDED and (verdicts_from is None or row.verdict_from in verdicts_from)]
    found = [_undecided(row) for row in verdicts]
    tiered = sorted((row for row in rows if row.verdict is None and row.tier is not None), key=lambda row: (-row.effect.value, row.arm))
    return tuple(sorted([*found, *_neighbours(ranking, tiered)], key=lambda question: -question.size))


def _neighbours(ranking: Ranking, ordered: list[EffectRow]) -> Iterator[OpenQuestion]:
    pairs = {frozenset((pair.a, pair.b)): pair for pair in ranking.pairs if pair.level == OVERALL}
    for upper, lower in pairwise(ordered):
        pair = pairs.get(frozenset((upper.arm, lower.arm)))
        if pair is not None and not pair.decided and not pair.same:
            size = abs(pair.difference.value) / max(pair.difference.stderr, 1e-12)
            yield OpenQuestion((upper.arm, lower.arm), f"{upper.source or upper.arm} or {lower.source or lower.arm}: not told apart", size)


def _undecided(row: EffectRow) -> OpenQuestion:
    more = math.inf if row.seeds_to_decide is None else float(row.seeds_to_decide)
    return OpenQuestion((row.arm,), f"{row.source or row.arm}: {row.verdict_from} undecided", _size(row), more)


def _size(row: EffectRow) -> float:
    return abs(row.effect.value) / max(row.effect.stderr, 1e-12)
