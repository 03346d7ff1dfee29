#!/usr/bin/env python3
"""Seconds from a browser's navigation to a visible chart, for every page of the dashboard on a large store.

    python benchmarks/dashboard.py [--json] [--workspace DIR] [--db URL] [--repeats N] [--smaller]

The store holds 10,000 probes of 200 sources on 50 benchmarks of 200 items (`dashboard_store.py`); one that is not there is made first,
which takes a quarter of an hour, and is used again when it is named. The server's process is warm (every page was opened once) and its
caches are cold: they are emptied before each navigation, as a change of the store does. A page counts as visible when its last chart is
drawn and the server has finished. With --smaller, the store of the tests.
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

from browser import opened_browser, served
from dashboard_store import SMALLER, Size, fill, slugs_of

from dashboard.navigation import PAGES

GOAL, GOAL_P95 = 1.0, 2.0
DRAWN = """() => {
    if (!document.querySelector('[data-test-script-state=notRunning]')) return false;
    if (document.querySelector('[data-testid=stStatusWidget], [data-testid=stSkeleton], [data-stale=true]')) return false;
    if (!document.querySelector('h1')) return false;
    const charts = [...document.querySelectorAll('[data-testid=stVegaLiteChart]')];
    const parts = document.querySelectorAll('[data-testid=stElementContainer]');
    return parts.length > 4 && charts.every(chart => chart.querySelector('canvas, svg'));
}"""


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
    for page, seconds in found["pages"].items():
        met = "" if found["goal_met"][page] else "   misses the goal"
        print(f"{page:12} median {seconds:6.2f} s   p95 {found['p95'][page]:6.2f} s{met}")


def measure(root: Path, url: str, repeats: int, size: Size) -> dict[str, Any]:
    """Return the median and the 95th percentile of every page's seconds."""
    _make(root, url, size)
    queries = {"source": f"&source={slugs_of(size)[0]}"}
    seconds: dict[str, list[float]] = {}
    with served(root, url) as address, opened_browser() as browser:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        for repeat in range(repeats + 1):  # the first warms the process
            for path in PAGES:
                name = Path(path).stem
                touch(root, url)
                page = context.new_page()
                start = time.perf_counter()
                page.goto(f"{address}/{'' if name == 'overview' else name}?study=main{queries.get(name, '')}")
                page.wait_for_function(DRAWN, timeout=180_000)
                if repeat:
                    seconds.setdefault(name, []).append(time.perf_counter() - start)
                page.close()
    medians = {name: round(float(np.median(found)), 3) for name, found in seconds.items()}
    p95 = {name: round(float(np.quantile(found, 0.95)), 3) for name, found in seconds.items()}
    met = {name: medians[name] <= GOAL and p95[name] <= GOAL_P95 for name in medians}
    return {"database": "postgresql" if url else "sqlite", "repeats": repeats, "pages": medians, "p95": p95, "goal_met": met,
            "load_average": os.getloadavg()[0]}  # fmt: skip


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
