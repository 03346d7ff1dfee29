"""Mixture: what the mixture should be, how firmly that is known, and what else would do."""

from __future__ import annotations

import streamlit as st

from dashboard import parts, reading, search_charts, search_frames, theme
from dashboard.chosen import chosen_decision
from dashboard.frames import metric_text
from dashboard.navigation import chosen_study
from probe.cli.mixture_questions import flat_lines
from probe.cli.optimize import surrogate_line
from probe.manifest import Manifest

MOST_SOURCES = 30  # lines of a chart; the data below it hold all


def show() -> None:
    """Place the page."""
    parts.heading(
        "What should the mixture be?", "Every mixture that was trained, what the search makes of them, and what is as good as its choice."
    )
    view = chosen_study(effects=False)
    if view is None:
        return
    doc = chosen_decision(view)
    if doc is None:
        return
    _trained(doc, view)
    _weights(doc)
    _flat(doc)
    _front(doc)
    _held_out(doc)
    _merged(doc)


def _trained(doc: Manifest, view: reading.Snapshot) -> None:
    st.subheader("Which mixtures were trained, and what they scored", anchor=False)
    frame = search_frames.trained_frame(doc, view)
    if frame.empty:
        parts.empty("This decision does not say what its search saw. This searches again:", _optimize(doc))
        return
    metric = metric_text(doc.objective.metric)
    trained = len(search_frames.trained_runs(doc, view))
    says = f"shares of {len(frame)} trained mixtures, coloured by their {metric}, and the chosen mixture"
    corners = search_frames.sources_of(doc)
    if len(corners) == 3:
        chart = search_charts.triangle(search_frames.triangle_frame(doc, frame), corners, theme.palette())
    else:
        chart = search_charts.parallel(search_frames.lines_frame(doc, frame), theme.palette())
    best = frame.iloc[0]
    told = f"{trained:,} mixtures by their {metric} on selection items; orange is the chosen one."
    if trained > len(frame):
        told += f" Shown are the best {search_frames.MOST_LINES // 2} and as many of the others; `probe studies show --json` has all."
    st.caption(told)
    parts.figure(chart, frame, f"{doc.study.name}-mixtures", says)
    interval = f" [{best['low']:.3f}, {best['high']:.3f}]" if best["low"] == best["low"] and best["low"] is not None else ""
    st.text(f"The best trained one: {best['mixture']}, {best['score']:.3f}{interval}.")


def _weights(doc: Manifest) -> None:
    st.subheader("How firmly the shares are known", anchor=False)
    frame = search_frames.weights_frame(doc)
    kept = search_frames.sources_of(doc)[:MOST_SOURCES]
    st.caption(f"Lines: {doc.study.level:.0%} intervals of the chosen shares over redrawn runs. A long one: other shares do as well.")
    chart = search_charts.weights(frame[frame["source"].isin(kept)], theme.palette())
    parts.figure(chart, frame, f"{doc.study.name}-shares", "each source's share with its interval, beside base, uniform and proportional")


def _flat(doc: Manifest) -> None:
    frame = search_frames.flat_frame(doc)
    if frame.empty:
        return
    st.subheader("What is as good", anchor=False)
    st.caption(
        "At no loss that can be measured. Broad: how far a share can go with the others free. Narrow: by itself, the others scaled alike."
    )
    chart = search_charts.flat(frame.head(MOST_SOURCES), theme.palette())
    parts.figure(chart, frame, f"{doc.study.name}-as-good", "how far each share can go at no measurable loss")
    lines = flat_lines(doc)
    for line in (lines[0], lines[-1]):
        st.text(line)


def _front(doc: Manifest) -> None:
    cost, frame = search_frames.front_frame(doc)
    if frame.empty:
        return
    st.subheader("What a higher score costs", anchor=False)
    if len(frame) == 1:
        st.text(f"One mixture is both the best and the cheapest in {cost}.")
        return
    st.caption("Mixtures that no other is predicted to beat in one without losing in the other. Gains are over the base mixture.")
    title = f"predicted gain in {metric_text(doc.objective.metric)}"
    chart = search_charts.front(frame, f"{cost} at the budget", title, theme.palette())
    parts.figure(chart, frame, f"{doc.study.name}-front", f"predicted gain against {cost} of mixtures on the front")


def _held_out(doc: Manifest) -> None:
    st.subheader("How well the search predicts", anchor=False)
    if line := surrogate_line(doc):
        st.text(line)
    frame = search_frames.held_out_frame(doc)
    if frame.empty:
        st.text("No prediction of a held-out mixture is kept with this decision.")
        return
    told = "Each point is a mixture that the prediction had not seen. On the line, it was right; bars are one run's interval."
    held_out = len(search_frames.held_out_runs(doc))
    st.caption(told if held_out == len(frame) else f"{told} Shown are {len(frame)} of {held_out:,}, evenly by score.")
    parts.facts(search_frames.held_out_facts(doc))
    chart = search_charts.agreement(frame, "scored in training", "predicted without it", theme.palette())
    parts.figure(chart, frame, f"{doc.study.name}-held-out", "predicted against trained score of held-out mixtures")


def _merged(doc: Manifest) -> None:
    st.subheader("Merged adapters against training", anchor=False)
    facts = search_frames.merged_facts(doc)
    if not facts:
        parts.empty(
            "No adapters were merged for this decision. This scores their weighted sums, without training:", _optimize(doc, "--merged")
        )
        return
    parts.facts(facts)
    frame = search_frames.merged_frame(doc)
    if frame.empty:
        st.text("Too few mixtures were trained to tell how merging agrees with training.")
        return
    chart = search_charts.agreement(frame, "scored in training", "predicted by merging", theme.palette())
    says = "what merging adapters predicts against what training scored, by mixture"
    parts.figure(chart, frame, f"{doc.study.name}-merged", says)


def _optimize(doc: Manifest, *more: str) -> str:
    return parts.command("probe", "optimize", "--study", doc.study.name, *more)


if __name__ == "__main__":
    show()
