"""The real thing: the server that `probe dashboard` starts, looked at with a real browser. Skipped, with the reason, without one."""

import re
import sys
import urllib.request
from pathlib import Path
from urllib.parse import urlparse

import pandas as pd
import pytest
from browser import served, watched

from dashboard.navigation import PAGES
from db.store import Store

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
from dashboard_store import Size, fill

NAMES = [Path(path).stem for path in PAGES]
DONE = "() => document.querySelector('h1') && !document.querySelector('[data-testid=stStatusWidget], [data-testid=stSkeleton]')"
WAIT_MS = 180_000  # a busy machine needs long for the first page


@pytest.fixture(scope="module")
def address(filled):
    with served(filled) as found:
        yield found


class Visit:
    """One tab, with what went wrong in it and whom it asked."""

    def __init__(self, browser, address, scheme="light"):
        self.address, self.hosts = address, set()
        self.context = browser.new_context(viewport={"width": 1280, "height": 1000}, color_scheme=scheme)
        self.tab = self.context.new_page()
        self.wrong = watched(self.tab)
        self.tab.on("request", lambda request: self.hosts.add(urlparse(request.url).hostname))

    def open(self, place):
        self.tab.goto(f"{self.address}/{place}")
        self.settle()

    def settle(self):
        self.tab.wait_for_function(DONE, timeout=WAIT_MS)
        self.tab.wait_for_timeout(300)
        self.tab.wait_for_function(DONE, timeout=WAIT_MS)


@pytest.fixture
def visit(browser, address, request):
    found = Visit(browser, address, getattr(request, "param", "light"))
    yield found
    found.context.close()


@pytest.mark.parametrize("visit", ["light", "dark"], indirect=True)
def test_every_page_opens_without_an_error_and_asks_nobody_else(visit):
    for name in NAMES:
        visit.open(f"{'' if name == 'overview' else name}?study=main&source=docs/charts")
        assert visit.tab.locator("[data-testid=stException]").count() == 0, name
        charts = visit.tab.locator("[data-testid=stVegaLiteChart]")
        assert all("role" in charts.nth(k).inner_html() for k in range(charts.count())), name
    assert visit.wrong == []
    assert {host for host in visit.hosts if host} == {"localhost"}


def test_a_filter_is_in_the_link_and_outlives_a_reload(visit):
    visit.open("sources?study=main")
    visit.tab.get_by_role("combobox", name=re.compile("Capability")).click()
    visit.tab.get_by_role("option", name="charts").click()
    visit.tab.wait_for_url(re.compile("capability=charts"), timeout=WAIT_MS)
    visit.tab.reload()
    visit.settle()
    assert "capability=charts" in visit.tab.url
    assert visit.tab.get_by_role("combobox", name=re.compile("Capability")).input_value() == "charts"


def test_rows_are_browsed_page_by_page(visit):
    visit.open("source?study=main&source=docs/charts")
    first = visit.tab.get_by_text(re.compile(r"^Row \d")).all_inner_texts()
    images = visit.tab.locator("[data-testid=stImage] img")
    images.first.wait_for(timeout=WAIT_MS)
    box = visit.tab.get_by_role("spinbutton", name="Page")
    box.fill("2")
    box.press("Enter")
    visit.tab.get_by_text(re.compile("Page 2 of")).wait_for(timeout=WAIT_MS)
    visit.settle()
    assert first
    assert not set(first) & set(visit.tab.get_by_text(re.compile(r"^Row \d")).all_inner_texts())
    assert visit.tab.title() != "owned"  # the rows hold a script


@pytest.mark.parametrize(("visit", "dark"), [("light", False), ("dark", True)], indirect=["visit"])
def test_the_ground_follows_the_readers_scheme(visit, dark):
    visit.open("?study=main")
    colour = visit.tab.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", colour)[:3])) < 200) == dark


def test_the_server_is_asked_for_health(address):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    assert opener.open(f"{address}/_stcore/health", timeout=30).read() == b"ok"


def test_a_csv_holds_what_its_table_leaves_out(browser, tmp_path):
    fill(tmp_path, Size(probes=1_020, sources=60, benchmarks=2, items=10, seeds=2, waiting=4, laddered=1))
    with Store.open(tmp_path / "probe.db", read_only=True) as store:
        probes = len(store.probes("main"))
    with served(tmp_path) as address:
        visit = Visit(browser, address)
        visit.open("runs?study=main")
        assert visit.tab.get_by_text(f"The first 1,000 of {probes:,} probes").count() == 1
        with visit.tab.expect_download(timeout=WAIT_MS) as coming:
            visit.tab.get_by_role("button", name="Download CSV").first.click()
        assert len(pd.read_csv(coming.value.path())) == probes
        visit.context.close()
