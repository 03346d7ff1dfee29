"""Small JSON files that commands keep in the workspace for others to show: each whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from db.documents import from_document

T = TypeVar("T")
MOST_BYTES = 1_000_000


def read_kept(kind: type[T], path: Path) -> T | None:
    """Return what is kept; None where nothing is, or what is there is too large or cannot be read."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        return from_document(kind, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError):
        return None
