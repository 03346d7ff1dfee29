"""VLMEvalKit's process, from outside: requests go in, progress and one answer come out; a dead or silent one is one sentence."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from probe.errors import ProbeError
from probe.vlmeval.environment import need_eval_python

SILENCE_S = 1800.0  # `PROBE_EVAL_SILENCE`: loading a large model says nothing, a judge may think long
Progress = Callable[[str, int, int], None]


class Worker:
    """A running worker process; use `worker()`."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self.log = log
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._silence = float(os.environ.get("PROBE_EVAL_SILENCE", SILENCE_S))
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._lines.put(line)
        self._lines.put(None)

    def ask(self, what: str, folder: Path, request: Mapping[str, Any], progress: Progress | None = None) -> Any:
        """Send a request and return its result.

        Args:
            what: the action: `supported`, `fetch`, `score`.
            folder: where the worker reads its table and writes everything.
            request: what the action takes.
            progress: takes (what, done, of).

        Raises:
            ProbeError: the worker says why it cannot, ended, or was silent for too long.
        """
        from proxy_training.vlmeval_worker import PROTOCOL

        self._send({**request, "protocol": PROTOCOL, "do": what, "folder": str(folder.absolute())})
        while True:
            line = self._line()
            if "progress" in line and progress:
                progress(*line["progress"])
            if "error" in line:
                raise ProbeError(f"{str(line['error']).rstrip('.')}.")
            if "result" in line:
                return line["result"]

    def _send(self, request: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise self._ended() from None

    def _line(self) -> dict[str, Any]:
        try:
            text = self._lines.get(timeout=self._silence)
        except queue.Empty:
            message = f"VLMEvalKit's process said nothing for {self._silence:.0f} s and was ended; see {self.log}, or give it longer"
            raise ProbeError(f"{message} with PROBE_EVAL_SILENCE=SECONDS.") from None
        if text is None:
            raise self._ended()
        line: dict[str, Any] = json.loads(text)
        return line

    def _ended(self) -> ProbeError:
        code = self._process.wait()
        how = f"was killed by {signal.Signals(-code).name}, as when memory ends" if code < 0 else f"ended with code {code}"
        last = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()][-1:] or ["it said nothing"]
        return ProbeError(f"VLMEvalKit's process {how} ({last[0].strip()[:200]}); nothing of it was kept, its log is {self.log}.")


@contextmanager
def worker(log: Path) -> Iterator[Worker]:
    """Start VLMEvalKit's process and end it, and what it started, at the end; what it prints goes to `log`.

    Raises:
        ProbeError: its environment is not here.
    """
    command = [str(need_eval_python()), "-m", "proxy_training.vlmeval_worker"]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8", start_new_session=True
        )
    try:
        yield Worker(process, log)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError, ValueError):
                if pipe:
                    pipe.close()
