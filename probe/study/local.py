"""The local executor: worker processes on this machine, sharing one study's queue."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from db.values import StudyProgress
from probe.study.devices import Place, places, usable_cores
from probe.study.worker import owner_is_dead, owner_name
from probe.workspace import Workspace
from proxy_training.jobs import ANY_ENGINE, EngineSettings

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
    settings: EngineSettings = ANY_ENGINE
    deadline: float | None = None  # of `time.monotonic`; what is not finished by then waits
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _places: dict[int, Place] = field(default_factory=dict)

    def run(self, on_progress: Callable[[StudyProgress], None]) -> StudyProgress:
        """Work until nothing waits and nobody, here or elsewhere, is at work on the study, or the deadline has come.

        `on_progress` is called about twice a second.

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
                print("\nStopping; probes at work go back to the queue (this takes a few seconds) ...", file=sys.stderr, flush=True)
                raise Interrupted from None
            finally:
                self._stop()

    def _supervise(self, store: Store, on_progress: Callable[[StudyProgress], None]) -> StudyProgress:
        idle_deaths = 0
        while True:
            idle_deaths += self._bury(store)
            on_progress(progress := store.progress(self.study))
            if (not progress.waiting and not progress.running) or (self.deadline is not None and time.monotonic() >= self.deadline):
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
            for _ in range(count):
                self._processes.append(self._spawn(log, self._free_place()))

    def _free_place(self) -> Place:
        """Return where the next worker runs: the place with the fewest workers."""
        taken = Counter(self._places.get(process.pid) for process in self._processes)
        return min(places(self.settings.device, self.settings.gpus_per_probe), key=lambda place: taken[place])

    def _spawn(self, log: IO[bytes], place: Place) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "probe.study.worker", "--workspace", str(self.workspace.root), "--study", self.study]
        command += ["--parent", str(os.getpid())]
        if self.workspace.db_url:
            command += ["--db", self.workspace.db_url]
        command += ["--backend", self.settings.backend.value]
        command += ["--gpus-per-probe", str(self.settings.gpus_per_probe)]
        given = {"--device": place.device, "--slots": self.settings.slots, "--cache-limit": self.settings.cache_limit}
        command += [word for option, value in given.items() if value is not None for word in (option, str(value))]
        # A session of their own, so that Ctrl-C reaches only this process, which then stops them in order.
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env=os.environ | thread_settings(self.workers) | place.environment(),
            start_new_session=True,
        )
        self._places[process.pid] = place
        return process

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


def thread_settings(workers: int) -> dict[str, str]:
    """Return a worker's environment: its share of the cores as threads, which do not spin while they wait.

    Spinning threads of one process take the core that another's need: two OpenMP threads collapse on a busy machine.
    """
    threads = max(1, usable_cores() // max(1, workers))
    return {
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "KMP_BLOCKTIME": "0",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
