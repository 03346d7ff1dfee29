"""Verdicts on adding a source, the noise floor, what a study could have seen, and how many more seeds a decision needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from db.values import Verdict
from probe.decide.effects import Contrasts, Effects, half_width
from probe.decide.hierarchy import Plan, decide, one_layer

Floats = NDArray[np.float64]
MOST_SEEDS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Verdicts, and at which level each effect was (or is still) held `apart` from zero and `inside` the margin."""

    verdicts: tuple[Verdict, ...]
    apart: Floats
    inside: Floats


def judge(found: Effects, margin: ArrayLike, *, alpha: float = 0.05, shared: Plan | None = None) -> Judged:
    """Decide each effect against the base; `margin` is one number or one an effect (NaN: never neutral).

    `helps` and `hurts`: two-sided test. Else `neutral`: two one-sided tests within `margin` (Schuirmann 1987, J. Pharmacokin. Biopharm.
    15, 657-680). Else `undecided`. Each kind of claim is corrected over all effects at `alpha`, by Holm or as `shared` says. An effect
    both apart from zero and inside the margin is named by its direction.
    """
    shared = shared or one_layer(len(found.value))
    apart, outer = decide(found.p_two_sided(), shared, alpha)
    inside, inner = decide(found.p_inside(np.asarray(margin, dtype=np.float64)), shared, alpha)
    given = tuple(_verdict(*row) for row in zip(found.value.tolist(), apart.tolist(), inside.tolist(), strict=True))
    return Judged(given, outer, inner)


def verdicts(found: Effects, margin: ArrayLike, *, alpha: float = 0.05) -> tuple[Verdict, ...]:
    """Return the verdicts of `judge` alone, corrected by Holm."""
    return judge(found, margin, alpha=alpha).verdicts


def _verdict(value: float, apart: bool, inside: bool) -> Verdict:
    if apart:
        return Verdict.HELPS if value > 0 else Verdict.HURTS
    return Verdict.NEUTRAL if inside else Verdict.UNDECIDED


def deviation_of_pairs(found: Contrasts) -> float:
    """Return the deviation of one repeat's paired difference, pooled over contrasts: what a rerun alone changes; NaN for one repeat."""
    known = found.seed_df > 0
    if not known.any():
        return float("nan")
    return float(np.sqrt(np.average(found.seed_variance[known], weights=found.seed_df[known])))


def minimum_detectable_effect(found: Effects, *, level: float | None = None, power: float = 0.8) -> float:
    """Return the effect that the typical comparison decides with `power`, two-sided at `level` (by default .05 / number of comparisons).

    Half the width of the interval of that level plus that of `power` (Bloom 1995, Evaluation Review 19, 547-556), the median over the
    comparisons; NaN where seeds are unknown.
    """
    if not found.seeds_known.any():
        return float("nan")
    level = 0.05 / len(found.value) if level is None else level
    return float(np.median((found.half_width(1 - level) + found.half_width(2 * power - 1))[found.seeds_known]))


def seeds_to_decide(found: Effects, margin: ArrayLike, given: Judged, *, most: int = MOST_SEEDS) -> tuple[int | None, ...]:
    """Return for each undecided effect how many more seeds would decide it, were its estimate the truth; None if decided or above `most`.

    More seeds shrink the seed part of the variance alone; the item part stays. Each comparison is asked at the level that it still has.
    """
    margins = np.broadcast_to(np.asarray(margin, dtype=np.float64), found.value.shape)
    asked = np.array([verdict is Verdict.UNDECIDED for verdict in given.verdicts], dtype=bool) & found.seeds_known
    least, enough = np.zeros(asked.shape, dtype=np.int64), np.full(asked.shape, most)  # decided is between the first and the second
    if not asked.any():
        return (None,) * len(asked)
    possible = asked & _would_decide(found, margins, given, enough)
    while (enough - least > 1).any():
        middle = (least + enough) // 2
        done = _would_decide(found, margins, given, middle)
        least, enough = np.where(done, least, middle), np.where(done, middle, enough)
    return tuple(int(more) if can else None for more, can in zip(enough.tolist(), possible.tolist(), strict=True))


def _would_decide(found: Effects, margins: Floats, given: Judged, more: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say which effects would be decided with so many more seeds each; one that is decided stays so with still more."""
    seeds, seed_df = found.seed_variance / (found.repeats + more), found.seed_df + more
    tails = found.share_left * given.apart / 2, found.share_left * given.inside
    apart, inside = (half_width(1 - tail, seeds, seed_df, found.item_variance, found.item_df) for tail in tails)
    size = np.abs(found.value)
    return np.asarray((size > apart) | (size + inside < margins))
