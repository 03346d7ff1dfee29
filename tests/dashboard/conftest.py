"""The app under test, run in this process by Streamlit's AppTest on a workspace of its own."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
import streamlit as st
from browser import opened_browser
from filled_workspace import fill
from streamlit.testing.v1 import AppTest, app_test

import dashboard
from dashboard import parts

APP = Path(dashboard.__file__).parent / "app.py"


@pytest.fixture(scope="session")
def filled(tmp_path_factory):
    root = tmp_path_factory.mktemp("filled")
    fill(root)
    return root


@pytest.fixture(scope="module")
def browser():
    """A browser for the tests that need a real one; where there is none they are skipped."""
    with ExitStack() as opened:
        try:
            found = opened.enter_context(opened_browser())
        except RuntimeError as error:
            pytest.skip(str(error))
        yield found


@pytest.fixture(autouse=True)
def charts_fit_their_schema(monkeypatch):
    """Every chart that a page of these tests draws is checked against Vega-Lite's schema."""
    monkeypatch.setattr(parts, "document", partial(parts.document, validate=True))


@pytest.fixture
def open_page(monkeypatch):
    """Return a function that runs one page of a workspace, as a link with these parameters would."""

    def run(root, page="overview", /, **parameters):
        monkeypatch.setenv("PROBE_WORKSPACE", str(root))
        monkeypatch.delenv("PROBE_DB_URL", raising=False)
        monkeypatch.setattr("sys.argv", ["app.py"])
        app = AppTest.from_file(APP, default_timeout=180)
        for name, value in parameters.items():
            app.query_params[name] = value
        return app.run() if page == "overview" else app.switch_page(f"views/{page}.py").run()

    yield run
    st.cache_resource.clear()


@pytest.fixture(scope="session", autouse=True)
def no_folder_left_behind():
    yield
    app_test.TMP_DIR.cleanup()  # else it warns when the interpreter ends
