"""The local executor: worker processes on this machine, sharing one study's queue."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from db.values import StudyProgress
from probe.study.worker import owner_is_dead, owner_name
from probe.workspace import Workspace

if TYPE_CHECKING:
    from db.store import Store

POLL_S = 0.5
STOP_PATIENCE_S = 20.0
MAX_IDLE_DEATHS = 3  # of workers that held nothing: they cannot even begin


class Interrupted(Exception):  # noqa: N818
    """The run was stopped by the user; everything finished is kept."""


@dataclass(slots=True)
class LocalExecutor:
    """Runs a study's waiting probes in `workers` processes of one thread each on a CPU, or one on a GPU."""

    workspace: Workspace
    study: str
    workers: int
    device: str | None = None
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def run(self, on_progress: Callable[[StudyProgress], None]) -> StudyProgress:
        """Work until nothing waits and nobody, here or elsewhere, is at work on the study; call `on_progress` about twice a second.

        Raises:
            Interrupted: Ctrl-C; the workers have given their leases back.
            RuntimeError: workers die before they begin; the message names the log.
        """
        with self.workspace.open_store() as store:
            for owner in {probe.owner for probe in store.probes(self.study) if probe.owner}:
                if owner_is_dead(owner):  # it ended with an earlier run
                    store.release_owner(owner)
            try:
                return self._supervise(store, on_progress)
            except KeyboardInterrupt:
                raise Interrupted from None
            finally:
                self._stop()

    def _supervise(self, store: Store, on_progress: Callable[[StudyProgress], None]) -> StudyProgress:
        idle_deaths = 0
        while True:
            idle_deaths += self._bury(store)
            on_progress(progress := store.progress(self.study))
            if not progress.waiting and not progress.running:
                return progress
            if idle_deaths >= MAX_IDLE_DEATHS:
                raise RuntimeError(f"the workers died {idle_deaths} times before they began; the reason is in {self._log_path()}")
            self._start(min(self.workers, progress.waiting + progress.running) - len(self._processes))
            time.sleep(POLL_S)

    def _bury(self, store: Store) -> int:
        """Forget processes that ended, end the leases of those that died, and return how many died without any."""
        ended = [process for process in self._processes if process.poll() is not None]
        self._processes = [process for process in self._processes if process not in ended]
        died = [process for process in ended if process.returncode != 0]
        return sum(store.expire_owner(owner_name(process.pid)) == 0 for process in died)

    def _log_path(self) -> Path:
        return self.workspace.logs / f"{self.study.replace('/', '_')}.log"

    def _start(self, count: int) -> None:
        self.workspace.logs.mkdir(parents=True, exist_ok=True)
        with open(self._log_path(), "ab") as log:
            self._processes += [self._spawn(log) for _ in range(count)]

    def _spawn(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "probe.study.worker", "--workspace", str(self.workspace.root), "--study", self.study]
        command += ["--parent", str(os.getpid())]
        if self.workspace.db_url:
            command += ["--db", self.workspace.db_url]
        if self.device:
            command += ["--device", self.device]
        # One thread a process: two OpenMP threads collapse when another process holds the core.
        environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        # A session of their own, so that Ctrl-C reaches only this process, which then stops them in order.
        return subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, start_new_session=True)

    def _stop(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_PATIENCE_S
        for process in self._processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def default_workers(device: str | None) -> int:
    """Return one worker a usable core on a CPU, one in all on a GPU."""
    if (device or "").startswith("cuda") or (device is None and _has_gpu()):
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _has_gpu() -> bool:
    """Say whether an NVIDIA driver is loaded, without importing torch."""
    return Path("/proc/driver/nvidia/version").exists()
