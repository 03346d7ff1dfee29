#!/usr/bin/env python3
"""Seconds from a browser's navigation to the last visible chart, for every page of the dashboard on a large store.

    python benchmarks/dashboard.py [--json] [--workspace DIR] [--db URL] [--repeats N] [--smaller]

The store holds 10,000 probes of 200 sources on 50 benchmarks of 200 items (`dashboard_store.py`); one that is not there is made first,
which takes a quarter of an hour, and is used again when it is named. The server's process is warm (every page was opened once) and its
caches are cold: they are emptied before each navigation, as a change of the store does. A page counts as visible when the server has
finished and its last chart is drawn, wherever on the page that is.

Each page is come to in two ways, one after the other in each repeat: `clicked` in the list of pages of a tab that is open, and `opened`
by its link in a new tab. The second also loads Streamlit's own program into the browser; what that takes without this project is
`streamlit_alone`, a page of a title, a chart of three bars and a table of three rows, opened by its link in each repeat. `sent` are the
seconds until the server has sent a page that is opened; after them the browser loads what Streamlit draws with, and draws.
With --smaller, the store of the tests.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(sys.path.pop(0))  # this folder goes last, because this file is called as the package is that it measures
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "dashboard"))

from browser import DRAWN, opened_browser, served
from dashboard_store import SMALLER, Size, fill, slugs_of

from dashboard.navigation import PAGES

GOAL, GOAL_P95 = 1.0, 2.0
WAIT_MS = 180_000
WAYS = ("clicked", "opened", "sent", "alone")
ALONE = """
import altair as alt, pandas as pd, streamlit as st
st.title("Alone")
frame = pd.DataFrame({"a": [1, 2, 3], "b": [2, 3, 1]})
st.altair_chart(alt.Chart(frame).mark_bar().encode(x="a", y="b"))
st.dataframe(frame)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--workspace", type=Path, help="of the large store; made where it is not there  [default: a temporary one]")
    parser.add_argument("--db", default="", help="a PostgreSQL URL instead of the workspace's own database")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--smaller", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(asked.workspace or Path(folder), asked.db, asked.repeats, SMALLER if asked.smaller else Size())
    if asked.json:
        print(json.dumps(found, indent=1))
        return
    for way in ("clicked", "opened"):
        for page, told in found[way].items():
            met = "" if told["goal_met"] else "   misses the goal"
            print(f"{way:8} {page:12} median {told['median']:6.2f} s   p95 {told['p95']:6.2f} s{met}")
    print("opened, sent by the server:", ", ".join(f"{page} {seconds:.2f}" for page, seconds in found["sent"].items()))
    print(f"streamlit alone, opened: median {found['streamlit_alone']['median']:.2f} s")


def measure(root: Path, url: str, repeats: int, size: Size) -> dict[str, Any]:
    """Return the median and the 95th percentile of every page's seconds, come to in both ways."""
    _make(root, url, size)
    names = [Path(path).stem for path in PAGES]
    seconds: dict[str, dict[str, list[float]]] = {way: {name: [] for name in names} for way in WAYS}
    with tempfile.TemporaryDirectory() as folder, opened_browser() as browser, served(root, url) as address:
        alone = Path(folder) / "alone.py"
        alone.write_text(ALONE)
        with served(root, app=alone) as bare:
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            tab = context.new_page()
            tab.goto(f"{address}/?study=main")
            tab.wait_for_function(DRAWN, arg="", timeout=WAIT_MS)
            for repeat in range(repeats + 1):  # the first warms the process
                for name in (*names[1:], names[0]):
                    touch(root, url)
                    clicked = _click(tab, names.index(name))
                    touch(root, url)
                    opened, sent = _open(context, f"{address}/{_link(name, names, size)}")
                    if repeat:
                        seconds["clicked"][name].append(clicked)
                        seconds["opened"][name].append(opened)
                        seconds["sent"][name].append(sent)
                if repeat:
                    seconds["alone"][names[0]].append(_open(context, bare)[0])
    return {
        "database": "postgresql" if url else "sqlite",
        "repeats": repeats,
        "goal": {"median": GOAL, "p95": GOAL_P95},
        "pages": {name: _told(found)["median"] for name, found in seconds["clicked"].items()},
        "clicked": {name: _told(found) for name, found in seconds["clicked"].items()},
        "opened": {name: _told(found) for name, found in seconds["opened"].items()},
        "sent": {name: _told(found)["median"] for name, found in seconds["sent"].items()},
        "streamlit_alone": _told(seconds["alone"][names[0]]),
        "load_average": os.getloadavg()[0],
    }


def _link(name: str, names: list[str], size: Size) -> str:
    if name == "source":
        return f"source?study=main&source={slugs_of(size)[0]}"
    return f"{'' if name == names[0] else name}?study=main"


def _click(tab: Any, place: int) -> float:
    before = tab.inner_text("h1")
    start = time.perf_counter()
    tab.locator("[data-testid=stSidebarNavLink]").nth(place).click()
    tab.wait_for_function(DRAWN, arg=before, timeout=WAIT_MS)
    return time.perf_counter() - start


def _open(context: Any, link: str) -> tuple[float, float]:
    """Return the seconds until a link is drawn in a new tab, and until the server had sent the last of it."""
    tab = context.new_page()
    start = last = time.perf_counter()

    def received(_frame: Any) -> None:
        nonlocal last
        last = time.perf_counter()

    tab.on("websocket", lambda socket: socket.on("framereceived", received))
    tab.goto(link, wait_until="commit")
    tab.wait_for_function(DRAWN, arg="", timeout=WAIT_MS)
    took, sent = time.perf_counter() - start, last - start
    tab.close()
    return took, sent


def _told(seconds: list[float]) -> dict[str, Any]:
    median, p95 = (round(float(np.quantile(seconds, q)), 3) for q in (0.5, 0.95))
    return {"median": median, "p95": p95, "goal_met": median <= GOAL and p95 <= GOAL_P95}


def touch(root: Path, url: str) -> None:
    """Make what the server keeps old, as a change of the store does: SQLite's by the file's time; PostgreSQL's gets old by itself."""
    if url:
        time.sleep(5.1)
    else:
        os.utime(root / "probe.db")


def _make(root: Path, url: str, size: Size) -> None:
    from db.store import Store

    if url:
        with Store.open(url) as store:
            there = store.study("main") is not None
    else:
        there = (root / "probe.db").exists()
    if not there:
        print("making the store ...", file=sys.stderr)
        root.mkdir(parents=True, exist_ok=True)
        fill(root, size, url)


if __name__ == "__main__":
    main()
