"""A worker: one process, one engine, one probe after another from the leased queue until a study has nothing left.

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
from pathlib import Path
from typing import TYPE_CHECKING

from db.values import Arm, Claim
from probe.study.draws import Draws
from probe.study.items import read_eval_set
from probe.study.registry import find_benchmark, find_source
from probe.workspace import Workspace
from proxy_training.jobs import EvalSet, Job, Training

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
        self._engine: Engine | None = None
        self._eval_sets: dict[str, EvalSet] = {}

    def run(self) -> None:
        """Work until no probe of the study is waiting and nobody is at work on one."""
        while not self.stop.is_set():
            claim = self.store.claim(self.owner, self.study.name, LEASE_S)
            if claim is not None:
                self._work(claim)
            elif self.store.progress(self.study.name).running and os.getppid() == self.parent:
                time.sleep(WAIT_FOR_OTHERS_S)  # another process may die and leave its probe to us
            else:
                return

    def _work(self, claim: Claim) -> None:
        finished = threading.Event()
        heart = threading.Thread(target=self._heartbeat, args=(claim, finished), daemon=True)
        heart.start()
        try:
            self._probe(claim)
        except Stopped:
            self.store.release(claim)
        except Exception as error:
            traceback.print_exc()
            self.store.fail(claim, f"{type(error).__name__}: {error}")
        finally:
            finished.set()
            heart.join()

    def _probe(self, claim: Claim) -> None:
        started = time.strftime("%H:%M:%S")
        result = next(iter(self.engine().run([self._job(claim)], self._progress)))
        print(f"{started} {claim.arm} seed {claim.seed} {claim.training_id[:8]} {result.failure or 'done'} {result.cost}", flush=True)
        if result.failure:
            self.store.fail(claim, result.failure)
        elif not self.store.finish(claim, result):
            print(f"{claim.training_id[:8]}: the lease was lost, the result is not written", flush=True)

    def _job(self, claim: Claim) -> Job:
        arm = next(arm for arm in self.store.arms(claim.study) if arm.name == claim.arm)
        adapter = self.workspace.adapters / claim.training_id
        untrained = not arm.curriculum.phases
        saved = claim.trained and adapter.is_dir()
        training = self._training(arm, claim.seed)
        if training.training_id() != claim.training_id:
            raise ValueError(
                f"the data of {', '.join(arm.curriculum.sources())} changed since this probe was planned; "
                "put it back, or ask again under another --study name"
            )
        benchmarks = tuple(self._eval_set(name) for name in claim.missing)
        return Job(training, benchmarks, adapter if saved and not untrained else None, None if untrained else adapter)

    def _training(self, arm: Arm, seed: int) -> Training:
        if not arm.curriculum.phases:
            return Training(self.study.proxy, self.study.recipe, (), seed)
        return self.draws.draw(arm.curriculum, seed).training

    def _eval_set(self, name: str) -> EvalSet:
        if name not in self._eval_sets:
            self._eval_sets[name] = read_eval_set(find_benchmark(self.store, name))
        return self._eval_sets[name]

    def engine(self) -> Engine:
        """Load the proxy on first use."""
        if self._engine is None:
            from proxy_training.engine import Engine

            self._engine = Engine(self.study.proxy, self.study.recipe, self.workspace.features, self.device)
        return self._engine

    def _progress(self, what: str, done: int, of: int) -> None:
        if self.stop.is_set():
            raise Stopped

    def _heartbeat(self, claim: Claim, finished: threading.Event) -> None:
        beat = time.monotonic()
        while not finished.wait(1.0):
            if os.getppid() != self.parent:
                self.stop.set()
            if time.monotonic() - beat >= HEARTBEAT_S:
                beat = time.monotonic()
                if not self.store.heartbeat(claim, LEASE_S):
                    self.stop.set()


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
