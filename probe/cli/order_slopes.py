"""Slopes of orders of phases over size, as sentences and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from probe.cli.output import estimate_json, interval

if TYPE_CHECKING:
    from db.store import Store


def slopes_json(store: Store, study: str) -> list[dict[str, Any]]:
    """Return a study's slopes as the list that `probe rank --json` has; empty where no order was trained at two sizes."""
    from probe.study.orders import study_slopes

    return [
        {
            "order": found.order,
            "reference": found.reference,
            "sizes": list(found.sizes),
            "slope_per_doubling": estimate_json(found.slope),
            "decided": found.decided,
        }
        for found in study_slopes(store, study)
    ]


def slope_lines(store: Store, study: str) -> list[str]:
    """Return a study's slopes as sentences."""
    from probe.study.orders import study_slopes

    return [
        f"{found.order} against {found.reference}: each doubling of the size from {found.sizes[0]:,} to {found.sizes[-1]:,} changes its "
        f"gain by {interval(found.slope)}" + ("." if found.decided else ", which is not told from nil.")
        for found in study_slopes(store, study)
    ]
