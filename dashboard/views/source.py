"""Source: what is in it: terms, counts, what was excluded, its effects, and the rows themselves."""

from __future__ import annotations

import streamlit as st

from dashboard import browsing, charts, frames, link_state, parts, reading, source_frames, theme
from dashboard.navigation import chosen_study
from dashboard.sample_cards import show_page
from db.values import SourceRecord

ADD = "probe sources add NAME --path FILE --images FOLDER"


def show() -> None:
    """Place the page."""
    parts.heading(
        "What is in this source?", "Where it comes from, what of it is usable, what it does, and its rows as they would be trained on."
    )
    records = {record.spec.slug: record for record in reading.registered_sources()}
    if not records:
        parts.empty(
            "No source is registered yet. The first command adds your own data, the second probes one that needs no data.",
            ADD,
            "probe run --source world/all",
        )
        return
    view = chosen_study() if reading.study_names() else None
    record = records[link_state.choose("Source", "source", list(records))]
    _card(record)
    _exclusions(record)
    if view is not None:
        _effects(view, record.spec.slug)
    _rows(record)


def _card(record: SourceRecord) -> None:
    spec = record.spec
    excluded = sum(count for _, count in record.excluded)
    parts.facts(
        {
            "Usable rows": f"{record.usable:,}",
            "Excluded rows": f"{excluded:,}",
            "Format": spec.format,
            "Revision": spec.revision or "none stated",
        }
    )
    licence = spec.licence
    parts.facts({"Licence, declared": licence.declared, "Licence, concluded": licence.concluded, "Terms": licence.terms or "none stated"})
    with st.expander("Where it is"):
        st.dataframe(source_frames.place_frame(record), hide_index=True, alt="where the source lies")


def _exclusions(record: SourceRecord) -> None:
    st.subheader("What was left out", anchor=False)
    frame = source_frames.exclusions_frame(record)
    if frame.empty:
        st.text("No row was excluded.")
    else:
        chart = charts.counts(frame, "problem", "rows", "rows excluded", theme.palette())
        parts.figure(chart, frame, f"{record.spec.slug}-exclusions", "rows excluded by class of problem")
    st.caption("Bad rows are counted, never replaced. This shows them with examples:")
    parts.commands(parts.command("probe", "sources", "check", record.spec.slug))


def _effects(view: reading.Snapshot, slug: str) -> None:
    st.subheader("What it does", anchor=False)
    designs = frames.designs(view)
    design = link_state.current("design", designs) if designs else ""
    frame = frames.source_effects_frame(view, slug, design)
    if frame.empty or view.ranking is None:
        parts.empty("It was not probed in this study.", parts.command("probe", "run", "--source", slug, "--study", view.study.name))
        return
    parts.trust(view)
    for metric, rows in frames.by_metric(frame):
        title = f"effect on {metric}, {view.ranking.level:.0%} intervals"
        chart = charts.forest(rows.assign(tier=None), "shown", title, theme.palette())
        says = f"effect of this source overall, by capability and by benchmark, on {metric}"
        parts.figure(chart, rows.drop(columns="shown"), f"{slug}-effects-{parts.file_name(metric)}", says)


def _rows(record: SourceRecord) -> None:
    st.subheader("Look at the rows", anchor=False)
    pool = browsing.open_pool(record, reading.workspace().indexes)
    if isinstance(pool, str):
        st.warning("Its rows cannot be read just now:")
        st.text(pool)
        parts.commands(parts.command("probe", "sources", "check", record.spec.slug))
        return
    left, middle, right = st.columns([2, 1, 1], vertical_alignment="bottom")
    names = browsing.subsources(pool)
    with left:
        part = link_state.choose("Sub-source", "part", names, browsing.shown_subsource) if len(names) > 1 else names[0]
    numbers = browsing.shuffled(pool, part, seed=int(middle.number_input("Seed", 0, 2**31 - 1, 0, key=f"seed-{record.spec.slug}")))
    pages = browsing.page_count(numbers)
    page = int(right.number_input("Page", 1, pages, 1, key=f"page-{record.spec.slug}-{part}", help=f"of {pages:,}, in seeded random order"))
    st.caption(f"Page {page:,} of {pages:,}: {len(numbers):,} usable rows in seeded random order.")
    show_page(pool, browsing.on_page(numbers, page))


if __name__ == "__main__":
    show()
