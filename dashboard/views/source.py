"""Source: what is in it: terms, counts, what was excluded, its effects, and the rows themselves."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard import browsing, charts, frames, link_state, parts, reading, source_frames, theme
from dashboard.navigation import chosen_study
from dashboard.sample_cards import show_page
from db.values import SourceRecord
from probe.cli.output import interval
from sources.sampling import SourcePool

ALL = "all"
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
    record = records[link_state.choose("Source", "source", list(records), forgets=("part", "page"))]
    _card(record)
    _exclusions(record)
    if view is not None:
        _effects(view, record.spec.slug)
        _curve(view, record.spec.slug)
    _overlap(record)
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
    designs = frames.designs_of(view, slug)
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


def _curve(view: reading.Snapshot, slug: str) -> None:
    st.subheader("What more of it would do", anchor=False)
    names = [ALL, *frames.capabilities(view)]
    own = reading.whole_arms(view, (arm.name for arm in view.arms if arm.source == slug))
    sizes = {arm.curriculum.budget for arm in own if arm.curriculum.budget}
    if len(sizes) < 2:
        ladder = parts.command("probe", "run", "--source", slug, "--study", view.study.name, "--design", "ladder")
        parts.empty("It was not trained at several sizes. This does it, and forecasts more:", ladder)
        return
    chosen = link_state.choose("Capability", "capability", names, lambda name: "All" if name == ALL else name) if len(names) > 2 else ALL
    found = reading.curve(view, slug, ("overall", "overall") if chosen == ALL else ("capability", chosen))
    if isinstance(found, str):
        st.text(f"No curve: {found}")
        return
    frame = source_frames.curve_frame(found)
    if frame.empty:
        st.text(f"No curve: {found.why}.")
        return
    st.text(f"{found.choice.sentence() if found.choice else found.why}.")
    if found.choice:
        st.text(f"One doubling is worth {interval(found.choice.doubling)} over these sizes.")
    if found.cut:
        st.warning(f"{found.cut[0].upper()}{found.cut[1:]}.")
    unit = f"{view.study.budget_unit.value} of this source"
    chart = charts.curve(frame, unit, frames.metric_text(found.metric), theme.palette())
    parts.figure(chart, frame, f"{slug}-curve", "score at each size of the source, with intervals, and forecasts")
    parts.commands(parts.command("probe", "curve", "--source", slug, "--study", view.study.name))


def _overlap(record: SourceRecord) -> None:
    st.subheader("What it shares with others", anchor=False)
    same = [other.spec.slug for other in reading.registered_sources() if other.fingerprint == record.fingerprint]
    twins = [slug for slug in same if slug != record.spec.slug]
    if twins:
        more = f" and {len(twins) - 5} more" if len(twins) > 5 else ""
        st.warning("The very same data are registered under other names, too:")
        st.text(", ".join(twins[:5]) + more)
    found = reading.overlaps(record.spec.slug)
    if found:
        st.caption("Shares of its rows that are there too, with 95% intervals; rows with a benchmark's items are left out of new studies.")
        frame = source_frames.overlap_frame(found)
        st.dataframe(frame, hide_index=True, alt="what the source shares with others")
        parts.download(frame, f"{parts.file_name(record.spec.slug)}-overlap.csv", key="csv-overlap")
        parts.sentences(source_frames.overlap_examples(found), "For example")
    again = "This looks again:" if found else "Rows that it shares with other sources, or that hold a benchmark's items, are counted by:"
    st.caption(again)
    parts.commands(parts.command("probe", "sources", "overlap", record.spec.slug))


def _spread(record: SourceRecord, pool: SourcePool, numbers: Sequence[int]) -> None:
    frame = source_frames.spread_frame(pool, numbers)
    if frame.empty:
        return
    st.caption(f"How {len(frame):,} of these rows, drawn at random, are made:")
    for column, name in zip(st.columns(len(frame.columns)), frame.columns, strict=True):
        column.altair_chart(charts.histogram(frame, name, theme.palette()), alt=f"histogram of {name} in a row")
    parts.data(frame, f"{record.spec.slug}-rows")


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
        part = link_state.choose("Sub-source", "part", names, browsing.shown_subsource, forgets=("page",)) if len(names) > 1 else names[0]
    with middle:
        seed = link_state.number("Seed", "seed", 0, 2**31 - 1, "Another one shuffles the rows in another way")
    numbers = browsing.shuffled(pool, part, seed)
    pages = browsing.page_count(numbers)
    with right:
        page = link_state.number("Page", "page", 1, pages, f"of {pages:,}, in seeded random order")
    _spread(record, pool, numbers)
    st.caption(f"Page {page:,} of {pages:,}: {len(numbers):,} usable rows in seeded random order.")
    show_page(pool, browsing.on_page(numbers, page))


if __name__ == "__main__":
    show()
