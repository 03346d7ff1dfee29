"""Benchmarks: how good the study's benchmarks are, by its probes and by its proxy."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import benchmark_frames, parts, reading
from dashboard.navigation import chosen_study

PROBES_SAY = {
    "every probe right": "Share of items that every probe gets right: these tell no source from another",
    "every probe wrong": "Share of items that no probe gets right",
    "tells probes apart": "Share of the other items",
    "signal to noise": "Spread of the trained arms over what repeats alone do to one arm's mean",
    "rank agreement": "Kendall's tau between the order of arms by each metric and by written answers",
}
PROXY_SAYS = {
    "with image": "Score of the proxy as it is",
    "without image": "Score on the same items when the image is taken away",
    "kept without image": "Share of the score above chance that is kept without the image",
    "by question alone": "How often the most frequent answer to the same question on other images is right",
    "follows the letter": "Answers that follow the letter in every rotation of the choices",
    "file minus rotated": "Accuracy with the choices as in the file, less that over rotations",
}

WITHOUT_IMAGE = ("benchmark", "items", "chance", "with image", "without image", "kept without image")
WITHOUT_LOOKING = ("benchmark", "by question alone", "follows the letter", "file minus rotated")


def show() -> None:
    """Place the page."""
    parts.heading(
        "Can the benchmarks tell sources apart?", "Selection items only, with 90 % intervals; confirmation items are not looked at."
    )
    view = chosen_study()
    if view is None:
        return
    found = reading.qualities(view)
    if not found:
        study = view.study.name
        parts.empty("No benchmark is scored yet in this study.", parts.command("probe", "run", "--source", "SOURCE", "--study", study))
        return
    parts.trust(view)
    st.subheader("What the study's probes show", anchor=False)
    frame = benchmark_frames.shown_by_probes(view, found)
    written = (frame["rank agreement"] != benchmark_frames.NOTHING_WRITTEN).any()
    shown = ("benchmark", "probes", *list(PROBES_SAY)[: 5 if written else 4])
    _table(frame, PROBES_SAY, shown, f"{view.study.name}-benchmarks-by-probes")
    _proxy(view, found)


def _proxy(view: reading.Snapshot, found: reading.Qualities) -> None:
    st.subheader("What the proxy shows, before any training", anchor=False)
    frame = benchmark_frames.shown_by_proxy(found)
    if not frame.empty:
        _table(frame, PROXY_SAYS, WITHOUT_IMAGE, f"{view.study.name}-benchmarks-without-image")
        st.caption("What is right without looking, by the question alone or by the letter:")
        _table(frame, PROXY_SAYS, WITHOUT_LOOKING, f"{view.study.name}-benchmarks-without-looking")
    if missing := benchmark_frames.not_checked(found):
        proxy = view.study.proxy
        named = proxy.name if proxy.illustration_only else proxy.path
        lines = [parts.command("probe", "benchmarks", "check", name, "--proxy", named) for name in missing]
        parts.empty("What is right without the image, and the letter prior, is not measured yet:", *lines)


def _table(frame: pd.DataFrame, says: dict[str, str], shown: tuple[str, ...], name: str) -> None:
    """Place the columns that are `shown`, so narrow that none has to be scrolled to; the download has all."""
    labels = {column: st.column_config.Column(column.capitalize(), help=says.get(column), width=_width(column)) for column in frame.columns}
    st.dataframe(frame, hide_index=True, column_config=labels, column_order=shown, alt=name.replace("-", " "))
    csv = frame.to_csv(index=False)
    st.download_button("Download CSV", csv, f"{parts.file_name(name)}.csv", "text/csv", key=f"csv-{name}", on_click="ignore")


def _width(column: str) -> int:
    return {"benchmark": 150, "probes": 58, "items": 58, "chance": 62, "rank agreement": 170}.get(column, 148)


if __name__ == "__main__":
    show()
