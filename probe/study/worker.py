"""A worker: one process, one engine, one probe after another from the leased queue until a study has nothing left.

python -m probe.study.worker --workspace .probe --study main
"""

from __future__ import annotations

import argparse
import functools
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from db.errors import StoreError
from db.results import add_cost
from db.values import Claim, Cost
from probe.code_version import code_version
from probe.errors import ProbeError
from probe.study.draws import Draws
from probe.study.items import read_eval_set
from probe.study.registry import find_benchmark, find_source
from probe.workspace import Workspace
from proxy_training.jobs import EvalSet, Job, JobResult, Training
from sources.problems import RowError, SourceError

if TYPE_CHECKING:
    from db.store import Store
    from proxy_training.engine import Engine

LEASE_S = 60.0
HEARTBEAT_S = 5.0
WAIT_FOR_OTHERS_S = 1.0


class Stopped(Exception):  # noqa: N818
    """The worker was asked to stop, or its parent is gone, or it lost its lease."""


class Worker:
    """Claims, trains, scores and writes back."""

    def __init__(self, workspace: Workspace, study: str, device: str | None, parent: int) -> None:
        self.workspace = workspace
        self.store: Store = workspace.open_store()
        self.device = device
        self.parent = parent
        self.owner = owner_name(os.getpid())
        record = self.store.study(study)
        if record is None:
            raise SystemExit(f"there is no study {study!r}")
        self.study = record
        self.draws = Draws(record, lambda slug: find_source(self.store, slug), workspace.indexes)
        self.stop = threading.Event()
        self.commit = code_version().label
        self._lost: set[str] = set()  # trainings whose lease somebody else has by now
        self._engine: Engine | None = None
        self._eval_sets: dict[str, EvalSet] = {}

    def run(self) -> None:
        """Work until no probe of the study is waiting and nobody is at work on one."""
        while not self.stop.is_set():
            claim = self.store.claim(self.owner, self.study.name, LEASE_S)
            if claim is not None:
                with self._kept_alive(claim):
                    self._work(claim)
            elif self.store.progress(self.study.name).running and os.getppid() == self.parent:
                time.sleep(WAIT_FOR_OTHERS_S)  # another process may die and leave its probe to us
            else:
                return

    def _work(self, claim: Claim) -> None:
        """Train what is not trained, and keep that; then score. What fails in scoring leaves the training done."""
        try:
            training = self._training(claim)
            job = self._job(claim, training)
            trained = self._run(claim, job) if job else JobResult(claim.training_id)
            if trained.failure:
                self.store.fail(claim, trained.failure)
                return
            if job:
                _write_through(self._adapter(claim))
            if not claim.trained or job:
                if not self.store.keep_training(claim, trained, self.commit):
                    raise Stopped
                claim = replace(claim, trained=True)
            if not self.store.finish(claim, self._score(claim, training)):
                print(f"{claim.training_id[:8]}: the lease was lost, the scores are not written", flush=True)
        except Stopped:
            self.store.release(claim)
        except Exception as error:
            traceback.print_exc()
            self.store.fail(claim, _reason(error))

    def _job(self, claim: Claim, training: Training) -> Job | None:
        """Return what is to be trained for a claim; None where the adapter is there, or nothing is trained."""
        adapter = self._adapter(claim)
        if not training.stages or (claim.trained and adapter.is_dir()):
            return None
        return Job(training, (), None, adapter)

    def _score(self, claim: Claim, training: Training) -> JobResult:
        """Score a trained claim on what it lacks; a benchmark that cannot be scored costs only its own scores."""
        eval_sets, unscored = [], {}
        for name in claim.missing:
            try:
                eval_sets.append(self._eval_set(name))
            except Exception as error:
                traceback.print_exc()
                unscored[name] = _reason(error)
        adapter = self._adapter(claim) if training.stages else None
        result = JobResult(claim.training_id)
        if eval_sets:
            result = self._run(claim, Job(training, tuple(eval_sets), adapter))
        if result.failure:  # which of them is it?
            parts = [self._run(claim, Job(training, (one,), adapter)) for one in eval_sets]
            unscored |= {one.spec.name: part.failure for one, part in zip(eval_sets, parts, strict=True) if part.failure}
            cost = functools.reduce(add_cost, (part.cost for part in parts), Cost())
            result = JobResult(claim.training_id, tuple(scores for part in parts for scores in part.scores), cost=cost)
        cure = "mend it and run with --retry-failed, or leave it out: probe benchmarks remove"
        told = {name: f"benchmark {name}: {why.rstrip('.')}; {cure} {name} --study {claim.study}" for name, why in unscored.items()}
        return replace(result, unscored=tuple(told.items()))

    def _run(self, claim: Claim, job: Job) -> JobResult:
        started = time.strftime("%H:%M:%S")
        result = next(iter(self.engine().run([job], lambda *_: self._go_on(claim))))
        told = result.failure or ("scored" if job.benchmarks else "trained")
        print(f"{started} {claim.arm} seed {claim.seed} {claim.training_id[:8]} {told} {result.cost}", flush=True)
        self._go_on(claim)
        return result

    def _training(self, claim: Claim) -> Training:
        """Draw what a claim trains on.

        Raises:
            ProbeError: the data is not what it was when the probe was planned.
        """
        curriculum = next(arm for arm in self.store.arms(claim.study) if arm.name == claim.arm).curriculum
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
                raise ProbeError("its items or images changed since it was registered")
            self._eval_sets[name] = eval_set
        return self._eval_sets[name]

    def engine(self) -> Engine:
        """Load the proxy on first use."""
        if self._engine is None:
            from proxy_training.engine import Engine

            self._engine = Engine(self.study.proxy, self.study.recipe, self.workspace.features, self.device)
        return self._engine

    def _go_on(self, claim: Claim) -> None:
        if self.stop.is_set() or claim.training_id in self._lost:
            raise Stopped

    @contextmanager
    def _kept_alive(self, claim: Claim) -> Iterator[None]:
        """Keep the lease of a claim until the end of the block; any number may be in flight."""
        finished = threading.Event()
        heart = threading.Thread(target=self._heartbeat, args=(claim, finished), daemon=True)
        heart.start()
        try:
            yield
        finally:
            finished.set()
            heart.join()
            self._lost.discard(claim.training_id)

    def _heartbeat(self, claim: Claim, finished: threading.Event) -> None:
        beat = time.monotonic()
        while not finished.wait(1.0):
            if os.getppid() != self.parent:
                self.stop.set()
            if time.monotonic() - beat >= HEARTBEAT_S:
                beat = time.monotonic()
                try:
                    if not self.store.heartbeat(claim, LEASE_S):
                        self._lost.add(claim.training_id)
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
    parser.add_argument("--parent", type=int, default=os.getppid())
    args = parser.parse_args()
    worker = Worker(Workspace(args.workspace, args.db), args.study, args.device, args.parent)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop.set())
    worker.run()
    sys.exit(0)


if __name__ == "__main__":
    main()
