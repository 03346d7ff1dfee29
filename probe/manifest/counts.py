"""From weights to rows: the integer counts that a manifest carries, because the same weights mean other things to other trainers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sources.mixture import Curriculum, largest_remainder

if TYPE_CHECKING:  # the store's values import numpy, which reading a manifest does not need
    from db.values import BudgetUnit


def phase_counts(
    curriculum: Curriculum, unit: BudgetUnit, amount: int, tokens_per_row: Mapping[str, float] | None = None
) -> tuple[dict[str, int], ...]:
    """Return the rows of each source in each phase that spend a budget.

    In samples the counts sum to `amount` exactly. In tokens each source gets its share of the tokens over its mean tokens per
    row, rounded, and at least one row.

    Raises:
        ValueError: the unit is tokens and a source's tokens per row are unknown or not positive.
    """
    shares = {str(number): phase.share for number, phase in enumerate(curriculum.phases)}
    budgets = largest_remainder(amount, shares)
    if unit == "samples":
        return tuple(phase.mixture.counts(budgets[str(number)]) for number, phase in enumerate(curriculum.phases))
    unknown = [slug for slug in curriculum.sources() if not (tokens_per_row or {}).get(slug, 0) > 0]
    if unknown or tokens_per_row is None:
        raise ValueError(f"a budget in tokens needs the tokens per row of {', '.join(unknown)}: run `probe sources check` on it")
    return tuple(
        {slug: max(1, round(budgets[str(number)] * share / tokens_per_row[slug])) for slug, share in phase.mixture.shares}
        for number, phase in enumerate(curriculum.phases)
    )
