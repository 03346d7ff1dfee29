"""Curriculum: whether the order of training matters, and what is trained when."""

from __future__ import annotations

import streamlit as st

from dashboard import charts, curriculum_charts, curriculum_frames, frames, link_state, parts, reading, theme
from dashboard.chosen import newest_decision
from dashboard.navigation import chosen_study
from db.values import Arm
from probe.manifest import Manifest

ALL = "all"


def show() -> None:
    """Place the page."""
    parts.heading("Does the order matter?", "The same rows staged, reversed and mixed: all that differs is what is trained on when.")
    view = chosen_study()
    if view is None:
        return
    arms, doc = curriculum_frames.order_arms(view), newest_decision(view)
    if not arms and (doc is None or len(doc.phases) == 1):
        _nothing(view)
        return
    _decision(doc)
    _phases(arms, doc)
    if arms:
        parts.trust(view)
        _evidence(view)
        _slopes(view)


def _nothing(view: reading.Snapshot) -> None:
    slugs = sorted({arm.source for arm in view.arms if arm.source})[:2] or ["EASY", "HARD"]
    phases = [word for slug in slugs for word in ("--phase", f"{slug}=1")]
    parts.empty(
        "No order of phases was tested in this study. This trains the same rows staged, reversed and mixed:",
        parts.command("probe", "run", "--study", view.study.name, "--design", "phases", *phases),
    )


def _decision(doc: Manifest | None) -> None:
    if doc is None:
        return
    why, gains = curriculum_frames.confirmed_order(doc)
    if len(doc.phases) > 1:
        st.markdown(f"**The decision has {len(doc.phases)} phases.** They were confirmed against the best static mixture.")
    elif why:
        st.markdown("**The decision has one phase.** No order was confirmed to beat the best static mixture.")
    if why:
        st.text(why)
    if gains:
        parts.facts(dict(gains))


def _phases(arms: list[Arm], doc: Manifest | None) -> None:
    curricula = {curriculum_frames.order_text(arm.name): curriculum_frames.phases_of(arm) for arm in curriculum_frames.largest_arms(arms)}
    if doc is not None and len(doc.phases) > 1:
        curricula = {"decided": curriculum_frames.decided_phases(doc)} | curricula
    if not curricula:
        return
    st.subheader("What is trained when", anchor=False)
    frame = curriculum_frames.phases_frame(curricula)
    says = f"shares of the sources over the training, for {', '.join(curricula)}"
    parts.figure(curriculum_charts.phases(frame, theme.palette()), frame, "phases", says)


def _evidence(view: reading.Snapshot) -> None:
    st.subheader("Is it better than the same rows mixed?", anchor=False)
    names = frames.capabilities(view)
    level = ("overall", "overall")
    if names:
        chosen = link_state.choose("Capability", "capability", [ALL, *names], lambda name: "All" if name == ALL else name)
        level = level if chosen == ALL else ("capability", chosen)
    frame = curriculum_frames.evidence_frame(view, level)
    if frame.empty or view.ranking is None:
        parts.empty("No order is ranked yet.", parts.command("probe", "rank", "--study", view.study.name))
        return
    title = f"gain in {frames.metric_text(str(frame['metric'][0]))}, {view.ranking.level:.0%} intervals"
    st.caption("Each against its own control: the mixture of the same rows, with the learning rate beginning again at the same places.")
    if frame["size"].nunique() > 1:
        chart = curriculum_charts.by_size(frame, view.study.budget_unit.value, title, theme.palette())
    else:
        chart = charts.forest(frame, "shown", title, theme.palette())
    parts.figure(
        chart, frame.drop(columns="tier"), f"{view.study.name}-orders", "gain of each order over the same rows mixed, with intervals"
    )
    table = frame[["shown", "against", "effect", "verdict"]].rename(columns={"shown": "order"})
    st.dataframe(table, hide_index=True, alt="orders with their gains and verdicts")
    pairs = curriculum_frames.reversed_frame(view)
    if level[0] == "overall" and not pairs.empty:
        st.caption("Staged against reversed, directly:")
        st.dataframe(pairs[["what", "size", "difference", "told apart"]], hide_index=True, alt="staged minus reversed by size")


def _slopes(view: reading.Snapshot) -> None:
    frame = curriculum_frames.slopes_frame(reading.order_slopes(view))
    if frame.empty:
        return
    st.subheader("Does it pay more, the more there is to train on?", anchor=False)
    st.caption("What each doubling of the size adds to the gain over the same rows mixed.")
    chart = charts.forest(frame, "order", "change of the gain a doubling, with its interval", theme.palette())
    parts.figure(
        chart, frame.drop(columns="tier"), f"{view.study.name}-order-slopes", "change of each order's gain with size, with intervals"
    )


if __name__ == "__main__":
    show()
