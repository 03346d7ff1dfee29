"""Points in time as the store writes them."""

from __future__ import annotations

import datetime


def iso_time(epoch_s: float) -> str:
    """Return seconds since the epoch as ISO 8601 in UTC, to the second."""
    return datetime.datetime.fromtimestamp(epoch_s, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
