"""Compare, Export and the report in a real browser; skipped where there is none."""

import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from urllib.parse import urlparse

import pytest
from browser import served, watched
from more_decisions import OLD, another_manifest, keep, keep_exportable

from probe.cli.dashboard import app_file, environment
from probe.workspace import Workspace

WAIT_MS = 60_000


@pytest.fixture(scope="module")
def site(filled, tmp_path_factory):
    """The dashboard over a store with three decisions: its address, and the one that can be exported."""
    root = tmp_path_factory.mktemp("served") / "ws"
    shutil.copytree(filled, root)
    keep(root, another_manifest(), "2026-07-02T12:00:00Z")
    doc = keep_exportable(root)
    with served(root) as address:
        yield address, doc


@pytest.fixture
def open_tab(browser):
    """Return a function that opens a tab; in the end no tab may have logged an error or asked another host."""
    contexts, wrong, hosts = [], [], set()

    def opened(**options):
        context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True, **options)
        context.set_default_timeout(WAIT_MS)
        contexts.append(context)
        tab = context.new_page()
        wrong.append(watched(tab))
        tab.on("request", lambda request: hosts.add(urlparse(request.url).hostname))
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert not [line for lines in wrong for line in lines]
    assert hosts <= {"localhost", None, ""}


def test_compare_follows_a_link_and_a_reload_keeps_it(open_tab, site):
    url, _ = site
    new = another_manifest()
    tab = open_tab(color_scheme="dark")
    tab.goto(f"{url}/compare?study=main&a={OLD.hash}&b={new.hash}")
    tab.get_by_role("heading", name="Shares of the budget that differ").wait_for()
    tab.locator("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg").first.wait_for()
    assert tab.get_by_text("Only B uses").count() == 1
    tab.reload()
    tab.get_by_role("heading", name="Shares of the budget that differ").wait_for()
    assert f"a={OLD.hash}" in tab.url
    assert f"b={new.hash}" in tab.url
    assert tab.evaluate("document.title") != "owned"


def test_export_is_tried_and_downloaded(open_tab, site, tmp_path):
    url, doc = site
    tab = open_tab()
    tab.goto(f"{url}/export?study=main&manifest={doc.hash}&trainer=jsonl")
    tab.get_by_role("button", name="Try it out").click()
    button = tab.get_by_role("button", name="Download the export (zip)")
    button.wait_for()
    with tab.expect_download() as waited:
        button.click()
    waited.value.save_as(tmp_path / "export.zip")
    with zipfile.ZipFile(io.BytesIO((tmp_path / "export.zip").read_bytes())) as archive:
        records = [json.loads(line) for phase in (1, 2) for line in archive.read(f"phase-{phase}.jsonl").splitlines()]
        images = {name for record in records for name in record["images"]}
        assert images <= set(archive.namelist())
    assert Counter(record["source"] for record in records) == doc.rows()


@pytest.mark.parametrize("width", [390, 1280])
def test_the_report_needs_no_script_and_fits_its_screen(browser, filled, tmp_path, width):
    file = tmp_path / "report.html"
    words = [sys.executable, "-P", "-m", "probe", "report", "main", "--html", str(file)]
    env = environment(Workspace(filled)) | {"PYTHONPATH": str(app_file().parent.parent)}
    subprocess.run(words, env=env, check=True, capture_output=True)
    context = browser.new_context(viewport={"width": width, "height": 800}, java_script_enabled=False)
    tab, asked = context.new_page(), []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(file.as_uri())
    assert tab.get_by_role("heading", name="What to train on").is_visible()
    assert asked == [file.as_uri()]
    assert tab.locator("main").bounding_box()["width"] <= width
    assert tab.locator("main table.lines").first.bounding_box()["width"] <= width
    context.close()
