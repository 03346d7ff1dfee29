"""Heat map: where each source helps, source by benchmark."""

from __future__ import annotations

import streamlit as st

from dashboard import charts, frames, link_state, parts, reading, theme
from dashboard.navigation import chosen_study

MOST_SOURCES = 25  # on one page


def show() -> None:
    """Place the page."""
    parts.heading("Where does each source help?", "Hatched and faint: the interval holds zero, so nothing is known to change there.")
    view = chosen_study()
    if view is None:
        return
    designs = frames.designs(view)
    if not designs or view.ranking is None:
        study = view.study.name
        lines = (parts.command("probe", "run", "--source", "SOURCE", "--study", study), parts.command("probe", "rank", "--study", study))
        parts.empty("No source is scored on a benchmark yet.", *lines)
        return
    parts.trust(view)
    design = link_state.choose("Question", "design", designs, lambda name: frames.WORDS.get(name, name)) if len(designs) > 1 else designs[0]
    frame = frames.heat_frame(view, design, *_part(view, design))
    against = "base mixture" if design == "add-one" else "untrained proxy"
    for metric, cells in frames.by_metric(frame):
        title = f"effect on {metric} against the {against}, {view.ranking.level:.0%} intervals"
        name = f"{view.study.name}-heat-map-{parts.file_name(metric)}"
        chart = charts.heat_map(cells, title, theme.palette())
        width = "content" if cells["benchmark"].nunique() <= charts.MOST_ACROSS else "stretch"
        parts.figure(chart, cells.drop(columns="place"), name, f"effect of each source on each benchmark, on {metric}", width)
    st.caption("Sources are in the order of their tiers, benchmarks in that of their capabilities.")


def _part(view: reading.Snapshot, design: str) -> tuple[int, int]:
    """Let people choose which sources to show, where they are many: from which place in their order, and how many."""
    count = len(frames.effects_frame(view, design))
    starts = [str(start) for start in range(0, count, MOST_SOURCES)]
    if len(starts) < 2:
        return 0, count
    chosen = link_state.choose(
        "Sources", "from", starts, lambda start: f"{int(start) + 1} to {min(count, int(start) + MOST_SOURCES)} of {count}"
    )
    return int(chosen), MOST_SOURCES


if __name__ == "__main__":
    show()
