"""Streamlit's decorators with their types, which mypy does not see because it skips Streamlit."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

import streamlit as st

from probe.workspace import Workspace

F = TypeVar("F", bound=Callable[..., Any])


def kept_values(entries: int, says: str = "") -> Callable[[F], F]:
    """Keep a function's frozen results by its arguments; `says` is shown while it works, arguments that begin with `_` do not count."""
    keys = {Workspace: lambda place: place.database}
    return cast(Callable[[F], F], st.cache_resource(show_spinner=says or False, max_entries=entries, hash_funcs=keys))


@cache
def freeze_imports() -> None:
    """Leave what is imported by now out of garbage collections, which run while a page reads many rows; once in a process."""
    gc.freeze()


def repeated(every_s: float) -> Callable[[F], F]:
    """Let the browser run this part of a page again and again, without the rest."""
    return cast(Callable[[F], F], st.fragment(run_every=every_s))
