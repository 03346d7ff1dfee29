"""Compare: what two decisions do not agree on, and nothing else."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import link_state, parts, theme
from dashboard.compare_charts import share_changes
from dashboard.compare_frames import NOTHING, difference_frames, newly_used, shares_frame
from dashboard.decisions import decision_label, known_decisions, opened
from dashboard.decorators import kept_values
from dashboard.navigation import chosen_study
from db.values import ManifestRecord
from probe.manifest import Manifest, ManifestDiff, diff_manifests

LISTED = 5  # names in a row of facts
ROW_PIXELS, MOST_SHOWN = 35, 20  # of a table, before it scrolls
LINE_PIXELS, LINE_CHARS, MOST_LINES = 30, 38, 5  # of a text in it


def show() -> None:
    """Place the page."""
    parts.heading("What do two decisions disagree on?", "Two manifests side by side, from any study of this workspace: differences only.")
    view = chosen_study(effects=False)
    if view is None:
        return
    known = known_decisions(view.study.name)
    if len(known) < 2:
        missing = "no decision yet. This makes the first:" if not known else "one decision so far. This makes another to compare it with:"
        parts.empty(f"There is {missing}", parts.command("probe", "optimize", "--study", view.study.name))
        return
    chosen = _choices(known)
    docs = [_document(known[name]) for name in chosen]
    if isinstance(docs[0], Manifest) and isinstance(docs[1], Manifest):
        _differences(docs[0], docs[1])


def _choices(known: dict[str, ManifestRecord]) -> tuple[str, str]:
    newest_first = list(known)
    labels = {name: decision_label(record) for name, record in known.items()}
    left, right = st.columns(2)
    with left:
        a = link_state.choose("A, the one before", "a", [*newest_first[1:2], newest_first[0], *newest_first[2:]], labels.__getitem__)
    with right:
        b = link_state.choose("B, the one after", "b", newest_first, labels.__getitem__)
    return a, b


def _document(record: ManifestRecord) -> Manifest | None:
    found = opened(record)
    if isinstance(found, Manifest):
        return found
    st.error("This manifest cannot be read:")
    st.text(found)
    return None


@kept_values(entries=16)
def _compared(a: str, b: str, _a: Manifest, _b: Manifest) -> ManifestDiff:
    return diff_manifests(_a, _b)


def _differences(a: Manifest, b: Manifest) -> None:
    found = _compared(a.hash, b.hash, a, b)
    if found.same_decision:
        st.success("Both are the same decision. Choose another one to see what differs.")
        return
    _facts(a, b, len(found.differences))
    _shares(a, b)
    for title, frame in difference_frames(found, details=False):
        st.subheader(title, anchor=False)
        _table(title, frame)
    more = list(difference_frames(found, details=True))
    if more:
        st.subheader("How they were come by", anchor=False)
        st.caption("Rows of each source, recipe, search, evidence and who wrote it.")
    for title, frame in more:
        with st.expander(f"{title}: {len(frame):,}"):
            _table(title, frame)
    st.caption("The same on the command line:")
    parts.commands(parts.command("probe", "manifest", "diff", a.hash[:12], b.hash[:12]))


def _table(title: str, frame: pd.DataFrame) -> None:
    longest = int(frame[["A", "B"]].map(len).to_numpy().max())
    row = ROW_PIXELS + LINE_PIXELS * min(MOST_LINES - 1, longest // LINE_CHARS)  # higher rows wrap their text
    height = ROW_PIXELS + row * min(len(frame), MOST_SHOWN) + 3
    st.dataframe(frame, hide_index=True, height=height, row_height=row, alt=f"differences: {title}", column_config=COLUMNS)


COLUMNS = {
    "what": st.column_config.TextColumn("What", width="medium"),
    "A": st.column_config.TextColumn("A", width="medium"),
    "B": st.column_config.TextColumn("B", width="medium"),
}


def _facts(a: Manifest, b: Manifest, differences: int) -> None:
    facts = {"Differences": f"{differences:,}"}
    for name, one, other in (("A", a, b), ("B", b, a)):
        facts[name] = f"{one.budget.amount:,} {one.budget.unit}, {len(one.phases)} phase{'s' if len(one.phases) > 1 else ''}"
        facts[f"Only {name} uses"] = _listed(newly_used(other, one))
    parts.facts(facts)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more or NOTHING


def _shares(a: Manifest, b: Manifest) -> None:
    frame = shares_frame(a, b)
    if frame.empty:
        return
    st.subheader("Shares of the budget that differ", anchor=False)
    parts.figure(share_changes(frame, theme.palette()), frame, "share-changes", "share of each source that differs, in A and in B")


if __name__ == "__main__":
    show()
