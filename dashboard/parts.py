"""What every page is put together from. Data is shown by `st.text`, `st.code`, tables and charts only: nothing of it is markdown."""

from __future__ import annotations

import re
import shlex
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from dashboard.reading import Snapshot, workspace
from probe.commands import in_workspace

MOST_CHARACTERS, COMMANDS_PX = 2000, 240  # commands that name hundreds of sources scroll in a box
_ALTAIR = threading.Lock()  # its theme and its data transformers are one for all threads


def heading(question: str, about: str) -> None:
    """Place a page's question and one line of explanation, both ours."""
    st.title(question, anchor=False)
    st.caption(about)


def commands(*lines: str) -> None:
    """Show commands to copy, with the options that lead to the workspace shown."""
    place = workspace()
    text = "\n".join(in_workspace(line, place, environment=False) for line in lines)
    st.code(text, language="bash", wrap_lines=True, height=COMMANDS_PX if len(text) > MOST_CHARACTERS else "content")


def command(*words: str) -> str:
    """Return a command line whose words survive a shell."""
    return shlex.join(words)


def empty(sentence: str, *lines: str) -> None:
    """Say what is missing and which command fills it."""
    st.info(sentence)
    commands(*lines)


def facts(pairs: Mapping[str, str]) -> None:
    """Place short facts side by side: a small label over plain text."""
    for column, (label, text) in zip(st.columns(len(pairs)), pairs.items(), strict=True):
        with column, st.container(gap="xxsmall"):
            st.caption(label)
            st.text(text)


def figure(chart: alt.Chart | alt.LayerChart, frame: pd.DataFrame, name: str, says: str, width: str = "stretch") -> None:
    """Place a chart with its data and CSV below it; `says` is what a screen reader hears."""
    st.vega_lite_chart(spec=document(chart), width=width, alt=says)
    data(frame, name)


def document(chart: alt.Chart | alt.LayerChart, validate: bool = False) -> dict[str, Any]:
    """Return a chart as a Vega-Lite document whose `datasets` are frames.

    `st.altair_chart` checks each document against Vega-Lite's schema at every run; here the tests do that.
    """
    frames: dict[str, pd.DataFrame] = {}

    def keep(frame: pd.DataFrame) -> dict[str, str]:
        name = next((name for name, kept in frames.items() if kept is frame), f"data-{len(frames)}")
        frames[name] = frame
        return {"name": name}

    with _ALTAIR, alt.theme.enable("none"):
        alt.data_transformers.register("frames", keep)
        with alt.data_transformers.enable("frames"):
            told: dict[str, Any] = chart.to_dict(validate=validate)
    return told | {"datasets": frames}


def data(frame: pd.DataFrame, name: str) -> None:
    """Place the table behind a chart, with its download."""
    with st.expander("Data"):
        st.dataframe(frame, hide_index=True, alt=f"the data of {name}")
        download(frame, f"{file_name(name)}.csv", key=f"csv-{name}")


def download(table: pd.DataFrame | Callable[[], pd.DataFrame], file: str, key: str) -> None:
    """Place the download of a table, or of what returns it; its CSV is written when somebody asks for it."""
    made = table if callable(table) else lambda: table
    st.download_button("Download CSV", lambda: made().to_csv(index=False), file, "text/csv", key=key, on_click="ignore")


def file_name(name: str) -> str:
    """Return a name that any file system takes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "data"


def sentences(lines: Sequence[str], title: str) -> None:
    """Show what others wrote, one line each, in a box."""
    if lines:
        with st.container(border=True, gap="xsmall"):
            st.markdown(f":material/info: **{title}**")
            for line in lines:
                st.text(line)


def trust(view: Snapshot) -> None:
    """Say what limits a ranking: an illustration only, or probes that finished after it."""
    if view.ranking is not None and view.ranking.illustration_only:
        st.warning("Illustration, not evidence: the bundled proxy shows how the tool works. Decide with a real model (`--proxy`).")
    if view.ranking_is_old():
        st.warning("Probes have finished since this ranking was computed. Bring it up to date with:")
        commands(command("probe", "rank", "--study", view.study.name))
