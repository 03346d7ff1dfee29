"""Charts of orders of phases: a frame in, a figure out, as in `charts`."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.curriculum_frames import REST
from dashboard.theme import Palette

HEIGHT = 150


def phases(frame: pd.DataFrame, colours: Palette) -> alt.VConcatChart:
    """Return each curriculum as shares stacked over the training, left to right, in one line of colours for all."""
    slugs = [slug for slug in dict.fromkeys(frame["source"]) if slug != REST] + [REST] * (REST in set(frame["source"]))
    scale = alt.Scale(domain=slugs, range=[*colours.series[: len(slugs) - (REST in slugs)], *([colours.muted] * (REST in slugs))])
    legend = alt.Legend(title=None, orient="bottom", columns=4, labelLimit=240, symbolOpacity=1)
    orders = list(dict.fromkeys(frame["order"]))
    panels = [_one(frame[frame["order"] == order], order, scale, legend, order == orders[-1], colours) for order in orders]
    return alt.vconcat(*panels, spacing=14).resolve_scale(x="shared")


def _one(frame: pd.DataFrame, order: str, scale: alt.Scale, legend: alt.Legend, last: bool, colours: Palette) -> alt.Chart:
    across = alt.Axis(
        title="part of the training" if last else None, format="%", labels=last, tickCount=5, domain=False, titleFontWeight="normal"
    )
    down = alt.Axis(title=None, format="%", tickCount=2, domain=False)
    numbers = [alt.Tooltip(f"{name}:Q", format=".0%") for name in ("share", "start", "end")]
    return (
        alt.Chart(frame, title=alt.TitleParams(order, anchor="start", fontSize=13, fontWeight="normal", color=colours.ink))
        .mark_rect(stroke=colours.ground, strokeWidth=1.5)
        .encode(
            x=alt.X("start:Q", axis=across, scale=alt.Scale(domain=[0, 1])),
            x2=alt.X2("end:Q"),
            y=alt.Y("bottom:Q", axis=down, scale=alt.Scale(domain=[0, 1])),
            y2=alt.Y2("top:Q"),
            color=alt.Color("source:N", scale=scale, legend=legend),
            tooltip=[alt.Tooltip("order:N"), alt.Tooltip("phase:O"), alt.Tooltip("source:N"), *numbers],
        )
        .properties(width="container", height=HEIGHT)
    )


def by_size(frame: pd.DataFrame, unit: str, title: str, colours: Palette) -> alt.LayerChart:
    """Return the gain of each order at each size, with intervals, on a logarithmic axis of sizes."""
    orders = list(dict.fromkeys(frame["order"]))
    x_axis = alt.Axis(
        title=f"size, {unit}", format="~s", values=sorted(set(frame["size"].tolist())), domain=False, titleFontWeight="normal", grid=False
    )
    x = alt.X("size:Q", axis=x_axis, scale=alt.Scale(type="log", padding=24))
    y_axis = alt.Axis(title=title, format="+.3~f", tickCount=6, domain=False, titleFontWeight="normal")
    legend = alt.Legend(title=None, orient="top", symbolOpacity=1, labelLimit=240)
    colour = alt.Color("order:N", scale=alt.Scale(domain=orders, range=list(colours.series[: len(orders)])), legend=legend)
    shape = alt.Shape("order:N", scale=alt.Scale(domain=orders), legend=legend)
    offset = alt.XOffset("order:N", sort=orders)
    tooltip = [
        alt.Tooltip("order:N"),
        alt.Tooltip("against:N"),
        alt.Tooltip("size:Q", format=","),
        alt.Tooltip("effect:N"),
        alt.Tooltip("verdict:N"),
    ]
    base = alt.Chart(frame).encode(x=x, color=colour, tooltip=tooltip)
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color=colours.muted, strokeDash=[4, 3]).encode(y=alt.Y("zero:Q"))
    whisker = base.mark_rule(strokeWidth=2.2, strokeCap="round").encode(y=alt.Y("low:Q", axis=y_axis), y2=alt.Y2("high:Q"), xOffset=offset)
    line = base.mark_line(strokeWidth=1.2, opacity=0.5).encode(y=alt.Y("value:Q"))
    point = base.mark_point(filled=True, size=95, opacity=1).encode(y=alt.Y("value:Q"), shape=shape, xOffset=offset)
    return alt.layer(zero, line, whisker, point).properties(height=320)
