"""Ratios from which trainers that round down make exactly the wanted rows."""

from __future__ import annotations


def ratio(wanted: int, rows: int) -> float:
    """Return a ratio for which `int(rows * ratio)` is `wanted`, in floating point too: half a row above, unless it is whole."""
    return float(wanted // rows) if wanted % rows == 0 else (wanted + 0.5) / rows
