"""What refreshes itself while a study runs: Streamlit calls a fragment again, without reloading the page."""

from __future__ import annotations

import streamlit as st

from dashboard import reading
from dashboard.decorators import repeated
from dashboard.parts import command, commands
from dashboard.run_frames import span
from db.values import StudyProgress

WHILE_RUNNING_S, WHILE_IDLE_S = 2.0, 15.0


def interval_s(study: str) -> float:
    """Return how often a study has to be looked at."""
    return WHILE_RUNNING_S if reading.standing(study).progress.running else WHILE_IDLE_S


def progress_bar(view: reading.Snapshot) -> None:
    """Place a study's progress; the page follows when the study moves on."""

    @repeated(interval_s(view.study.name))
    def follow() -> None:
        now = reading.standing(view.study.name)
        show_progress(now.progress)
        if now.revision != view.study.revision:
            st.rerun(scope="app")

    follow()


def show_progress(progress: StudyProgress) -> None:
    """Place a bar and one sentence: how many probes are done, what they cost, what is left."""
    total = progress.probes()
    if not total:
        st.info("This study has no probe yet.")
        commands(command("probe", "run", "--source", "SOURCE", "--study", progress.study))
        return
    words = [f"{progress.done:,} of {total:,} probes done"]
    words += [
        f"{count:,} {word}"
        for word, count in (("running", progress.running), ("waiting", progress.waiting), ("failed", progress.failed))
        if count
    ]
    words.append(f"{span(progress.cpu_s)} of CPU time")
    if progress.waiting or progress.running:
        words.append(f"about {span((progress.waiting + progress.running) * progress.mean_probe_cpu_s)} of CPU time left")
        st.progress(progress.done / total)
    st.text("   ·   ".join(words))
