"""Charts: a frame in, a figure out. They compute nothing; colours come in as a palette, background and fonts from Streamlit's theme.

Channels are given as objects (`alt.X2("high:Q")`): to look up what a plain string stands for takes Altair 4 ms, and pages have dozens.
"""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.theme import Palette
from probe.report.words import signed

ROW = 36  # pixels of a table's row, so that a forest plot stands beside it line by line
CELL_WIDTH, CELL_HEIGHT = 118, 46
PLAIN_ZERO = "datum.value == 0 ? '0' : datum.label"  # a sign says nothing of zero
MOST_ACROSS = 9  # benchmarks of a heat map that a page is wide enough for


def forest(frame: pd.DataFrame, label: str, title: str, colours: Palette, *, header: int = 0) -> alt.LayerChart:
    """Return effects as points with intervals, one line a `label`, filled where the interval excludes zero.

    Rows keep their order. With `header` the lines stand beside those of a table, whose header has so many pixels, and go without labels.
    """
    shown = frame.assign(
        sign=[_sign(low, high) for low, high in zip(frame["low"], frame["high"], strict=True)],
        band=[0 if tier is None or pd.isna(tier) else int(tier) % 2 for tier in frame["tier"]],
    )
    order = list(frame[label])
    axis = alt.Axis(
        title=None, labelLimit=260, domain=False, ticks=False, labelPadding=10, labelFontSize=13, labelBound=False, labelFlush=False
    )
    y = alt.Y(f"{label}:N", sort=order, axis=None if header else axis, scale=alt.Scale(paddingInner=0, paddingOuter=0))
    x_axis = alt.Axis(title=title, format="+.3~f", labelExpr=PLAIN_ZERO, tickCount=6, domain=False, titleFontWeight="normal", grid=True)
    x = alt.X("low:Q", axis=x_axis, scale=alt.Scale(zero=True, nice=True, padding=12))
    colour = alt.Color(
        "sign:N",
        legend=None,
        scale=alt.Scale(domain=["better", "worse", "inside the noise"], range=[colours.good, colours.bad, colours.muted]),
    )
    tooltip = [alt.Tooltip(f"{label}:N"), alt.Tooltip("effect:N"), alt.Tooltip("n:Q", title="items"), alt.Tooltip("tier:Q")]
    base = alt.Chart(shown).encode(y=y, tooltip=tooltip)
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color=colours.muted, strokeDash=[4, 3]).encode(x=alt.X("zero:Q"))
    bands = alt.Chart(shown[shown["band"] == 1]).mark_rect(color=colours.faint, opacity=0.45).encode(y=y)
    whisker = base.mark_rule(strokeWidth=2.5, strokeCap="round").encode(x=x, x2=alt.X2("high:Q"), color=colour)
    hollow = alt.condition(alt.datum.sign == "inside the noise", alt.value(colours.ground), colour)
    point = base.mark_point(size=95, strokeWidth=2.2, opacity=1, filled=False).encode(x=alt.X("value:Q"), color=colour, fill=hollow)
    return alt.layer(bands, zero, whisker, point).properties(
        height=alt.Step(ROW), padding={"left": 0, "right": 12, "top": header, "bottom": 4}
    )


def heat_map(frame: pd.DataFrame, title: str, colours: Palette) -> alt.LayerChart:
    """Return effects of sources (down) on benchmarks (across); cells whose interval holds zero are faint and hatched.

    More than `MOST_ACROSS` benchmarks go down instead, so that the page scrolls over them, as cells without numbers that share the
    width of the page.
    """
    reach = max(1e-6, float(frame["value"].abs().max()))  # in this order NaN gives 1e-6
    small = frame["benchmark"].nunique() > MOST_ACROSS
    shown = frame.assign(
        head=[signed(value) for value in frame["value"]],
        range=[f"{signed(low)} to {signed(high)}" for low, high in zip(frame["low"], frame["high"], strict=True)],
        strong=(frame["value"].abs() > 0.7 * reach) & ~frame["inside"],
    )
    across, down = ("source", "benchmark") if small else ("benchmark", "source")
    x_axis = alt.Axis(
        title=None,
        orient="top",
        labelAngle=-40 if small else 0,
        labelLimit=160 if small else CELL_WIDTH,
        labelOverlap=False,
        domain=False,
        ticks=False,
    )
    x = alt.X(f"{across}:N", sort=list(dict.fromkeys(frame[across])), axis=x_axis, scale=alt.Scale(paddingInner=0.03))
    y_axis = alt.Axis(
        title=None,
        labelLimit=260,
        labelOverlap=False,
        domain=False,
        ticks=False,
        labelPadding=10,
        labelFontSize=13,
        labelBound=False,
        labelFlush=False,
    )
    y = alt.Y(f"{down}:N", sort=list(dict.fromkeys(frame[down])), axis=y_axis, scale=alt.Scale(paddingInner=0.06))
    scale = alt.Scale(domain=[-reach, 0, reach], range=[colours.low, colours.middle, colours.high], interpolate="lab")
    legend = alt.Legend(title=title, orient="bottom", format="+.2f", gradientLength=260, titleFontWeight="normal", titleLimit=400)
    tooltip = [alt.Tooltip(name) for name in ("source:N", "benchmark:N", "capability:N", "effect:N")]
    base = alt.Chart(shown).encode(x=x, y=y, tooltip=[*tooltip, alt.Tooltip("n:Q", title="items")])
    faded = alt.condition(alt.datum.inside, alt.value(0.35), alt.value(1.0))
    layers = [
        base.mark_rect(cornerRadius=3).encode(color=alt.Color("value:Q", scale=scale, legend=legend), opacity=faded),
        _hatching(base, colours, small),
    ]
    if not small:
        ink = alt.condition(alt.datum.strong, alt.value("#FFFFFF"), alt.value(colours.ink))
        layers.append(base.mark_text(dy=-7, fontSize=13, fontWeight=600).encode(text=alt.Text("head:N"), color=ink))
        layers.append(base.mark_text(dy=10, fontSize=10).encode(text=alt.Text("range:N"), color=ink))
    width = "container" if small else alt.Step(CELL_WIDTH)
    return alt.layer(*layers).properties(width=width, height=alt.Step(30 if small else CELL_HEIGHT))


def _hatching(base: alt.Chart, colours: Palette, small: bool) -> alt.Chart:
    width, height = (26, 26) if small else (CELL_WIDTH - 6, CELL_HEIGHT - 6)
    path = _hatch_path(width / height)
    return base.transform_filter(alt.datum.inside).mark_point(
        shape=path, size=height * height, stroke=colours.muted, strokeWidth=0.6, opacity=0.55, filled=False
    )


def _hatch_path(aspect: float, lines: int = 9) -> str:
    """Return slanted lines over a box from (-aspect, -1) to (aspect, 1), clipped to it, as an SVG path."""
    parts = []
    for number in range(lines):
        start = -aspect - 2 + (number + 0.5) * (2 * aspect + 2) / lines  # x at the lower edge; the line rises to the right by 2
        left, right = max(start, -aspect), min(start + 2, aspect)
        parts.append(f"M{left:.3f},{1 - (left - start):.3f}L{right:.3f},{1 - (right - start):.3f}")
    return "".join(parts)


def mixture(frame: pd.DataFrame, colours: Palette) -> alt.LayerChart:
    """Return the mixture's shares as bars with intervals, and the current mixture as ticks."""
    axis = alt.Axis(
        title=None, labelLimit=260, domain=False, ticks=False, labelPadding=10, labelFontSize=13, labelBound=False, labelFlush=False
    )
    y = alt.Y("source:N", sort=list(frame["source"]), axis=axis)
    x_axis = alt.Axis(title="share of the budget", format="%", tickCount=6, domain=False, titleFontWeight="normal")
    tooltip = [alt.Tooltip("source:N")]
    tooltip += [alt.Tooltip(f"{name}:Q", format=".1%") for name in ("share", "low", "high", "current")] + [
        alt.Tooltip("rows:Q", format=",")
    ]
    base = alt.Chart(frame).encode(y=y, tooltip=tooltip)
    bars = base.mark_bar(height=16, cornerRadiusEnd=3, opacity=0.85).encode(
        x=alt.X("share:Q", axis=x_axis), color=alt.ColorDatum("this mixture")
    )
    between = (
        base.transform_filter("isValid(datum.low)")
        .mark_rule(strokeWidth=2, color=colours.ink)
        .encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"))
    )
    current = base.mark_tick(thickness=3, height=26, opacity=1).encode(x=alt.X("current:Q"), color=alt.ColorDatum("current mixture"))
    scale = alt.Scale(domain=["this mixture", "current mixture"], range=[colours.main, colours.second])
    legend = alt.Legend(title=None, orient="top", symbolType="square", symbolOpacity=1)
    return alt.layer(bars, between, current).encode(color=alt.Color(scale=scale, legend=legend)).properties(height=alt.Step(ROW))


def gains(frame: pd.DataFrame, title: str, colours: Palette) -> alt.LayerChart:
    """Return gains against baselines: confirmed filled, predicted hollow and muted."""
    axis = alt.Axis(
        title=None, labelLimit=200, domain=False, ticks=False, labelPadding=10, labelFontSize=13, labelBound=False, labelFlush=False
    )
    y = alt.Y("against:N", sort=list(dict.fromkeys(frame["against"])), axis=axis)
    x_axis = alt.Axis(title=title, format="+.3~f", labelExpr=PLAIN_ZERO, tickCount=6, domain=False, titleFontWeight="normal")
    x = alt.X("low:Q", axis=x_axis, scale=alt.Scale(zero=True))
    known = {"confirmed": colours.main, "predicted": colours.muted}
    names = [name for name in known if name in set(frame["kind"])]
    kinds = alt.Scale(domain=names, range=[known[name] for name in names])
    colour = alt.Color("kind:N", scale=kinds, legend=alt.Legend(title=None, orient="top", symbolOpacity=1))
    offset = alt.YOffset("kind:N", scale=alt.Scale(domain=names, paddingOuter=0.25))
    tooltip = [
        alt.Tooltip("against:N"),
        alt.Tooltip("kind:N"),
        alt.Tooltip("gain:N"),
        alt.Tooltip("n:Q", title="items"),
        alt.Tooltip("held:N"),
    ]
    base = alt.Chart(frame).encode(y=y, yOffset=offset, color=colour, tooltip=tooltip)
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color=colours.muted, strokeDash=[4, 3]).encode(x=alt.X("zero:Q"))
    fill = alt.condition(alt.datum.kind == "confirmed", alt.value(colours.main), alt.value(colours.ground))
    return alt.layer(
        zero,
        base.mark_rule(strokeWidth=2.5, strokeCap="round").encode(x=x, x2=alt.X2("high:Q")),
        base.mark_point(size=80, strokeWidth=2.2, opacity=1).encode(x=alt.X("value:Q"), fill=fill),
    ).properties(height=alt.Step(22, **{"for": "offset"}))


def counts(frame: pd.DataFrame, label: str, value: str, title: str, colours: Palette, part: str = "") -> alt.Chart:
    """Return plain bars, rows in order; with `part`, stacked in two colours."""
    axis = alt.Axis(
        title=None, labelLimit=260, domain=False, ticks=False, labelPadding=10, labelFontSize=13, labelBound=False, labelFlush=False
    )
    chart = alt.Chart(frame).mark_bar(height=18, cornerRadiusEnd=0 if part else 3, color=colours.main)
    parts = alt.Scale(domain=list(dict.fromkeys(frame[part])) if part else [], range=[colours.main, colours.second])
    chart = chart.encode(
        y=alt.Y(f"{label}:N", sort=list(dict.fromkeys(frame[label])), axis=axis),
        x=alt.X(f"{value}:Q", axis=alt.Axis(title=title, tickCount=6, tickMinStep=1, domain=False, titleFontWeight="normal", format="~s")),
        tooltip=[
            alt.Tooltip(f"{name}:N" if name != value else f"{name}:Q", format="" if name != value else ",.1f") for name in frame.columns
        ],
    ).properties(height=alt.Step(30))
    return chart.encode(color=alt.Color(f"{part}:N", scale=parts, legend=alt.Legend(title=None, orient="top"))) if part else chart


def histogram(frame: pd.DataFrame, column: str, colours: Palette) -> alt.Chart:
    """Return how often each value of a column comes, in bins where there are many."""
    bins = alt.Bin(maxbins=24) if frame[column].nunique() > 12 else alt.Undefined
    x = alt.X(
        f"{column}:{'Q' if bins is not alt.Undefined else 'O'}",
        bin=bins,
        axis=alt.Axis(title=column, labelAngle=0, domain=False, titleFontWeight="normal"),
    )
    y = alt.Y("count():Q", axis=alt.Axis(title="rows", tickCount=4, tickMinStep=1, domain=False, titleFontWeight="normal"))
    return alt.Chart(frame).mark_bar(color=colours.main, cornerRadiusEnd=2).encode(x=x, y=y, tooltip=["count():Q"]).properties(height=170)


def curve(frame: pd.DataFrame, unit: str, title: str, colours: Palette) -> alt.LayerChart:
    """Return a score over size with intervals: trained sizes filled, forecast ones hollow, sizes on a logarithmic axis."""
    sizes = alt.Axis(title=unit, format="~s", values=sorted(frame["size"]), domain=False, titleFontWeight="normal", grid=False)
    x = alt.X("size:Q", axis=sizes, scale=alt.Scale(type="log", padding=24))
    y = alt.Axis(title=title, format=".3~f", tickCount=6, domain=False, titleFontWeight="normal")
    kinds = alt.Scale(domain=["trained", "forecast"], range=[colours.main, colours.second])
    colour = alt.Color("kind:N", scale=kinds, legend=alt.Legend(title=None, orient="top", symbolOpacity=1))
    numbers = [alt.Tooltip(f"{name}:Q", format=".4f") for name in ("value", "low", "high")]
    base = alt.Chart(frame).encode(x=x, tooltip=[alt.Tooltip("kind:N"), alt.Tooltip("size:Q", format=","), *numbers])
    low = alt.Y("low:Q", axis=y, scale=alt.Scale(zero=False))
    line = base.mark_line(color=colours.muted, strokeWidth=1.2).encode(y=alt.Y("value:Q", axis=y, scale=alt.Scale(zero=False)))
    whisker = base.mark_rule(strokeWidth=2.4, strokeCap="round").encode(y=low, y2=alt.Y2("high:Q"), color=colour)
    hollow = alt.condition(alt.datum.kind == "forecast", alt.value(colours.ground), colour)
    point = base.mark_point(size=95, strokeWidth=2.2, opacity=1, filled=False).encode(y=alt.Y("value:Q"), color=colour, fill=hollow)
    return alt.layer(line, whisker, point).properties(height=300)


def _sign(low: float, high: float) -> str:
    return "better" if low > 0 else "worse" if high < 0 else "inside the noise"
