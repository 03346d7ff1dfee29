"""What is chosen stands in the URL, so that a link shows the same view; the URL is the only truth, widgets follow it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

DIGITS = 12  # of a number in the URL
ON = "yes"


def current(name: str, options: Sequence[str]) -> str:
    """Return the option that the URL names, else the one chosen before on another page, else the first."""
    wanted = st.query_params.get(name, st.session_state.get(_kept(name)))
    value = wanted if wanted in options else options[0]
    if st.query_params.get(name) != value:
        st.query_params[name] = value
    st.session_state[_kept(name)] = value
    return value


def choose(label: str, name: str, options: Sequence[str], shown: Callable[[str], str] = str, *, forgets: Sequence[str] = ()) -> str:
    """Place a selectbox that reads and writes the URL; say so where a link names something that is not here.

    Another choice takes what it `forgets` out of the URL, such as the page of rows that it would have no sense for.
    """
    wanted = st.query_params.get(name)
    if wanted is not None and wanted not in options:
        st.warning("The link names something that is not here; this is shown instead of:")
        st.text(wanted[:200])
    key = f"choice-{name}"
    st.session_state[key] = value = current(name, options)
    st.selectbox(label, options, key=key, format_func=shown, on_change=_write, args=(name, key, forgets))
    return value


def number(label: str, name: str, low: int, high: int, about: str | None = None) -> int:
    """Place a box for a whole number that reads and writes the URL; the URL holds none where it is the lowest."""
    wanted = st.query_params.get(name, "")
    key = f"number-{name}"
    known = wanted.isascii() and wanted.isdecimal() and len(wanted) <= DIGITS
    st.session_state[key] = value = min(max(int(wanted), low), high) if known else low
    st.number_input(label, low, high, key=key, help=about, on_change=_write_number, args=(name, key, low))
    return value


def switch(label: str, name: str) -> bool:
    """Place a switch that reads and writes the URL, which names it only where it is on."""
    key = f"switch-{name}"
    st.session_state[key] = on = bool(st.query_params.get(name) == ON)
    st.toggle(label, key=key, on_change=_write_switch, args=(name, key))
    return on


def _write(name: str, key: str, forgets: Sequence[str]) -> None:
    st.query_params[name] = st.session_state[_kept(name)] = st.session_state[key]
    _forget(forgets)


def _write_number(name: str, key: str, low: int) -> None:
    value = int(st.session_state[key])
    if value == low:
        _forget([name])
    else:
        st.query_params[name] = str(value)


def _write_switch(name: str, key: str) -> None:
    if st.session_state[key]:
        st.query_params[name] = ON
    else:
        _forget([name])


def _forget(names: Sequence[str]) -> None:
    for name in names:
        if name in st.query_params:
            del st.query_params[name]


def _kept(name: str) -> str:
    return f"kept-{name}"
