"""The worker's two pipes. Whatever a library prints goes to standard error; standard output carries answers alone."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

PROGRESS_EVERY_S = 0.2


class Channel:
    """Requests in, answers out; one of each process. When the other side goes away, this process ends at once."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        sys.stdout = sys.stderr
        self._requests: queue.Queue[str] = queue.Queue()
        self._last = 0.0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin:
            self._requests.put(line)
        os._exit(0)

    def requests(self) -> Iterator[dict[str, Any]]:
        """Yield requests as they come; the process ends when there can be no more."""
        while True:
            yield json.loads(self._requests.get())

    def answer(self, kind: str, value: object) -> None:
        """Send the last line of a request: its `result` or its `error`."""
        self._send({kind: value})

    def progress(self, what: str, done: int, of: int) -> None:
        """Send how far something is, now and then."""
        now = time.monotonic()
        if now - self._last >= PROGRESS_EVERY_S or done == of:
            self._last = now
            self._send({"progress": [what, done, of]})

    def _send(self, line: object) -> None:
        self._out.write(json.dumps(line) + "\n")
        self._out.flush()
