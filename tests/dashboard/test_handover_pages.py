"""Notes, Compare and Export on an empty store and on a filled one."""

import shutil

from filled_workspace import MARKDOWN, SCRIPT
from page_text import shown

from db.store import Store


def test_the_overview_shows_who_decided_what_and_why_as_text(open_page, filled, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(filled, root)
    assert "probe studies note main" in shown(open_page(root, "overview", study="main"))
    with Store.open(root / "probe.db") as store:
        store.add_note("main", f"take it: {MARKDOWN}", SCRIPT)
    app = open_page(root, "overview", study="main")
    told = [element.value for element in app.text]
    assert f"take it: {MARKDOWN}" in told
    assert any(text.startswith(SCRIPT) for text in told)
    assert not any(SCRIPT in element.value for element in [*app.markdown, *app.caption])
    assert "take it" not in shown(open_page(root, "overview", study="adding"))
