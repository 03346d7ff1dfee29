"""Charts as documents of Vega-Lite."""

import altair as alt
import pandas as pd
import pytest
from altair.utils.schemapi import SchemaValidationError

from dashboard.parts import document


def test_a_chart_and_its_document_say_the_same_and_frames_stay_frames():
    frame, other = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), pd.DataFrame({"a": [3]})
    chart = alt.layer(alt.Chart(frame).mark_bar().encode(x="a:Q", y="b:N"), alt.Chart(frame).mark_text(), alt.Chart(other).mark_rule())
    found, plain = document(chart, validate=True), chart.to_dict()
    names = [layer["data"]["name"] for layer in found["layer"]]
    assert names[0] == names[1] != names[2]
    assert [found["datasets"][name] is kept for name, kept in zip(names, (frame, frame, other), strict=True)] == [True] * 3
    assert [layer["mark"] for layer in found["layer"]] == [layer["mark"] for layer in plain["layer"]]
    assert found["layer"][0]["encoding"] == plain["layer"][0]["encoding"]


def test_what_is_not_vega_lite_is_found_where_it_is_looked_for():
    chart = alt.Chart(pd.DataFrame({"a": [1]})).mark_bar().encode(x="a:Q")
    chart.mark = "no such mark"
    document(chart)
    with pytest.raises(SchemaValidationError):
        document(chart, validate=True)
