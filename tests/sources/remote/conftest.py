"""A loopback hub, and our code run in a process of its own with the hub's settings, as a user would have them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hub_server import HubServer, serving

ROOT = Path(__file__).parents[3]

# Reads lines of JSON: a spec's fields and a folder of pools; answers each with what was drawn, or the error.
_PROGRAM = """
import json, sys
from pathlib import Path
from sources.problems import SourceError
from sources.remote.pool import fetch_source
from sources.sampling import SourcePool
from sources.spec import SourceSpec, Stream

for asked in json.load(sys.stdin):
    said = []
    try:
        given = {"rows": 40, **asked.get("stream", {})}
        spec = SourceSpec("mine", "", "", asked.get("images", ""), hub_id=asked.get("hub", ""), subset=asked.get("subset", ""),
                          revision=asked.get("revision", ""), stream=Stream(**given))
        spec = fetch_source(spec, Path(asked["pools"]), said.append)
        pool = SourcePool.open(spec)
        answer = {"path": spec.path, "format": spec.format, "usable": pool.usable, "subsources": dict(pool.subsources),
                  "fingerprint": pool.fingerprint, "content": pool.content, "revision": spec.revision, "said": said}
    except SourceError as error:
        answer = {"error": str(error), "kind": type(error).__name__, "said": said}
    print(json.dumps(answer), flush=True)
"""


@dataclass
class Machine:
    """A user's machine: its hub cache, its folder of pools and its settings."""

    home: Path
    endpoint: str

    def settings(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        own = {"HF_ENDPOINT": self.endpoint, "HF_HOME": str(self.home / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONPATH": str(ROOT)}
        return {**kept, **own, **more}

    def fetch_all(self, *asked: dict, **settings: str) -> list[dict]:
        """Fetch several sources in one process and return what each gave."""
        lines = json.dumps([{"pools": str(self.home / "pools"), **entry} for entry in asked])
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            input=lines,
            env=self.settings(**settings),
            capture_output=True,
            text=True,
            timeout=120,
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def interrupted_fetch(self, interrupt: Callable, after: int, **asked: object) -> None:
        """Fetch a source, and press Ctrl-C after so many answers with data."""
        program = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.settings(),
            cwd=ROOT,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        interrupt(after, lambda: program.send_signal(signal.SIGINT))
        out, err = program.communicate(json.dumps([{"pools": str(self.home / "pools"), **asked}]).encode(), timeout=120)
        interrupt(after, None)
        assert b"KeyboardInterrupt" in err
        assert not out

    def fetch(self, settings: dict[str, str] | None = None, **asked: object) -> dict:
        return self.fetch_all(asked, **(settings or {}))[0]


@pytest.fixture
def hub(tmp_path: Path) -> HubServer:
    (tmp_path / "repos").mkdir()
    with serving(tmp_path / "repos") as server:
        yield server


@pytest.fixture
def machine(tmp_path: Path, hub: HubServer) -> Machine:
    return Machine(tmp_path / "machine", hub.url)


@pytest.fixture
def other_machine(tmp_path: Path, hub: HubServer) -> Machine:
    return Machine(tmp_path / "other", hub.url)
