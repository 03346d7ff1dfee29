"""`probe report` on the filled store: all of the decision in one file, hostile text as text, nothing fetched."""

import html.parser
import math
import re
import shutil
import sys

import pytest
from filled_workspace import HOSTILE, MARKDOWN, OVERALL, SCRIPT, a_manifest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.store import Store
from probe.cli.main import main
from probe.manifest import mixture_terms, parse_manifest
from probe.report.axis import MOST_TICKS, axis_over
from probe.report.page import _cell_style
from probe.report.rows import HeatTable
from probe.report.words import signed
from sources.estimate import Estimate

HARMLESS = {"html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "p", "code", "strong", "small", "span", "div", "b"}
HARMLESS |= {"dl", "dt", "dd", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "pre", "svg", "line", "circle", "rect", "text"}


class Page(html.parser.HTMLParser):
    """A page's elements, attributes and text, entities resolved."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.told = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.told.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", "".join(self.told))


@pytest.fixture
def report(tmp_path, monkeypatch, capsys):
    """Run `probe report` on a workspace and return the HTML page, the Markdown text and how it ended."""

    def run(root, *words):
        monkeypatch.setattr(sys, "argv", ["probe", "--workspace", str(root), "report", *map(str, words)])
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code
        told = capsys.readouterr()
        files = [tmp_path / "page.html", tmp_path / "page.md"]
        html_text, markdown = (file.read_text() if file.exists() else "" for file in files)
        return html_text, markdown, code, told.out + told.err

    return run


@pytest.fixture
def noted(filled, tmp_path):
    root = tmp_path / "noted"
    shutil.copytree(filled, root)
    with Store.open(root / "probe.db") as store:
        store.add_note("main", f"take it: {MARKDOWN} </style><img src=x onerror=alert(1)>", SCRIPT)
    return root


def test_the_page_tells_the_decision_with_every_interval(report, noted, tmp_path):
    text, _, code, _ = report(noted, "main", "--html", tmp_path / "page.html")
    page, doc = Page(text), parse_manifest(a_manifest("main").json)
    assert code in (None, 0)
    assert "This mixture beat some baselines, not all" in page.text
    assert "Illustration, not evidence" in page.text
    for gain in doc.confirmed.values():
        assert f"{gain.gain.value:+.3f} [{gain.gain.low:+.3f}, {gain.gain.high:+.3f}]" in page.text
    for slug, (value, half, _) in OVERALL.items():
        assert f"{slug}" in page.text
        assert f"{value:+.3f} [{value - half:+.3f}, {value + half:+.3f}]" in page.text
    assert "1,100" in page.text
    assert "only 2 repeats: intervals are wide" in page.text
    assert "CC-BY-NC-4.0" in page.text
    assert "probes done, 1 failed" in page.text
    assert "no full-scale result is recorded" in page.text
    assert doc.hash in page.text
    assert f"probe manifest verify {doc.hash[:12]}" in page.text


def test_hostile_text_stays_text_and_nothing_is_fetched(report, noted, tmp_path):
    text, markdown, _, _ = report(noted, "main", "--html", tmp_path / "page.html", "--markdown", tmp_path / "page.md")
    page = Page(text)
    assert page.tags <= HARMLESS
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "href", "xlink:href")]
    assert "url(" not in text
    assert "@import" not in text
    assert any(name == "content" and value.startswith("default-src 'none'") for name, value in page.attributes)
    for hostile in (HOSTILE, SCRIPT, MARKDOWN, "<img src=x onerror=alert(1)>"):
        assert hostile in page.text
    assert "<script" not in markdown
    assert "<img" not in markdown
    assert not re.search(r"(?<!\\)\]\(", markdown)  # no link that somebody else wrote
    assert "\\[click\\](https://example.org)" in markdown


@pytest.mark.parametrize(("study", "told"), [("adding", "undecided; 4 more seeds would tell"), ("fresh", "No decision yet")])
def test_a_study_without_a_decision_tells_what_is_known(report, filled, tmp_path, study, told):
    text, markdown, code, _ = report(filled, study, "--html", tmp_path / "page.html", "--markdown", tmp_path / "page.md")
    assert code in (None, 0)
    assert told in Page(text).text
    assert f"probe optimize --study {study}" in Page(text).text
    assert "No decision yet" in markdown


def test_each_metric_has_a_heat_map_of_its_own(report, filled, tmp_path):
    page = Page(report(filled, "main", "--html", tmp_path / "page.html")[0])
    assert "Where each helps: right probability" in page.text
    assert "Where each helps: negative bits per byte" in page.text


def test_a_cell_without_a_number_has_no_colour():
    table = HeatTable(
        "score", ("ocr",), {"a": (Estimate(math.nan, math.nan, math.nan, math.nan, 3),), "b": (Estimate(-0.2, 0.03, -0.3, -0.1, 3),)}
    )
    assert _cell_style(table.cells["a"][0], table) == ""
    assert "213, 94, 0, 0.62" in _cell_style(table.cells["b"][0], table)


def test_a_study_is_meant_before_a_file_of_its_name(report, filled, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fresh").write_text("not a manifest")
    text, _, code, _ = report(filled, "fresh", "--html", tmp_path / "page.html")
    assert code in (None, 0)
    assert "No decision yet" in Page(text).text


def test_a_manifests_file_needs_no_store(report, tmp_path):
    record = a_manifest("theirs")
    (tmp_path / "m.json").write_text(record.json)
    text, _, code, _ = report(tmp_path / "none", tmp_path / "m.json", "--html", tmp_path / "page.html")
    assert code in (None, 0)
    assert "does not hold this study" in Page(text).text
    assert record.hash in Page(text).text
    assert not (tmp_path / "none").exists()


def test_wrong_use_is_a_sentence(report, filled, tmp_path):
    _, _, code, told = report(filled, "main")
    assert (code, "--html FILE" in told) == (2, True)
    _, _, code, told = report(filled, "mian", "--html", tmp_path / "page.html")
    assert (code, "neither a study nor a manifest 'mian'" in told) == (1, True)
    assert not (tmp_path / "page.html").exists()


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=8))
def test_an_axis_holds_its_values_in_order_and_zero(values):
    axis = axis_over(values)
    places = [axis.place(value) for value in sorted([*values, 0.0])]
    assert places == sorted(places)
    assert all(0 <= place <= 100 for place in places)
    assert all(axis.low <= tick <= axis.high for tick in axis.ticks())
    assert len(axis.ticks()) <= MOST_TICKS + 1


@pytest.mark.parametrize(("value", "text"), [(0.126, "+0.13"), (-0.126, "-0.13"), (-0.004, "0.00"), (0.004, "0.00"), (-10.0, "-10.00")])
def test_what_rounds_to_zero_has_no_sign(value, text):
    assert signed(value) == text


def test_the_report_says_whether_the_mixture_may_be_used_commercially(report, filled, tmp_path):
    page, *_ = report(filled, "--html", tmp_path / "page.html")
    doc = parse_manifest(a_manifest("main").json)
    assert mixture_terms(doc).sentence() in Page(page).text
    assert all(flag.reason in Page(page).text for flag in doc.licences.flagged)
