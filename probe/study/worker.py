"""A worker: one process, one engine, as many probes at once as it has slots, from the leased queue until nothing is left.

python -m probe.study.worker --workspace .probe --study main
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from db.errors import StoreError
from db.values import Claim
from probe.code_version import code_version
from probe.errors import ProbeError
from probe.study.decontamination import study_draws
from probe.study.items import read_eval_set
from probe.study.registry import find_benchmark
from probe.workspace import Workspace
from proxy_training.jobs import Backend, Cost, EngineSettings, EvalSet, Job, JobResult, Training
from sources.benchmark import same_items
from sources.problems import RowError, SourceError

if TYPE_CHECKING:
    from db.store import Store
    from proxy_training.engine import Engine

LEASE_S = 60.0
HEARTBEAT_S = 5.0
WAIT_FOR_OTHERS_S = 1.0


class Stopped(BaseException):
    """The worker was asked to stop, or its parent is gone. No error of a probe, so nothing that handles those catches it."""


@dataclass(slots=True)
class _Flight:
    """A claim at work."""

    claim: Claim
    land: Callable[[], None]  # ends its heartbeat
    training: Training | None = None
    kept: bool = False  # the training is written back, or there was none
    unscored: dict[str, str] = field(default_factory=dict)


class Worker:
    """Claims, trains, scores and writes back."""

    def __init__(self, workspace: Workspace, study: str, settings: EngineSettings, parent: int) -> None:
        self.workspace = workspace
        self.store: Store = workspace.open_store()
        self.settings = settings
        self.parent = parent
        self.owner = owner_name(os.getpid())
        record = self.store.study(study)
        if record is None:
            raise SystemExit(f"there is no study {study!r}")
        self.study = record
        self.draws = study_draws(self.store, record, workspace.indexes)
        self.stop = threading.Event()
        self.commit = code_version().label
        self._flights: dict[str, _Flight] = {}  # by training id
        self._to_score: deque[Job] = deque()
        self._how = ""
        self._engine: Engine | None = None
        self._loading = False
        self._eval_sets: dict[str, EvalSet] = {}

    def run(self) -> None:
        """Work until no probe of the study is waiting and nobody is at work on one."""
        while not self.stop.is_set():
            first = self._next_claim()
            if first is None and not self._to_score:
                if not self.store.progress(self.study.name).running or os.getppid() != self.parent:
                    return
                time.sleep(WAIT_FOR_OTHERS_S)  # another process may die and leave its probe to us
                continue
            try:
                for result in self.engine().run(self._jobs(first), lambda *_: self._go_on()):
                    self._take(result)
                    self._go_on()
            except Stopped:
                if first is not None and first.training_id not in self._flights:
                    self.store.release(first)
                break
        for flight in list(self._flights.values()):
            self.store.release(flight.claim)
            flight.land()

    def ask_to_stop(self) -> None:
        """Let what is at work come to a point where it can be left; while the engine loads, which can take long, leave at once.

        Raises:
            Stopped: the engine was loading.
        """
        self.stop.set()
        if self._loading:
            raise Stopped

    def _next_claim(self) -> Claim | None:
        return None if self.stop.is_set() else self.store.claim(self.owner, self.study.name, LEASE_S)

    def _jobs(self, first: Claim | None) -> Iterator[Job]:
        """Yield what the engine is to do next whenever it has room: scoring first, then a fresh claim's training."""
        claim = first
        while True:
            if self._to_score:
                yield self._to_score.popleft()
                continue
            claim = claim or self._next_claim()
            if claim is None:
                return
            job, claim = self._begin(claim), None
            if job is not None:
                yield job

    def _begin(self, claim: Claim) -> Job | None:
        """Take a claim on: return its training, or its scoring where it is trained, or None where it cannot begin."""
        flight = _Flight(claim, self._keep_alive(claim))
        self._flights[claim.training_id] = flight
        try:
            flight.training = self._training(claim)
            adapter = self._adapter(claim)
            if flight.training.stages and not (claim.trained and adapter.is_dir()):
                return Job(flight.training, (), None, adapter)
            if not claim.trained and not self._kept(flight, JobResult(claim.training_id)):
                return None
            return self._scoring(flight)
        except Exception as error:
            self._fail(flight, error)
            return None

    def _take(self, result: JobResult) -> None:
        """Keep what came out of a training and put its scoring in line, or write scores back."""
        flight = self._flights[result.training_id]
        told = result.failure or ("scored" if flight.kept else "trained")
        self._tell_how(result.cost)
        print(f"{time.strftime('%H:%M:%S')} {flight.claim.arm} seed {flight.claim.seed} {told} {result.cost}", flush=True)
        try:
            if result.failure:
                self.store.fail(flight.claim, result.failure)
                self._land(flight)
            elif flight.kept:
                self._finish(flight, result)
            else:
                _write_through(self._adapter(flight.claim))
                if self._kept(flight, result) and (job := self._scoring(flight)):
                    self._to_score.append(job)
        except Exception as error:
            self._fail(flight, error)

    def _kept(self, flight: _Flight, trained: JobResult) -> bool:
        """Write a training back before it is scored; False where the lease is lost."""
        flight.kept = self.store.keep_training(flight.claim, trained, self.commit)
        if flight.kept:
            flight.claim = replace(flight.claim, trained=True)
        else:
            self._land(flight)
        return flight.kept

    def _scoring(self, flight: _Flight) -> Job | None:
        """Return the job that scores a trained claim on what it lacks; a benchmark that cannot be read costs only its own scores."""
        flight.kept = True
        assert flight.training is not None
        eval_sets = []
        for name in flight.claim.missing:
            try:
                eval_sets.append(self._eval_set(name))
            except Exception as error:
                traceback.print_exc()
                flight.unscored[name] = _reason(error)
        if not eval_sets:
            self._finish(flight, JobResult(flight.claim.training_id))
            return None
        return Job(flight.training, tuple(eval_sets), self._adapter(flight.claim) if flight.training.stages else None)

    def _finish(self, flight: _Flight, result: JobResult) -> None:
        unscored = flight.unscored | dict(result.unscored)
        cure = "mend it and run with --retry-failed, or leave it out: probe benchmarks remove"
        study = flight.claim.study
        told = {name: f"benchmark {name}: {why.rstrip('.')}; {cure} {name} --study {study}" for name, why in unscored.items()}
        if not self.store.finish(flight.claim, replace(result, unscored=tuple(told.items()))):
            print(f"{flight.claim.training_id[:8]}: the lease was lost, the scores are not written", flush=True)
        self._land(flight)

    def _fail(self, flight: _Flight, error: Exception) -> None:
        traceback.print_exc()
        self.store.fail(flight.claim, _reason(error))
        self._land(flight)

    def _land(self, flight: _Flight) -> None:
        flight.land()
        del self._flights[flight.claim.training_id]

    def _training(self, claim: Claim) -> Training:
        """Draw what a claim trains on.

        Raises:
            ProbeError: the data is not what it was when the probe was planned.
        """
        curriculum = self.store.arms(claim.study, names=[claim.arm])[0].curriculum
        if not curriculum.phases:
            return Training(self.study.proxy, self.study.recipe, (), claim.seed)
        training = self.draws.draw(curriculum, claim.seed).training
        if training.training_id() != claim.training_id:
            raise ProbeError(
                f"the data of {', '.join(curriculum.sources())} changed since this probe was planned; "
                "put it back, or ask again under another --study name"
            )
        return training

    def _adapter(self, claim: Claim) -> Path:
        return self.workspace.adapters / claim.training_id

    def _eval_set(self, name: str) -> EvalSet:
        """Read a benchmark, once.

        Raises:
            ProbeError: it is another one than the study was asked on.
        """
        if name not in self._eval_sets:
            eval_set, record = read_eval_set(find_benchmark(self.store, name)), self.store.benchmark(name)
            if record is not None and record.fingerprint != eval_set.fingerprint:
                what = "scorer" if same_items(record.fingerprint, eval_set.fingerprint) else "items or images"
                raise ProbeError(f"its {what} changed since it was registered")
            self._eval_sets[name] = eval_set
        return self._eval_sets[name]

    def engine(self) -> Engine:
        """Load the proxy on first use."""
        if self._engine is None:
            self._loading = True
            try:
                self._go_on()
                from proxy_training.engine import Engine

                self._engine = Engine(self.study.proxy, self.study.recipe, self.workspace.features, self.settings)
            finally:
                self._loading = False
        return self._engine

    def _tell_how(self, cost: Cost) -> None:
        """Write into the log, once, on which back end probes run, how many at once, and why."""
        how = f"{cost.backend} back end, slots {cost.slots}: {cost.why}"
        if cost.why and how != self._how:
            print(how, flush=True)
            self._how = how

    def _go_on(self) -> None:
        if self.stop.is_set():
            raise Stopped

    def _keep_alive(self, claim: Claim) -> Callable[[], None]:
        """Keep the lease of a claim from now on; return what ends that."""
        finished = threading.Event()
        heart = threading.Thread(target=self._heartbeat, args=(claim, finished), daemon=True)
        heart.start()

        def end() -> None:
            finished.set()
            heart.join()

        return end

    def _heartbeat(self, claim: Claim, finished: threading.Event) -> None:
        beat = time.monotonic()
        while not finished.wait(1.0):
            if os.getppid() != self.parent:
                self.stop.set()
            if time.monotonic() - beat >= HEARTBEAT_S:
                beat = time.monotonic()
                try:
                    if not self.store.heartbeat(claim, LEASE_S):
                        return  # somebody else has it by now; what comes out is not written
                except StoreError:
                    traceback.print_exc()  # the store is busy: the lease outlasts several beats


def _write_through(folder: Path) -> None:
    """Put a folder on the disk itself, so that what the store says of it is true after a power cut too."""
    for path in (*folder.iterdir(), folder, folder.parent):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _reason(error: Exception) -> str:
    """Return what to tell of an error: its message where that was written for the user."""
    told = isinstance(error, (ProbeError, SourceError, StoreError, RowError))
    return str(error) if told else f"{type(error).__name__}: {error}"


def owner_name(pid: int) -> str:
    """Return the name under which a process holds leases: host and process."""
    return f"{socket.gethostname()}:{pid}"


def owner_is_dead(owner: str) -> bool:
    """Say whether an owner is a process of this host that is gone; one on another host may live."""
    host, _, pid = owner.rpartition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def main() -> None:
    """Parse the arguments and work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--db", default="")
    parser.add_argument("--study", required=True)
    parser.add_argument("--device", default=None)
    parser.add_argument("--backend", type=Backend, default=Backend.AUTO)
    parser.add_argument("--slots", type=int, default=None)
    parser.add_argument("--cache-limit", type=int, default=None)
    parser.add_argument("--gpus-per-probe", type=int, default=1)
    parser.add_argument("--parent", type=int, default=os.getppid())
    args = parser.parse_args()
    settings = EngineSettings(args.device, args.backend, args.slots, args.cache_limit, args.gpus_per_probe)
    worker = Worker(Workspace(args.workspace, args.db), args.study, settings, args.parent)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.ask_to_stop())
    worker.run()
    sys.exit(0)


if __name__ == "__main__":
    main()
