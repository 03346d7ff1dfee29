"""`probe dashboard`: the pages in a browser, read-only, on this machine alone."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from probe.errors import ProbeError

if TYPE_CHECKING:
    from probe.workspace import Workspace

HOST = "localhost"
FIRST_PORT, PORTS = 8501, 50
START_S, STOP_S = 30.0, 10.0
OPTIONS = {
    "server.address": HOST,
    "server.headless": "true",  # the browser is opened here, and no question is asked on the terminal
    "server.showEmailPrompt": "false",
    "server.fileWatcherType": "none",
    "server.enableXsrfProtection": "true",
    "server.enableStaticServing": "false",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "runner.magicEnabled": "false",
    "logger.hideWelcomeMessage": "true",
    "theme.paddingTop": "3.5rem",
    "theme.light.primaryColor": "#0072B2",
    "theme.dark.primaryColor": "#56B4E9",
}


@click.command()
@click.option(
    "--port", type=click.IntRange(1, 65535), default=None, help=f"Where to listen.  [default: the first free one from {FIRST_PORT}]"
)
@click.option("--browser/--no-browser", default=True, help="Open a browser.")
@click.option("--headless", is_flag=True, help="The same as --no-browser.")
@click.pass_obj
def command(workspace: Workspace, port: int | None, browser: bool, headless: bool) -> None:
    """Open the pages in a browser. Listens on localhost only; put it behind a proxy with a login to share it. Ctrl-C ends it."""
    if not workspace.exists():
        raise ProbeError(
            f"there is nothing in {workspace.root} yet: start with `probe demo`, or probe a source with `probe run --source S`."
        )
    workspace.open_store(read_only=True).close()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the server ends with this process
    chosen = _free_port(port)
    process = subprocess.Popen(
        start_command(app_file(), chosen), env=environment(workspace), stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _wait_until_up(process, chosen)
        url = f"http://{HOST}:{chosen}"
        click.echo(f"Dashboard of {workspace.root}: {url} (Ctrl-C ends it)")
        if browser and not headless:
            webbrowser.open(url)
        process.wait()
    except KeyboardInterrupt:
        click.echo("\nThe dashboard is closed.", err=True)
    finally:
        _stop(process)
    if process.returncode > 0:
        raise ProbeError(f"the dashboard ended with code {process.returncode}; what it said stands above.")


def app_file() -> Path:
    """Return the app's file, found without importing it: a lower layer never imports a higher one.

    Raises:
        ProbeError: the package is not installed whole.
    """
    found = importlib.util.find_spec("dashboard")
    folder = next(iter(found.submodule_search_locations or ()), None) if found else None
    if folder is None or not (Path(folder) / "app.py").is_file():
        raise ProbeError("the dashboard is not installed: run `pip install vlm-source-probe` again.")
    return Path(folder) / "app.py"


def start_command(app: Path, port: int) -> list[str]:
    """Return the command line of the server. `-P` keeps the current folder off the path, where a file could take a module's name."""
    options = [f"--{name}={value}" for name, value in {**OPTIONS, "server.port": str(port)}.items()]
    return [sys.executable, "-P", "-m", "streamlit", "run", str(app), *options]


def environment(workspace: Workspace) -> dict[str, str]:
    """Return the environment that says which workspace: a database URL can hold a password, which a command line would show."""
    return os.environ | {"PROBE_WORKSPACE": str(workspace.root.absolute()), "PROBE_DB_URL": workspace.db_url}


def _free_port(port: int | None) -> int:
    for candidate in [port] if port else range(FIRST_PORT, FIRST_PORT + PORTS):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((HOST, candidate))
            except OSError:
                continue
            return candidate
    raise ProbeError(f"port {port or FIRST_PORT} is taken or not allowed: give another with --port.")


def _wait_until_up(process: subprocess.Popen[bytes], port: int) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            opener.open(f"http://{HOST}:{port}/_stcore/health", timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise ProbeError("the dashboard did not start; what it said stands above.")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
