"""Overview: what should I train on, and how sure is that."""

from __future__ import annotations

import streamlit as st

from dashboard import charts, parts, reading, theme
from dashboard.chosen import chosen_decision
from dashboard.decision_frames import (
    budget_text,
    coverage_frame,
    gains_frame,
    headline,
    main_gain,
    mixture_frame,
    outside_frame,
)
from dashboard.frames import metric_text
from dashboard.live import progress_bar
from dashboard.navigation import chosen_study
from dashboard.study_notes import show_notes
from probe.manifest import Manifest, mixture_terms
from probe.report.words import flag_lines


def show() -> None:
    """Place the page."""
    parts.heading(
        "What should I train on?", "The mixture that a study decided on, what it gains over the current one, and how sure that is."
    )
    view = chosen_study()
    if view is None:
        return
    progress_bar(view)
    parts.trust(view)
    decision = chosen_decision(view)
    if decision is not None:
        _mixture(decision, view)
        _gains(decision)
        _outside(decision)
        parts.sentences(decision.warnings, "Before you believe this decision")
    st.subheader("Does full scale agree?", anchor=False)
    st.text(view.fidelity)
    if decision is not None:
        _terms(decision)
    _coverage(view)
    parts.sentences(view.ranking.warnings if view.ranking else (), "Before you believe the ranking")
    show_notes(view.study.name)


def _mixture(doc: Manifest, view: reading.Snapshot) -> None:
    st.markdown(headline(doc))
    kind, gain, against = main_gain(doc)
    parts.facts(
        {
            f"{kind.capitalize()} gain": gain,
            "Against": against,
            "Budget": budget_text(doc),
            "Measured on": f"{doc.proxy.name}, {metric_text(doc.objective.metric)}",
        }
    )
    if doc.proxy.illustration_only and not (view.ranking and view.ranking.illustration_only):
        st.warning("Illustration, not evidence: this was decided on the bundled proxy.")
    frame = mixture_frame(doc, view)
    st.subheader("The mixture, beside the current one", anchor=False)
    parts.figure(charts.mixture(frame, theme.palette()), frame, "mixture", "share of each source in this mixture and in the current one")
    parts.commands(
        parts.command("probe", "manifest", "show", doc.hash[:12]),
        parts.command("probe", "export", doc.hash[:12], "--trainer", "llamafactory", "--out", "train"),
    )


def _gains(doc: Manifest) -> None:
    frame = gains_frame(doc)
    if frame.empty:
        return
    st.subheader("What it gains, against each baseline", anchor=False)
    st.caption(
        "Only confirmed gains are a claim: other items and seeds than the search had. Predicted ones are read off the searched items."
    )
    title = f"gain in {metric_text(doc.objective.metric)}, with {doc.study.level:.0%} intervals"
    parts.figure(charts.gains(frame, title, theme.palette()), frame, "gains", "gain of the mixture against each baseline, with intervals")
    if doc.confirmed is None:
        st.info("Nothing is confirmed yet. This confirms it with fresh seeds:")
        parts.commands(parts.command("probe", "optimize", "--study", doc.study.name))


def _outside(doc: Manifest) -> None:
    frame = outside_frame(doc)
    if frame.empty:
        return
    st.subheader("Beside the objective", anchor=False)
    st.caption("Benchmarks that the objective does not hold, on confirmation items with the same seeds: no part of the claim.")
    st.dataframe(frame, hide_index=True, alt="gains on benchmarks outside the objective")


def _terms(doc: Manifest) -> None:
    st.subheader("Under which terms", anchor=False)
    terms = mixture_terms(doc)
    parts.facts({"Licence of the whole": terms.expression, "Commercial use": terms.sentence()})
    parts.sentences(terms.conflicts, "These do not go together where the mixture itself is passed on")
    parts.sentences(flag_lines(doc), "Look at these before training")
    st.caption("This is no legal advice: it says what to read.")


def _coverage(view: reading.Snapshot) -> None:
    st.subheader("What is measured", anchor=False)
    frame = coverage_frame(view)
    if frame.empty:
        parts.empty("This study has no benchmark yet.", "probe benchmarks add NAME --path FILE.tsv")
    else:
        st.dataframe(frame, hide_index=True, alt="the study's benchmarks")


if __name__ == "__main__":
    show()
