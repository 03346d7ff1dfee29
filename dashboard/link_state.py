"""What is chosen stands in the URL, so that a link shows the same view; the URL is the only truth, widgets follow it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st


def current(name: str, options: Sequence[str]) -> str:
    """Return the option that the URL names, else the one chosen before on another page, else the first."""
    wanted = st.query_params.get(name, st.session_state.get(_kept(name)))
    value = wanted if wanted in options else options[0]
    if st.query_params.get(name) != value:
        st.query_params[name] = value
    st.session_state[_kept(name)] = value
    return value


def choose(label: str, name: str, options: Sequence[str], shown: Callable[[str], str] = str) -> str:
    """Place a selectbox that reads and writes the URL; say so where a link names something that is not here."""
    wanted = st.query_params.get(name)
    if wanted is not None and wanted not in options:
        st.warning("The link names something that is not here; this is shown instead of:")
        st.text(wanted[:200])
    key = f"choice-{name}"
    st.session_state[key] = value = current(name, options)
    st.selectbox(label, options, key=key, format_func=shown, on_change=_write, args=(name, key))
    return value


def _write(name: str, key: str) -> None:
    st.query_params[name] = st.session_state[_kept(name)] = st.session_state[key]


def _kept(name: str) -> str:
    return f"kept-{name}"
