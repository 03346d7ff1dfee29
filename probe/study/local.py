"""The local executor: worker processes on this machine, sharing one study's queue."""

from __future__ import annotations

import os
import re
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
from probe.errors import ProbeError, UsageError
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
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _devices: dict[int, str | None] = field(default_factory=dict)

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
                print("\nStopping; probes at work go back to the queue (this takes a few seconds) ...", file=sys.stderr, flush=True)
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
            for _ in range(count):
                self._processes.append(self._spawn(log, self._free_device()))

    def _free_device(self) -> str | None:
        """Return the device of the next worker: on a machine with several GPUs the one with the fewest workers."""
        gpus = visible_gpus() if self.settings.device in (None, "cuda") else 0
        if gpus < 2:
            return self.settings.device
        taken = Counter(self._devices.get(process.pid) for process in self._processes)
        return min((f"cuda:{i}" for i in range(gpus)), key=lambda device: taken[device])

    def _spawn(self, log: IO[bytes], device: str | None) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "probe.study.worker", "--workspace", str(self.workspace.root), "--study", self.study]
        command += ["--parent", str(os.getpid())]
        if self.workspace.db_url:
            command += ["--db", self.workspace.db_url]
        command += ["--backend", self.settings.backend.value]
        given = {"--device": device, "--slots": self.settings.slots, "--cache-limit": self.settings.cache_limit}
        command += [word for option, value in given.items() if value is not None for word in (option, str(value))]
        # A session of their own, so that Ctrl-C reaches only this process, which then stops them in order.
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env=os.environ | thread_settings(self.workers),
            start_new_session=True,
        )
        self._devices[process.pid] = device
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


def check_device(device: str | None) -> None:
    """Refuse a device that this machine has not, before anything is planned for it.

    Raises:
        UsageError: it is no name of a device.
        ProbeError: there is no such GPU.
    """
    if device in (None, "cpu"):
        return
    named = re.fullmatch(r"cuda(?::(\d+))?", device or "")
    if named is None:
        raise UsageError(f"--device {device} is no device: give cpu, cuda, or cuda:1 for one GPU of several.")
    number = int(named[1] or 0)
    if number >= visible_gpus() and number >= (present := _torch_gpus()):
        there = f"{present} here, counted from cuda:0" if present else "none here"
        raise ProbeError(f"--device {device}: there is no such GPU ({there}); leave --device out, or see `probe doctor`.")


def _torch_gpus() -> int:
    """Return how many GPUs torch finds: asked only where the driver lists too few, because importing it takes seconds."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def default_workers(device: str | None) -> int:
    """Return one worker a usable core on a CPU, one a visible GPU on GPUs."""
    if device not in (None, "cuda"):
        return 1 if device and device.startswith("cuda") else usable_cores()
    return visible_gpus() or (1 if device else usable_cores())


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def visible_gpus() -> int:
    """Return how many NVIDIA GPUs this process may use, without importing torch."""
    folder = Path("/proc/driver/nvidia/gpus")
    present = len(list(folder.iterdir())) if folder.is_dir() else 0
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    return present if allowed is None else min(present, len([name for name in allowed.split(",") if name.strip()]))
