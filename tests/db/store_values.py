"""Values that the store tests write, and processes that work on a store."""

import os
import signal
import time

import numpy as np
import sqlalchemy as sa

from db.store import Store
from db.values import (
    Arm,
    ArmRole,
    BenchmarkRecord,
    BudgetUnit,
    Design,
    PlannedProbe,
    SourceRecord,
    StudyRecord,
)
from proxy_training.jobs import METRICS, Cost, ItemScores, JobResult, ProxySpec, Recipe
from sources.benchmark import BenchmarkSpec, PromptForm
from sources.mixture import Curriculum, Mixture, Phase
from sources.spec import Licence, SourceSpec

NAN = float("nan")


def a_source(slug="a"):
    spec = SourceSpec(slug, "world", licence=Licence("CC-BY-4.0", terms="none"), options=(("seed", "1"), ("skill", "colour")))
    return SourceRecord(spec, fingerprint=f"f-{slug}", usable=90, excluded=(("missing", 7), ("empty", 3)))


def a_benchmark(name="colour", n=6, fingerprint=""):
    spec = BenchmarkSpec(name, "recognition", prompt_form=PromptForm.LETTER, options=(("k", "v"),))
    splits = np.arange(n, dtype=np.int8) % 2
    return BenchmarkRecord(spec, fingerprint or f"items-{name}", n, np.arange(n, dtype=np.int32) // 2, splits, chance=0.25)


def a_study(name="main", **changes):
    values = {
        "proxy": ProxySpec("tiny", "somewhere", "w0", "idefics3", illustration_only=True),
        "recipe": Recipe(rank=4, learning_rate=1e-3),
        "base": Mixture.of({"a": 1, "b": 2}),
        "base_given": False,
        "budget_unit": BudgetUnit.SAMPLES,
        "budget": 1920,
    }
    return StudyRecord(name, **(values | changes))


def an_arm(name="a", role=ArmRole.SOURCE, mixture=None):
    if role is ArmRole.UNTRAINED:
        return Arm(name, role, Design.SOLO, Curriculum(()))
    phases = (Phase(mixture or Mixture.single(name), 0.3), Phase(Mixture.of({"a": 1, "b": 2}), 0.7))
    return Arm(name, role, Design.SOLO, Curriculum(phases), source=name)


def a_probe(arm="a", repeat=0, training_id=""):
    return PlannedProbe(arm, repeat, seed=100 + repeat, training_id=training_id or f"t-{arm}-{repeat}", rows=1920, tokens=50_000)


def some_scores(benchmark="colour", n=6, value=0.5, fingerprint=""):
    values = np.full((len(METRICS), n), value, np.float32)
    values[3] = np.nan
    return ItemScores(benchmark, fingerprint or f"items-{benchmark}", values, n)


def a_result(claim, value=0.5, cost=None, n=6):
    scores = tuple(some_scores(name, n, value) for name in claim.missing)
    losses = np.zeros(0, np.float32) if claim.trained else np.array([2.0, 1.0], np.float32)
    return JobResult(claim.training_id, scores, losses, cost or Cost(train_cpu_s=4.0, eval_cpu_s=1.0, train_wall_s=2.0, rows=1920))


def fill(store, study="main", arms=("a", "b"), repeats=2, benchmarks=("colour",), n=6):
    """Plan a study whose trainings are shared with any other study of the same arms."""
    for name in benchmarks:
        store.put_benchmark(a_benchmark(name, n))
    store.create_study(a_study(study), benchmarks)
    store.add_arms(study, [an_arm(name) for name in arms])
    return store.plan_probes(study, [a_probe(arm, repeat) for repeat in range(repeats) for arm in arms])


def finish_all(store, study="main", value=0.5):
    """Work until nothing waits; return the claims."""
    claims = []
    while claim := store.claim("worker", study, 60):
        assert store.finish(claim, a_result(claim, value))
        claims.append(claim)
    return claims


def work(url, owner, ready, taken):
    """Claim and finish until nothing waits, then report what was taken."""
    with Store.open(url) as store:
        ready.wait()
        claims = []
        while claim := store.claim(owner, "main", 60):
            claims.append((claim.training_id, store.finish(claim, a_result(claim))))
            time.sleep(0.002)  # a training takes a while, so that the other process gets its turn
        taken.put((owner, claims))


def die_while_finishing(url, table):
    """Claim a training and be killed inside the transaction that finishes it, right after a write to `table`."""
    store = Store.open(url)
    claim = store.claim("doomed", "main", 60, now=1_000_000.0)

    def kill(connection, cursor, statement, *rest):
        if table in statement.split("WHERE")[0] and not statement.startswith("SELECT"):
            os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(sa.Engine, "after_cursor_execute", kill)
    store.finish(claim, a_result(claim), now=1_000_000.0)


def open_and_leave(url, ready, opened):
    """Open a store at the same moment as others do."""
    ready.wait()
    with Store.open(url) as store:
        opened.put(len(store.studies()))


def work_as_a_host(url, host, reports, lease_s=2.0, dies=False):
    """Work like a worker of some host: claim, keep the lease, finish. One that dies says what it holds and waits to be killed."""
    owner = f"{host}:{os.getpid()}"
    finished = []
    with Store.open(url) as store:
        while store.progress("main").waiting or store.progress("main").running:
            claim = store.claim(owner, "main", lease_s)
            if claim is None:
                time.sleep(0.05)  # another host may die and leave its probe to us
                continue
            if dies and finished:
                reports.put((owner, finished, claim.training_id))
                time.sleep(600)
            time.sleep(0.005)
            assert store.heartbeat(claim, lease_s)
            finished += [claim.training_id] * store.finish(claim, a_result(claim))
    reports.put((owner, finished, None))
