"""Verdicts on adding a source, the noise floor, what a study could have seen, and how many more seeds a decision needs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from db.values import Verdict
from probe.decide.effects import Contrasts, Effects, half_width
from probe.decide.multiplicity import holm

MOST_SEEDS = 64


def verdicts(found: Effects, margin: ArrayLike, *, alpha: float = 0.05) -> tuple[Verdict, ...]:
    """Decide each effect against the base, corrected over all of them; `margin` is one number or one an effect (NaN: never neutral).

    `helps` and `hurts`: two-sided test, Holm at `alpha`. Else `neutral`: two one-sided tests within `margin` (Schuirmann 1987, J.
    Pharmacokin. Biopharm. 15, 657-680), Holm at `alpha`. Else `undecided`. An effect both apart from zero and inside the margin is named
    by its direction.
    """
    apart, inside = holm(found.p_two_sided()) <= alpha, holm(equivalence_p(found, margin)) <= alpha
    return tuple(_verdict(*row) for row in zip(found.value.tolist(), apart.tolist(), inside.tolist(), strict=True))


def _verdict(value: float, apart: bool, inside: bool) -> Verdict:
    if apart:
        return Verdict.HELPS if value > 0 else Verdict.HURTS
    return Verdict.NEUTRAL if inside else Verdict.UNDECIDED


def equivalence_p(found: Effects, margin: ArrayLike) -> NDArray[np.float64]:
    """Return the p-values of "the effect is at least `margin` in size": the larger of two one-sided tests (Schuirmann 1987)."""
    width = np.nan_to_num(np.asarray(margin, dtype=np.float64))
    return np.where(found.seeds_known & (width > 0), np.maximum(found.p_above(-width), 1 - found.p_above(width)), 1.0)


def deviation_of_pairs(found: Contrasts) -> float:
    """Return the deviation of one repeat's paired difference, pooled over contrasts: what a rerun alone changes; NaN for one repeat."""
    known = found.seed_df > 0
    if not known.any():
        return float("nan")
    return float(np.sqrt(np.average(found.seed_variance[known], weights=found.seed_df[known])))


def minimum_detectable_effect(found: Effects, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the effect that the typical comparison decides with `power`, at the corrected level `alpha` / number of comparisons.

    Half the width of the interval of that level plus that of `power` (Bloom 1995, Evaluation Review 19, 547-556), the median over the
    comparisons; NaN where seeds are unknown.
    """
    if not found.seeds_known.any():
        return float("nan")
    one_sided = alpha / (2 * len(found.value))
    return float(np.median((found.half_width(1 - 2 * one_sided) + found.half_width(2 * power - 1))[found.seeds_known]))


def seeds_to_decide(found: Effects, margin: ArrayLike, *, alpha: float = 0.05, most: int = MOST_SEEDS) -> tuple[int | None, ...]:
    """Return for each undecided effect how many more seeds would decide it, were its estimate the truth; None if decided or above `most`.

    More seeds shrink the seed part of the variance alone; the item part stays. Each comparison is asked at `alpha` / the number of
    comparisons that Holm's procedure has not yet rejected.
    """
    given = verdicts(found, margin, alpha=alpha)
    still_open = [alpha / max(1, int((holm(p) > alpha).sum())) for p in (found.p_two_sided(), equivalence_p(found, margin))]
    margins = np.broadcast_to(np.asarray(margin, dtype=np.float64), found.value.shape)
    return tuple(
        _more_seeds(found, k, float(margins[k]), still_open, most) if verdict is Verdict.UNDECIDED and found.seeds_known[k] else None
        for k, verdict in enumerate(given)
    )


def _more_seeds(found: Effects, k: int, margin: float, alphas: list[float], most: int) -> int | None:
    more = np.arange(1, most + 1)
    seeds, items = found.seed_variance[k] / (found.repeats[k] + more), np.full(most, found.item_variance[k])
    apart, inside = (half_width(1 - tail, seeds, found.seed_df[k] + more, items, found.item_df[k]) for tail in (alphas[0] / 2, alphas[1]))
    size = abs(float(found.value[k]))
    done = (size > apart) | (size + inside < margin)
    return int(more[np.argmax(done)]) if done.any() else None
