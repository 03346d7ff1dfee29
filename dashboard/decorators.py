"""Streamlit's decorators with their types, which mypy does not see because it skips Streamlit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import streamlit as st

from probe.workspace import Workspace

F = TypeVar("F", bound=Callable[..., Any])


def kept_values(entries: int, says: str = "", ends: Callable[[Any], None] | None = None) -> Callable[[F], F]:
    """Keep a function's frozen results by its arguments; those that begin with `_` do not count.

    `says` is shown while it works; `ends` is called with a result that is not kept any longer.
    """
    keys = {Workspace: lambda place: place.database}
    return cast(Callable[[F], F], st.cache_resource(show_spinner=says or False, max_entries=entries, hash_funcs=keys, on_release=ends))


def repeated(every_s: float) -> Callable[[F], F]:
    """Let the browser run this part of a page again and again, without the rest."""
    return cast(Callable[[F], F], st.fragment(run_every=every_s))
