"""Export: what a trainer would get of a decision, tried before it is written."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import link_state, parts, reading
from dashboard.decisions import decision_label, known_decisions, opened
from dashboard.export_frames import excluded_sentences, files_frame, realised_frame, requested_frame
from dashboard.export_trial import Trial, TrialRefusedError, try_export
from dashboard.navigation import chosen_study
from probe.export import SHARE_TOLERANCE, Mode, exporter_names
from probe.manifest import Manifest

MODES = {
    "exact": "written again and again: exact counts",
    "native": "repeated by the trainer itself",
    "once": "used once, never repeated",
}
MOST_ROWS = 500_000  # of a decision that is tried here
PERCENT = {
    name: st.column_config.NumberColumn(name.capitalize(), format=form)
    for name, form in (("requested", "percent"), ("realised", "percent"), ("off by", "percent"))
}
COLUMNS = PERCENT | {"rows": st.column_config.NumberColumn("Rows", format="localized"), "phase": "Phase", "source": "Source"}


def show() -> None:
    """Place the page."""
    parts.heading(
        "How does a trainer get this mixture?", "What would be written, whether its shares are the decided ones, and the command for it."
    )
    view = chosen_study(effects=False)
    if view is None:
        return
    known = known_decisions(view.study.name)
    if not known:
        parts.empty(
            "There is no decision to export yet. This searches the mixture and confirms it:",
            parts.command("probe", "optimize", "--study", view.study.name),
        )
        return
    labels = {name: decision_label(record) for name, record in known.items()}
    chosen = link_state.choose("Decision", "manifest", list(known), labels.__getitem__)
    left, right = st.columns(2)
    with left:
        trainer = link_state.choose("Trainer", "trainer", _trainers())
    with right:
        mode = link_state.choose("Rows of small sources are", "mode", [mode.value for mode in Mode], lambda name: MODES.get(name, name))
    doc = opened(known[chosen])
    if isinstance(doc, Manifest):
        _export(doc, trainer, mode)
    else:
        st.error("This manifest cannot be read:")
        st.text(doc)


def _trainers() -> list[str]:
    names = list(exporter_names())
    return sorted(names, key=lambda name: name != "llamafactory")


def _export(doc: Manifest, trainer: str, mode: str) -> None:
    parts.facts(
        {
            "Rows": f"{sum(doc.rows().values()):,}",
            "Phases": f"{len(doc.phases)}",
            "Sources": f"{sum(1 for rows in doc.rows().values() if rows)}",
            "Shares may be off by": f"{SHARE_TOLERANCE:.1%}",
        }
    )
    words = ["probe", "export", doc.hash[:12], "--trainer", trainer, "--mode", mode, "--out", "train"]
    parts.commands(parts.command(*words))
    key = (doc.hash, trainer, mode)
    trial = _tried(doc, key)
    if isinstance(trial, Trial):
        _show_trial(trial, f"{doc.hash[:12]}-{trainer}")
        return
    if trial:
        st.error("This export is refused; nothing would be written:")
        st.text(trial)
    st.subheader("What the decision asks for", anchor=False)
    _table(requested_frame(doc), "rows and shares that the decision asks for")


def _tried(doc: Manifest, key: tuple[str, str, str]) -> Trial | str:
    """Place the button and return what is known of this export: a trial, the sentence that refuses it, or nothing yet."""
    if sum(doc.rows().values()) > MOST_ROWS:
        st.info(f"More than {MOST_ROWS:,} rows are not tried here: run the command on the machine.")
        return ""
    if st.button("Try it out", type="primary", help="Writes it into a temporary folder, which is removed again; the store stays as it is"):
        with st.spinner("Writing it into a temporary folder ..."):
            st.session_state["export-trial"] = (key, _outcome(key))
    tried, outcome = st.session_state.get("export-trial", (None, ""))
    found: Trial | str = outcome if tried == key else ""
    return found


def _outcome(key: tuple[str, str, str]) -> Trial | str:
    try:
        return try_export(reading.workspace(), *key)
    except TrialRefusedError as error:
        return str(error)


def _show_trial(trial: Trial, name: str) -> None:
    st.subheader("Shares", anchor=False)
    _table(realised_frame(trial.report), "requested and realised shares")
    parts.sentences(excluded_sentences(trial.report), "Rows that this trainer's format cannot hold")
    parts.sentences(trial.report["warnings"], "Know this before you train")
    st.subheader("Files", anchor=False)
    st.dataframe(files_frame(trial), hide_index=True, alt="files that would be written")
    _downloads(trial, name)
    st.subheader("To train", anchor=False)
    st.code("\n".join(trial.report["commands"]), language="bash", wrap_lines=True)


def _downloads(trial: Trial, name: str) -> None:
    label = "Download the export (zip)" if trial.whole else "Download the small files (zip)"
    st.download_button(label, trial.archive, f"{parts.file_name(name)}.zip", "application/zip", key="export-zip", on_click="ignore")
    if not trial.whole:
        st.caption("The files marked as too large do not go through the browser: the command above writes them on the machine.")
    texts = {file.name: file.text for file in trial.files if file.text}
    if not texts:
        return
    with st.expander("Look at a file"):
        chosen = st.selectbox("File", list(texts), key="export-file")
        st.code(texts[chosen], language=None, height=360)
        st.download_button("Download this file", texts[chosen], parts.file_name(chosen), "text/plain", key="export-one", on_click="ignore")


def _table(frame: pd.DataFrame, says: str) -> None:
    st.dataframe(frame, hide_index=True, alt=says, column_config=COLUMNS)


if __name__ == "__main__":
    show()
