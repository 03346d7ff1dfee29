"""Counts in sentences."""

from __future__ import annotations


def counted(count: int, one: str, many: str = "") -> str:
    """Return `1 row` or `2,000 rows`; `many` is said where it is not `one` with an s, such as `images are` of `image is`."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
