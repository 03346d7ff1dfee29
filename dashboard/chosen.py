"""The decision that a page is about: the one that the URL names among a study's manifests, else the newest."""

from __future__ import annotations

import streamlit as st

from dashboard import link_state, parts, reading
from dashboard.decisions import opened
from probe.manifest import Manifest


def chosen_decision(view: reading.Snapshot) -> Manifest | None:
    """Let people choose among a study's decisions and return one; where there is none say which command makes it."""
    study = view.study.name
    if not view.manifests:
        parts.empty(
            "This study has no decision yet. This searches the mixture and confirms it:",
            parts.command("probe", "optimize", "--study", study),
        )
        if view.ranking is not None:
            st.page_link("views/sources.py", label="See which sources help", icon=":material/leaderboard:", query_params={"study": study})
        return None
    kept = {record.hash: record for record in view.manifests}
    dates = {name: f"{record.created_at[:16].replace('T', ' ')}   {name[:12]}" for name, record in kept.items()}
    hashes = list(kept)
    chosen = link_state.choose("Decision", "manifest", hashes, dates.__getitem__) if len(hashes) > 1 else hashes[0]
    found = opened(kept[chosen])
    if isinstance(found, Manifest):
        return found
    st.error("This manifest cannot be read:")
    st.text(found)
    return None


def newest_decision(view: reading.Snapshot) -> Manifest | None:
    """Return the decision that the URL names, else the newest that can be read; nothing is said where there is none."""
    wanted = st.query_params.get("manifest", "")
    records = sorted(view.manifests, key=lambda record: record.hash != wanted)  # stable: else the newest first
    found = opened(records[0]) if records else None
    return found if isinstance(found, Manifest) else None
