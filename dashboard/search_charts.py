"""Charts of a search: a frame in, a figure out, as in `charts`."""

from __future__ import annotations

import math

import altair as alt
import pandas as pd

from dashboard.search_frames import CHOSEN
from dashboard.theme import Palette

LABELS = {"labelLimit": 240, "domain": False, "ticks": False, "labelPadding": 10, "labelFontSize": 13}
QUIET = {"domain": False, "titleFontWeight": "normal", "tickCount": 6}


def _tips(*names: str, **numbers: str) -> list[alt.Tooltip]:
    """Return tooltips: names as they are, then numbers by column with their format."""
    return [*(alt.Tooltip(f"{name}:N") for name in names), *(alt.Tooltip(f"{name}:Q", format=form) for name, form in numbers.items())]


def _lines(frame: pd.DataFrame) -> alt.Y:
    axis = alt.Axis(title=None, labelBound=False, labelFlush=False, **LABELS)
    return alt.Y("source:N", sort=list(dict.fromkeys(frame["source"])), axis=axis)


def _from(axis: alt.Axis) -> alt.Y:
    """Return the lower ends of intervals on a layered chart's axis, which every layer has to name alike."""
    return alt.Y("low:Q", axis=axis, scale=alt.Scale(zero=False))


def _scored(colours: Palette) -> alt.Color:
    legend = alt.Legend(title="score", orient="right", gradientLength=180, titleFontWeight="normal", format=".3~f")
    return alt.Color("score:Q", scale=alt.Scale(range=list(colours.ramp), interpolate="lab", zero=False), legend=legend)


def parallel(frame: pd.DataFrame, colours: Palette) -> alt.LayerChart:
    """Return one line a mixture over axes of sources, coloured by score; the chosen mixture stands out."""
    axis = alt.Axis(title=None, labelAngle=-35, labelLimit=150, domain=False, ticks=False, grid=True, labelFontSize=12, labelOverlap=False)
    x = alt.X("source:N", sort=list(dict.fromkeys(frame["source"])), axis=axis, scale=alt.Scale(padding=0.2))
    y = alt.Y("share:Q", axis=alt.Axis(title="share of the budget", format="%", **QUIET), scale=alt.Scale(domainMin=0))
    tooltip = _tips("mixture", "source", score=".4f", share=".1%")
    trained, own = frame[frame["mixture"] != CHOSEN], frame[frame["mixture"] == CHOSEN]
    lines = (
        alt.Chart(trained.sort_values("score", kind="stable"))
        .mark_line(strokeWidth=1.4, opacity=0.55)
        .encode(x=x, y=y, detail=alt.Detail("mixture:N"), color=_scored(colours), tooltip=tooltip)
    )
    outline = alt.Chart(own).mark_line(strokeWidth=7, color=colours.ground).encode(x=x, y=y)
    chosen = alt.Chart(own).mark_line(strokeWidth=3.2, color=colours.second, point=alt.OverlayMarkDef(size=70, color=colours.second))
    return alt.layer(lines, outline, chosen.encode(x=x, y=y, tooltip=_tips("source", share=".1%"))).properties(height=380)


def triangle(frame: pd.DataFrame, corners: list[str], colours: Palette) -> alt.LayerChart:
    """Return mixtures of three sources as points of a triangle, coloured by score; the chosen one is a cross."""
    height = math.sqrt(3) / 2
    edge = pd.DataFrame({"x": [0, 1, 0.5, 0], "y": [0, 0, height, 0], "step": range(4)})
    names = pd.DataFrame({"x": [0, 1, 0.5], "y": [-0.06, -0.06, height + 0.05], "name": corners})
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[-0.15, 1.15]))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[-0.12, 1.0]))
    tooltip = [
        *_tips("mixture", score=".4f"),
        *(alt.Tooltip(f"{_field(c)}:Q", title=c, format=".1%") for c in corners),
    ]
    trained, own = frame[frame["mixture"] != CHOSEN], frame[frame["mixture"] == CHOSEN]
    layers = [
        alt.Chart(edge).mark_line(color=colours.muted).encode(x=x, y=y, order=alt.Order("step:O")),
        alt.Chart(trained).mark_circle(size=110, opacity=1).encode(x=x, y=y, color=_scored(colours), tooltip=tooltip),
        alt.Chart(own).mark_point(shape="cross", size=260, filled=True, opacity=1, color=colours.second).encode(x=x, y=y, tooltip=tooltip),
        alt.Chart(names).mark_text(fontSize=13, color=colours.ink).encode(x=x, y=y, text=alt.Text("name:N")),
    ]
    return alt.layer(*layers).properties(height=440)


def _field(name: str) -> str:
    """Return a column's name as Vega takes it, which reads dots and brackets as paths."""
    return name.replace("\\", "\\\\").replace(".", "\\.").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")


def weights(frame: pd.DataFrame, colours: Palette) -> alt.LayerChart:
    """Return the chosen shares with their intervals, and baselines as marks on the same lines."""
    y = _lines(frame)
    axis = alt.Axis(title="share of the budget", format="%", **QUIET)
    x = alt.X("share:Q", axis=axis)
    names = [CHOSEN, *(name for name in dict.fromkeys(frame["mixture"]) if name != CHOSEN)]
    domain = alt.Scale(domain=names, range=[colours.main, colours.second, colours.muted, colours.third][: len(names)])
    shapes = alt.Scale(domain=names, range=["circle", "diamond", "cross", "triangle-up"][: len(names)])
    legend = alt.Legend(title=None, orient="top", symbolOpacity=1, labelLimit=320)
    tooltip = _tips("source", "mixture", share=".1%", low=".1%", high=".1%")
    base = alt.Chart(frame).encode(y=y, tooltip=tooltip)
    between = base.transform_filter(alt.datum.mixture == CHOSEN).mark_rule(strokeWidth=3, strokeCap="round", color=colours.main)
    points = base.mark_point(size=85, filled=True, opacity=1).encode(
        x=x, color=alt.Color("mixture:N", scale=domain, legend=legend), shape=alt.Shape("mixture:N", scale=shapes, legend=legend)
    )
    return alt.layer(between.encode(x=alt.X("low:Q", axis=axis), x2=alt.X2("high:Q")), points).properties(height=alt.Step(28))


def agreement(frame: pd.DataFrame, across: str, down: str, colours: Palette) -> alt.LayerChart:
    """Return predicted against scored with each prediction's interval; those that miss are marked, the diagonal is agreement."""
    ends = [float(frame[["scored", "predicted"]].min().min()), float(frame[["scored", "predicted"]].max().max())]
    room = 0.04 * max(ends[1] - ends[0], 1e-6)
    line = pd.DataFrame({"at": [ends[0] - room, ends[1] + room]})
    told = frame.assign(where=["inside its interval" if inside else "outside" for inside in frame["inside"]])
    x = alt.X("scored:Q", axis=alt.Axis(title=across, format=".3~f", **QUIET), scale=alt.Scale(zero=False))
    axis = alt.Axis(title=down, format=".3~f", **QUIET)
    y = alt.Y("predicted:Q", axis=axis, scale=alt.Scale(zero=False))
    domain = ["inside its interval", "outside"]
    legend = alt.Legend(title=None, orient="top", symbolOpacity=1, labelLimit=320)
    colour = alt.Color("where:N", scale=alt.Scale(domain=domain, range=[colours.main, colours.bad]), legend=legend)
    shape = alt.Shape("where:N", scale=alt.Scale(domain=domain, range=["circle", "triangle-up"]), legend=legend)
    tooltip = _tips("mixture", scored=".4f", predicted=".4f", low=".4f", high=".4f")
    base = alt.Chart(told).encode(x=x, tooltip=tooltip, color=colour)
    few = len(frame) <= 300
    whisker = base.mark_rule(strokeWidth=1.4, opacity=0.45 if few else 0.12).encode(y=_from(axis), y2=alt.Y2("high:Q"))
    point = base.mark_point(filled=True, size=60 if few else 18, opacity=0.95 if few else 0.55).encode(y=y, shape=shape)
    diagonal = alt.Chart(line).mark_line(color=colours.muted, strokeDash=[4, 3]).encode(x=alt.X("at:Q"), y=alt.Y("at:Q"))
    return alt.layer(diagonal, whisker, point).properties(height=340)


def front(frame: pd.DataFrame, cost: str, gain: str, colours: Palette) -> alt.LayerChart:
    """Return mixtures that no other beats in both gain and cost."""
    x = alt.X("cost:Q", axis=alt.Axis(title=cost, format="~s", **QUIET), scale=alt.Scale(zero=False, padding=16))
    axis = alt.Axis(title=gain, format="+.3~f", **QUIET)
    y = alt.Y("gain:Q", axis=axis)
    tooltip = _tips("mixture", cost=",.0f", gain="+.4f", low="+.4f", high="+.4f")
    base = alt.Chart(frame).encode(x=x, tooltip=tooltip)
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color=colours.muted, strokeDash=[4, 3]).encode(y=alt.Y("zero:Q"))
    whisker = base.mark_rule(strokeWidth=2, opacity=0.5, color=colours.main).encode(y=_from(axis), y2=alt.Y2("high:Q"))
    steps = base.mark_line(interpolate="step-before", color=colours.muted, strokeWidth=1.2).encode(y=y)
    return alt.layer(zero, steps, whisker, base.mark_circle(size=95, opacity=1, color=colours.main).encode(y=y)).properties(height=340)


def flat(frame: pd.DataFrame, colours: Palette) -> alt.LayerChart:
    """Return how far each share can go at no measurable loss: thin with the others free, thick by itself; a diamond for the simplest."""
    y = _lines(frame)
    x = alt.X("low:Q", axis=alt.Axis(title="share of the budget", format="%", **QUIET))
    names = ["share of the mixture", "simplest mixture that is as good"]
    legend = alt.Legend(title=None, orient="top", symbolOpacity=1, labelLimit=320)
    colour, shape = alt.Scale(domain=names, range=[colours.ink, colours.second]), alt.Scale(domain=names, range=["circle", "diamond"])
    tooltip = _tips("source", share=".0%", low=".0%", high=".0%", low_alone=".0%", high_alone=".0%", simplest=".0%")
    base = alt.Chart(frame).encode(y=y, tooltip=tooltip)
    free = base.mark_bar(height=14, cornerRadius=4, opacity=0.35, color=colours.main).encode(x=x, x2=alt.X2("high:Q"))
    alone = base.mark_bar(height=6, cornerRadius=3, opacity=0.9, color=colours.main).encode(
        x=alt.X("low_alone:Q"), x2=alt.X2("high_alone:Q")
    )
    points = [
        base.mark_point(filled=True, size=70, opacity=1)
        .encode(
            x=alt.X(f"{field}:Q"),
            color=alt.Color("kind:N", scale=colour, legend=legend),
            shape=alt.Shape("kind:N", scale=shape, legend=legend),
        )
        .transform_calculate(kind=f"'{name}'")
        for field, name in zip(("simplest", "share"), reversed(names), strict=True)
    ]
    return alt.layer(free, alone, *points).properties(height=alt.Step(28))
