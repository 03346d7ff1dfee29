"""A browser to look at pages with: Playwright's own Chromium where it is installed, else the machine's."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from probe.cli.dashboard import app_file, environment, start_command
from probe.workspace import Workspace

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DRAWN = """before => {  // the title is another one than before, the server has finished, every chart is drawn
    const title = document.querySelector('h1');
    if (!title || title.innerText === before) return false;
    if (!document.querySelector('[data-test-script-state=notRunning]')) return false;
    if (document.querySelector('[data-testid=stStatusWidget], [data-testid=stSkeleton], [data-stale=true]')) return false;
    const charts = [...document.querySelectorAll('[data-testid=stVegaLiteChart]')];
    return charts.every(chart => chart.querySelector('canvas, svg'));
}"""
CURE = "no browser: install one with `playwright install chromium`, or the system's package `chromium`"


def browser_path(own: str) -> str | None:
    """Return where a browser is: Playwright's `own`, else one of the machine; None where there is none."""
    return own if os.path.exists(own) else next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def opened_browser() -> Iterator[Any]:
    """Give a headless browser.

    Raises:
        RuntimeError: Playwright or a browser is missing.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise RuntimeError("Playwright is not installed: pip install -e '.[dev]'") from error
    with sync_playwright() as play:
        path = browser_path(play.chromium.executable_path)
        if path is None:
            raise RuntimeError(CURE)
        root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        browser = play.chromium.launch(executable_path=path, args=[*OPTIONS, *root])
        try:
            yield browser
        finally:
            browser.close()


def watched(tab: Any) -> list[str]:
    """Return the list that fills with what goes wrong in a tab: errors of its console and its scripts, and answers that refuse."""
    wrong: list[str] = []

    def console(message: Any) -> None:
        if message.type == "error" and not message.text.startswith("Failed to load resource"):  # which the response tells
            wrong.append(message.text)

    def response(answer: Any) -> None:
        # Opened at a page of its own, Streamlit first looks below that page for the server, and then where it is.
        if answer.status >= 400 and not re.search(r"/\w+/_stcore/(health|host-config)$", answer.url):
            wrong.append(f"{answer.status} {answer.url}")

    tab.on("console", console)
    tab.on("response", response)
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    return wrong


@contextmanager
def served(root: Path, url: str = "", app: Path | None = None) -> Iterator[str]:
    """Start the dashboard's server (or that of another `app`) on a workspace, however long that takes, and give its address.

    Raises:
        RuntimeError: the server ended instead.
    """
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        port = listener.getsockname()[1]
    place = environment(Workspace(root, url)) | {"PYTHONPATH": str(app_file().parent.parent)}
    process = subprocess.Popen(
        start_command(app or app_file(), port), env=place, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not _listens(port):
            if process.poll() is not None:
                raise RuntimeError(f"the dashboard's server ended with code {process.returncode}")
            time.sleep(0.1)
        yield f"http://localhost:{port}"
    finally:
        process.terminate()
        process.wait(30)


def _listens(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("localhost", port)) == 0


if __name__ == "__main__":  # as `make browser` asks whether one has to be installed
    try:
        with opened_browser():
            pass
    except Exception as error:
        sys.exit(str(error))
