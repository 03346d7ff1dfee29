"""The dashboard's entry, run by `probe dashboard`: pages in the order of the decision, read-only over one workspace.

python -P -m streamlit run dashboard/app.py -- --workspace .probe
"""

from __future__ import annotations

import sys
from pathlib import Path

# Streamlit puts this folder on the path, which would make `views` and `charts` importable as modules of their own.
_HERE = Path(__file__).resolve().parent
sys.path[:] = [entry for entry in sys.path if not entry or Path(entry).resolve() != _HERE]

import streamlit as st  # noqa: E402

from dashboard import navigation  # noqa: E402
from dashboard.theme import favicon  # noqa: E402

SIDEBAR = 220  # pixels

if __name__ == "__main__":
    st.set_page_config(page_icon=favicon(), layout="wide", initial_sidebar_state=SIDEBAR)
    navigation.run()
