"""Sources: which of them help, told by effects with intervals, in tiers."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import charts, frames, link_state, parts, reading, theme
from dashboard.navigation import chosen_study

ALL = "all"


def show() -> None:
    """Place the page."""
    parts.heading(
        "Which sources help?",
        "Sources of different tiers are told apart; inside a tier, the pairs below say which are.",
    )
    view = chosen_study()
    if view is None:
        return
    designs = frames.designs(view)
    if view.ranking is None or not designs:
        parts.empty("Nothing is ranked yet in this study.", *_fill(view))
        return
    parts.trust(view)
    design, capability = _choices(view, designs)
    effects = frames.effects_frame(view, design, capability)
    if effects.empty:
        parts.empty("No source is scored here yet.", *_fill(view))
        return
    _about(view, design, frames.metric_text(str(effects["metric"][0])))
    _ranking(view, effects, design, capability)
    _pairs(view, design, capability)
    parts.sentences(view.ranking.warnings, "Before you believe the ranking")


def _fill(view: reading.Snapshot) -> list[str]:
    study = view.study.name
    return [parts.command("probe", "run", "--source", "SOURCE", "--study", study), parts.command("probe", "rank", "--study", study)]


def _choices(view: reading.Snapshot, designs: list[str]) -> tuple[str, str]:
    left, right = st.columns(2)
    with left:
        capability = link_state.choose(
            "Capability", "capability", [ALL, *frames.capabilities(view)], lambda name: "All" if name == ALL else name
        )
    with right:
        design = link_state.choose("Question", "design", designs, lambda name: frames.WORDS.get(name, name))
    return design, "" if capability == ALL else capability


def _about(view: reading.Snapshot, design: str, metric: str) -> None:
    ranking = view.ranking
    assert ranking is not None
    against = "base" if design == "add-one" else "untrained proxy"
    parts.facts(
        {
            "Effect on": metric,
            "Against": against,
            "Proxy": ranking.proxy,
            "Intervals": f"{ranking.level:.0%}",
            "Noise floor": frames.known_text(ranking.noise_floor),
            "Detectable from": frames.known_text(ranking.minimum_detectable_effect),
        }
    )


def _ranking(view: reading.Snapshot, effects: pd.DataFrame, design: str, capability: str) -> None:
    table = frames.ranking_table(effects, reading.arm_costs(view), view)
    left, right = st.columns([68, 32], gap="small")
    with left:
        st.data_editor(  # a table that cannot be sorted, so that the lines of the plot beside it stay its own: rows could be added,
            table,  # which rules sorting out, if it were not disabled
            disabled=True,
            num_rows="dynamic",
            hide_index=True,
            row_height=charts.ROW,
            height=charts.ROW * (len(table) + 1) + 2,
            key=f"ranking-{design}-{capability}",
            alt="sources by tier, with effects, intervals and cost",
            column_config={
                "tier": st.column_config.NumberColumn("Tier", width=46, help="1 is best; different tiers mean told apart"),
                "rank": st.column_config.TextColumn("Rank", width=64, help="The places that the source may have"),
                "open": st.column_config.LinkColumn("Source", display_text="#(.+)$", width=138),
                "effect": st.column_config.TextColumn("Effect [interval]", width=168),
                "verdict": st.column_config.TextColumn("Verdict", width=128),
                "rows": st.column_config.NumberColumn("Rows", format="localized", width=62, help="Rows that one probe trained on"),
                "cost": st.column_config.NumberColumn(
                    "CPU s", format="%.0f", width=56, help="CPU seconds of one probe: training and scoring"
                ),
            },
        )
    with right:
        figure = charts.forest(effects, "source", "effect, with its interval", theme.palette(), header=charts.ROW + 1)
        st.altair_chart(figure, width="stretch", alt="effect of each source with its interval, best first")
    parts.data(effects, f"{view.study.name}-sources-{capability or ALL}")


def _pairs(view: reading.Snapshot, design: str, capability: str) -> None:
    if not link_state.switch("Which sources can be told apart?", "pairs"):
        return
    frame = frames.pairs_frame(view, design, capability)
    if frame.empty:
        st.text("No two sources of this question were compared.")
        return
    st.caption("Differences a minus b. Told apart: decided after correction for the number of pairs.")
    st.dataframe(frame[["a", "b", "difference", "told apart"]], hide_index=True, alt="differences between sources")
    parts.download(frame, "pairs.csv", key="csv-pairs")


if __name__ == "__main__":
    show()
