"""The chart of two mixtures: a frame in, a figure out."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.charts import ROW
from dashboard.theme import Palette


def share_changes(frame: pd.DataFrame, colours: Palette) -> alt.LayerChart:
    """Return one line a source from its share in A (hollow) to its share in B (filled)."""
    axis = alt.Axis(
        title=None, labelLimit=260, domain=False, ticks=False, labelPadding=10, labelFontSize=13, labelBound=False, labelFlush=False
    )
    y = alt.Y("source:N", sort=list(frame["source"]), axis=axis)
    x_axis = alt.Axis(title="share of the budget", format="%", tickCount=6, domain=False, titleFontWeight="normal")
    tooltip = [alt.Tooltip("source:N")]
    tooltip += [alt.Tooltip(f"{name}:Q", format=form) for name, form in (("a", ".1%"), ("b", ".1%"), ("change", "+.1%"))]
    base = alt.Chart(frame).encode(y=y, tooltip=tooltip)
    line = base.mark_rule(strokeWidth=2.5, strokeCap="round", color=colours.muted).encode(x=alt.X("a:Q", axis=x_axis), x2=alt.X2("b:Q"))
    points = [
        base.mark_point(size=95, strokeWidth=2.2, opacity=1, filled=False).encode(
            x=alt.X(f"{side}:Q", axis=x_axis), color=alt.ColorDatum(side.upper()), fill=alt.FillValue(fill)
        )
        for side, fill in (("a", colours.ground), ("b", colours.main))
    ]
    scale = alt.Scale(domain=["A", "B"], range=[colours.second, colours.main])
    legend = alt.Legend(title=None, orient="top", symbolOpacity=1)
    return alt.layer(line, *points).encode(color=alt.Color(scale=scale, legend=legend)).properties(height=alt.Step(ROW))
