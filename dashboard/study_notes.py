"""Notes on a study: who decided what, and why. They are written by the command line and shown as text."""

from __future__ import annotations

import streamlit as st

from dashboard import reading
from dashboard.parts import command, commands
from probe.cli.output import moment_text
from probe.study.recorded_notes import shown_text

SHOWN = 20  # the newest; the command line lists all


def show_notes(study: str) -> None:
    """Place a study's notes, newest first, and how to write one."""
    with reading.workspace().open_store(read_only=True) as store:
        notes = store.notes(study)
    st.subheader("Who decided what, and why", anchor=False)
    for note in reversed(notes[-SHOWN:]):
        with st.container(border=True, gap="xxsmall"):
            st.text(f"{note.author or 'nobody named'}   ·   {moment_text(note.created_at)} UTC")
            st.text(shown_text(note))
    if len(notes) > SHOWN:
        st.caption(f"The newest {SHOWN} of {len(notes)}; this lists all:")
        commands(command("probe", "studies", "notes", study))
    elif not notes:
        st.caption("Nothing is noted yet. Notes are written on the command line:")
        commands(command("probe", "studies", "note", study, "what was decided, and why"))
