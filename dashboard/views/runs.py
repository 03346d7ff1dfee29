"""Runs: what ran, what failed, and what did it cost."""

from __future__ import annotations

import streamlit as st

from dashboard import charts, curriculum_frames, frames, link_state, live, parts, reading, run_frames, theme
from dashboard.decorators import repeated
from dashboard.navigation import chosen_study
from db.values import ProbeState

ALL = "all"
MOST_ARMS = 30  # bars of a chart
TABLE = ("state", "arm", "repeat", "rows", "tokens", "cpu_s", "attempts", "started", "finished")


def show() -> None:
    """Place the page."""
    parts.heading(
        "What ran, what failed, what did it cost?", "Every probe of the study. While something runs, this page follows by itself."
    )
    view = chosen_study(effects=False)
    if view is None:
        return
    states = [ALL, *(state.value for state in ProbeState)]

    @repeated(live.interval_s(view.study.name))
    def follow() -> None:
        progress = reading.standing(view.study.name).progress
        live.show_progress(progress)
        if progress.probes():
            with st.columns([1, 3])[0]:
                state = link_state.choose("State", "state", states, str.capitalize)
            _probes(view, None if state == ALL else ProbeState(state))

    follow()
    _costs(view)
    _again(view)
    _log(view)


def _probes(view: reading.Snapshot, state: ProbeState | None) -> None:
    runs = reading.runs(view.study.name, state)
    frame = run_frames.probes_frame(runs.probes)
    if frame.empty:
        st.text("No probe is in this state.")
        return
    there = runs.progress.probes(state)
    if len(frame) < there:
        st.caption(f"The first {len(frame):,} of {there:,} probes; the CSV holds all.")
    whole = {name: st.column_config.NumberColumn(name.capitalize(), format="localized") for name in ("rows", "tokens")}
    labels = {name: name.capitalize() for name in ("state", "arm", "repeat", "attempts", "started", "finished", "error")}
    shown = [*TABLE, "error"] if frame["error"].any() else list(TABLE)
    st.dataframe(
        frame[shown],
        hide_index=True,
        height=min(38 * (len(frame) + 1), 420),
        alt="the study's probes",
        column_config=labels | whole | {"cpu_s": "CPU s"},
    )
    parts.download(
        lambda: run_frames.probes_frame(reading.all_probes(view.study.name, state)),
        f"{parts.file_name(view.study.name)}-probes.csv",
        key="csv-probes",
    )
    for arm, count, error in run_frames.errors(runs.failed)[:5]:
        with st.container(border=True):
            st.text(f"{count} failed, the first in {arm}:")
            st.code(error, language=None, wrap_lines=True)


def _costs(view: reading.Snapshot) -> None:
    costs = frames.cost_frame(view, reading.arm_costs(view))
    if costs.empty:
        return
    st.subheader("What it cost", anchor=False)
    dearest = costs.assign(total=costs["training"] + costs["scoring"]).nlargest(MOST_ARMS, "total", keep="first")
    if len(costs) > MOST_ARMS:
        st.caption(f"The {MOST_ARMS} dearest of {len(costs):,} arms; the data below hold all.")
    chart = charts.counts(
        run_frames.long_costs(dearest), "arm", "cpu_s", "CPU seconds of all finished probes", theme.palette(), part="part"
    )
    parts.figure(chart, costs, f"{view.study.name}-costs", "CPU seconds of each arm, in training and in scoring")


def _again(view: reading.Snapshot) -> None:
    st.subheader("Run it again", anchor=False)
    st.caption("Finished probes are used again, so this only does what is missing or failed.")
    progress = reading.standing(view.study.name).progress
    asked = run_frames.Asked(reading.seeds(view), reading.design_sources(view), curriculum_frames.order_arms(view))
    parts.commands(*run_frames.repeat_commands(view, asked, progress.failed > 0))


def _log(view: reading.Snapshot) -> None:
    st.subheader("Log", anchor=False)
    file = reading.workspace().logs / f"{view.study.name.replace('/', '_')}.log"
    st.code(str(file), language=None)
    tail = run_frames.log_tail(file)
    if not tail:
        st.text("No worker of this study has written a log here.")
        return
    with st.expander("Its last lines"):
        st.code(tail, language=None, height=320)


if __name__ == "__main__":
    show()
