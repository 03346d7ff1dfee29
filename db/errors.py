"""The store's one exception: its message is a sentence that says what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class StoreError(Exception):
    """What was asked of the store cannot be done; the message is one sentence with the cure."""


def unknown(kind: str, name: str, known: Iterable[str]) -> StoreError:
    """Return the error for a name that the store does not hold, with the nearest names that it does."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3) or names[:5]
    hint = f"did you mean {', '.join(repr(n) for n in near)}?" if near else f"no {kind} is registered yet"
    return StoreError(f"no {kind} {name!r} in this store: {hint}")
