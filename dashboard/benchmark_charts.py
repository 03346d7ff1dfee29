"""Charts of benchmarks' quality: a frame in, a figure out, as in `charts`."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.theme import Palette

ROW, OFFSET = 30, 12  # pixels of a benchmark's line, and between the marks of one benchmark
KINDS = ("with image", "without image", "guessing")


def signal(frame: pd.DataFrame, colours: Palette) -> alt.LayerChart:
    """Return each benchmark's signal to noise with its interval; hollow where no more than noise cannot be ruled out."""
    y, x = _line(frame), alt.X("low:Q", axis=_axis("signal to noise; 1 is no more than noise", "~g"), scale=alt.Scale(zero=True))
    shown = frame.assign(sign=["above noise" if low > 1 else "not told from noise" for low in frame["low"]])
    domain = alt.Scale(domain=["above noise", "not told from noise"], range=[colours.main, colours.muted])
    colour = alt.Color("sign:N", legend=None, scale=domain)
    numbers = [alt.Tooltip(f"{name}:Q", format=".2f") for name in ("value", "low", "high")]
    base = alt.Chart(shown).encode(y=y, color=colour, tooltip=[alt.Tooltip("benchmark:N"), alt.Tooltip("capability:N"), *numbers])
    one = alt.Chart(pd.DataFrame({"one": [1.0]})).mark_rule(color=colours.muted, strokeDash=[4, 3]).encode(x=alt.X("one:Q"))
    whisker = base.mark_rule(strokeWidth=2.5, strokeCap="round").encode(x=x, x2=alt.X2("high:Q"))
    hollow = alt.condition(alt.datum.sign == "above noise", colour, alt.value(colours.ground))
    point = base.mark_point(size=95, strokeWidth=2.2, opacity=1, filled=False).encode(x=alt.X("value:Q"), fill=hollow)
    return alt.layer(one, whisker, point).properties(height=alt.Step(ROW))


def without_image(frame: pd.DataFrame, title: str, colours: Palette) -> alt.LayerChart:
    """Return what the proxy scores with the image and without it, with intervals, beside what guessing gets."""
    y, axis = _line(frame), _axis(title, ".2~f")
    legend = alt.Legend(title=None, orient="top", symbolOpacity=1)
    colour = alt.Scale(domain=list(KINDS), range=[colours.main, colours.second, colours.muted])
    shape = alt.Scale(domain=list(KINDS), range=["circle", "diamond", "cross"])
    offset = alt.YOffset("kind:N", scale=alt.Scale(domain=list(KINDS), paddingOuter=0.7))
    numbers = [alt.Tooltip(f"{name}:Q", format=".3f") for name in ("value", "low", "high")]
    tooltip = [alt.Tooltip("benchmark:N"), alt.Tooltip("kind:N"), *numbers]
    kind = alt.Color("kind:N", scale=colour, legend=legend)
    base = alt.Chart(frame).encode(y=y, yOffset=offset, color=kind, tooltip=tooltip)
    known = base.transform_filter("isValid(datum.low)")
    whisker = known.mark_rule(strokeWidth=2.2, strokeCap="round").encode(x=alt.X("low:Q", axis=axis), x2=alt.X2("high:Q"))
    x, marks = alt.X("value:Q", axis=axis, scale=alt.Scale(zero=True)), alt.Shape("kind:N", scale=shape, legend=legend)
    return alt.layer(whisker, base.mark_point(filled=True, size=75, opacity=1).encode(x=x, shape=marks)).properties(
        height=alt.Step(OFFSET, **{"for": "offset"})
    )


def _line(frame: pd.DataFrame) -> alt.Y:
    axis = alt.Axis(
        title=None, labelLimit=260, domain=False, ticks=False, labelPadding=10, labelFontSize=13, labelBound=False, labelFlush=False
    )
    return alt.Y("benchmark:N", sort=list(dict.fromkeys(frame["benchmark"])), axis=axis)


def _axis(title: str, form: str) -> alt.Axis:
    return alt.Axis(title=title, format=form, tickCount=6, domain=False, titleFontWeight="normal")
