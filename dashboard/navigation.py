"""Which pages there are, and what stands beside each of them: the study, and where it is read from."""

from __future__ import annotations

import gc
from functools import cache

import streamlit as st

from dashboard import link_state, reading
from dashboard.parts import commands

PAGES = {
    "views/overview.py": ("Overview", ":material/flag:"),
    "views/sources.py": ("Sources", ":material/leaderboard:"),
    "views/heatmap.py": ("Heat map", ":material/grid_view:"),
    "views/mixture.py": ("Mixture", ":material/tune:"),
    "views/curriculum.py": ("Curriculum", ":material/stacked_bar_chart:"),
    "views/benchmarks.py": ("Benchmarks", ":material/fact_check:"),
    "views/source.py": ("Source", ":material/dataset:"),
    "views/runs.py": ("Runs", ":material/history:"),
    "views/compare.py": ("Compare", ":material/difference:"),
    "views/export.py": ("Export", ":material/output:"),
}
FIRST = next(iter(PAGES))


def run() -> None:
    """Show the page that the URL names."""
    pages = [st.Page(path, title=title, icon=icon, default=path == FIRST) for path, (title, icon) in PAGES.items()]
    page = st.navigation(pages)
    with st.sidebar:
        _study_choice()
    page.run()
    _freeze_imports()


@cache
def _freeze_imports() -> None:
    """Leave what is imported by now out of garbage collections, which run while a page reads many rows; once in a process."""
    gc.freeze()


def _study_choice() -> None:
    names = reading.study_names()
    if names:
        link_state.choose("Study", "study", names)
    place = reading.workspace()
    st.caption("Workspace, read-only")
    st.text(place.root.name if not place.db_url else "a database of its own")


def chosen_study(effects: bool = True) -> reading.Snapshot | None:
    """Return what the store holds of the chosen study; without one, say which command makes it and return None.

    A page that shows no effect of the ranking asks for none.
    """
    names = reading.study_names()
    if not names:
        st.info("There is no study here yet. The first command tries everything on small real data, the second starts your own.")
        commands("probe demo", "probe run --source SOURCE")
        return None
    return reading.snapshot(link_state.current("study", names), effects)
