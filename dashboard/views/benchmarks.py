"""Benchmarks: how good the study's benchmarks are, by its probes and by its proxy."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import benchmark_charts, benchmark_frames, frames, parts, reading, theme
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
        "Can the benchmarks tell sources apart?",
        "What is measured on selection items, with 90 % intervals; confirmation items are not looked at.",
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
    _signal(view, found)
    st.subheader("How many items tell probes apart", anchor=False)
    frame = benchmark_frames.shown_by_probes(view, found)
    written = (frame["rank agreement"] != benchmark_frames.NOTHING_WRITTEN).any()
    shown = ("benchmark", "probes", *list(PROBES_SAY)[: 5 if written else 4])
    _table(frame, PROBES_SAY, shown, f"{view.study.name}-benchmarks-by-probes")
    _proxy(view, found)


def _signal(view: reading.Snapshot, found: reading.Qualities) -> None:
    frame = benchmark_frames.signal_frame(view, found)
    if frame.empty:
        return
    st.subheader("How clearly sources differ on them", anchor=False)
    st.caption("Spread of the trained arms over what repeats alone do to one arm's mean. Hollow: it may be noise alone.")
    chart = benchmark_charts.signal(frame, theme.palette())
    parts.figure(chart, frame, f"{view.study.name}-signal-to-noise", "signal to noise of each benchmark, with intervals")


def _proxy(view: reading.Snapshot, found: reading.Qualities) -> None:
    st.subheader("What is right without the image, before any training", anchor=False)
    for metric, rows in frames.by_metric(benchmark_frames.without_image_frame(found)):
        name = f"{view.study.name}-without-image-{parts.file_name(metric)}"
        chart = benchmark_charts.without_image(rows, f"{metric} of the untrained proxy", theme.palette())
        parts.figure(chart, rows, name, f"{metric} of the untrained proxy with the image, without it and by guessing")
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
    parts.download(frame, f"{parts.file_name(name)}.csv", key=f"csv-{name}")


def _width(column: str) -> int:
    return {"benchmark": 150, "probes": 58, "items": 58, "chance": 62, "rank agreement": 170}.get(column, 148)


if __name__ == "__main__":
    show()
