"""Who may train what: claims, leases and fences."""

import multiprocessing
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from store_values import (
    a_benchmark,
    a_probe,
    a_result,
    a_study,
    an_arm,
    fill,
    finish_all,
    open_and_leave,
    some_scores,
    work,
    work_as_a_host,
)

from db import leases
from db.errors import StoreError
from db.leases import MAX_DEATHS
from db.store import Store
from db.values import ArmRole, ProbeState
from proxy_training.jobs import Cost, JobResult

SPAWN = multiprocessing.get_context("spawn")


def test_planning_twice_plans_once(store):
    assert fill(store) == 4
    assert fill(store) == 0
    progress = store.progress("main")
    assert (progress.waiting, progress.running, progress.done, progress.failed) == (4, 0, 0, 0)


def test_claims_come_in_plan_order_and_never_twice(store):
    fill(store)
    claims = [store.claim("me", "main", 60) for _ in range(5)]
    assert [claim and claim.training_id for claim in claims] == ["t-a-0", "t-b-0", "t-a-1", "t-b-1", None]
    first = claims[0]
    assert (first.arm, first.seed, first.trained, first.missing) == ("a", 100, False, ("colour",))
    assert store.progress("main").running == 4


def test_a_finished_probe_is_recorded_with_its_cost(store, clock):
    fill(store)
    claim = store.claim("me", "main", 60)
    clock.now += 10
    assert store.finish(claim, a_result(claim), commit="abc")
    probe = store.probes("main")[0]
    assert (probe.arm, probe.role, probe.repeat, probe.state, probe.attempts) == ("a", ArmRole.SOURCE, 0, ProbeState.DONE, 1)
    assert (probe.train_cpu_s, probe.eval_cpu_s, probe.wall_s) == (4.0, 1.0, 2.0)
    assert store.training_costs("main")[probe.training_id] == Cost(train_cpu_s=4.0, eval_cpu_s=1.0, train_wall_s=2.0, rows=1920)
    assert (probe.started_at, probe.finished_at, probe.owner) == ("1970-01-12T13:46:40Z", "1970-01-12T13:46:50Z", "")
    progress = store.progress("main")
    assert (progress.done, progress.cpu_s, progress.wall_s, progress.mean_probe_cpu_s) == (1, 5.0, 2.0, 5.0)
    assert store.training_losses(claim.training_id).tolist() == [2.0, 1.0]


def test_an_expired_lease_is_reclaimed_and_its_old_holder_is_refused(store, clock):
    fill(store, arms=("a",), repeats=1)
    old = store.claim("old", "main", 60)
    clock.now += 59
    assert store.claim("new", "main", 60) is None
    clock.now += 2
    new = store.claim("new", "main", 60)
    assert new.training_id == old.training_id
    assert new.fence > old.fence
    revision = store.study("main").revision
    assert not store.heartbeat(old, 60)
    assert not store.finish(old, a_result(old, value=0.1))
    assert not store.fail(old, "late")
    assert not store.release(old)
    assert store.mean_scores("main") == ()
    assert store.study("main").revision == revision
    assert store.finish(new, a_result(new, value=0.75))
    assert {mean.mean for mean in store.mean_scores("main")} == {0.75}
    assert store.probes("main")[0].attempts == 2


def test_one_owner_cannot_finish_an_earlier_claim_of_its_own(store, clock):
    fill(store, arms=("a",), repeats=1)
    old = store.claim("me", "main", 60)
    clock.now += 61
    new = store.claim("me", "main", 60)
    assert not store.finish(old, a_result(old))
    assert store.finish(new, a_result(new))
    assert not store.finish(new, a_result(new))  # once is enough


def test_a_heartbeat_keeps_the_lease(store, clock):
    fill(store, arms=("a",), repeats=1)
    claim = store.claim("me", "main", 60)
    clock.now += 50
    assert store.heartbeat(claim, 60)
    clock.now += 50
    assert store.claim("other", "main", 60) is None


def test_a_late_result_counts_while_nobody_else_took_over(store, clock):
    fill(store, arms=("a",), repeats=1)
    claim = store.claim("me", "main", 60)
    clock.now += 600
    assert store.finish(claim, a_result(claim))


def test_a_released_training_waits_again(store):
    fill(store, arms=("a",), repeats=1)
    claim = store.claim("me", "main", 60)
    assert store.release(claim)
    assert store.progress("main").waiting == 1
    assert store.claim("other", "main", 60).fence == claim.fence + 1


def test_a_failure_stays_until_it_is_retried(store):
    fill(store, arms=("a",), repeats=1)
    claim = store.claim("me", "main", 60)
    assert store.finish(claim, JobResult(claim.training_id, failure="out of memory"))
    assert store.claim("me", "main", 60) is None
    assert store.progress("main").last_error == "out of memory"
    assert (store.probes("main")[0].state, store.probes("main")[0].error) == (ProbeState.FAILED, "out of memory")
    assert store.retry_failed("main") == 1
    assert len(finish_all(store)) == 1
    assert store.probes("main")[0].error == ""


def test_a_benchmark_added_later_is_scored_without_training(store):
    fill(store, arms=("a",), repeats=1)
    finish_all(store)
    store.put_benchmark(a_benchmark("shape"))
    store.add_study_benchmark("main", "shape")
    assert store.progress("main").waiting == 1
    claim = store.claim("me", "main", 60)
    assert (claim.trained, claim.missing) == (True, ("shape",))
    assert store.release(claim)
    claim = store.claim("me", "main", 60)
    assert store.finish(claim, a_result(claim, cost=Cost(eval_cpu_s=2.0)))
    probe = store.probes("main")[0]
    assert (probe.state, probe.attempts, probe.train_cpu_s, probe.eval_cpu_s) == (ProbeState.DONE, 1, 4.0, 3.0)
    assert store.training_losses(claim.training_id).size == 2
    assert {mean.benchmark for mean in store.mean_scores("main")} == {"colour", "shape"}


def test_when_only_scoring_fails_the_training_stays_done(store):
    fill(store, "main", arms=("a",), repeats=1)
    fill(store, "other", arms=("a",), repeats=1)
    finish_all(store)
    store.put_benchmark(a_benchmark("shape"))
    store.add_study_benchmark("main", "shape")
    assert store.fail(store.claim("me", "main", 60), "no such image")
    assert store.claim("me", "main", 60) is None
    assert (store.progress("main").failed, store.progress("main").last_error) == (1, "no such image")
    assert store.progress("other").done == 1
    assert store.retry_failed("main") == 1
    assert [claim.trained for claim in finish_all(store)] == [True]


def test_two_studies_share_a_training_and_both_hear_of_it(store):
    fill(store, "main", arms=("a", "b"), repeats=1)
    fill(store, "other", arms=("b", "a"), repeats=1)
    before = store.study("main").revision, store.study("other").revision
    claim = store.claim("me", "other", 60)
    assert store.finish(claim, a_result(claim))
    assert (store.study("main").revision, store.study("other").revision) == (before[0] + 1, before[1] + 1)
    assert len(finish_all(store, "main")) == 1
    assert store.progress("other").done == 2


def test_a_study_planned_over_finished_trainings_has_only_scores_missing(store):
    fill(store, "main", arms=("a",), repeats=1)
    finish_all(store)
    fill(store, "other", arms=("a",), repeats=1, benchmarks=("shape",))
    claim = store.claim("me", "other", 60)
    assert (claim.trained, claim.missing) == (True, ("shape",))


def test_all_repeats_of_the_untrained_proxy_are_one_training(store):
    store.put_benchmark(a_benchmark())
    store.create_study(a_study(), ["colour"])
    store.add_arms("main", [an_arm("untrained", ArmRole.UNTRAINED)])
    store.plan_probes("main", [a_probe("untrained", repeat, "t0") for repeat in range(3)])
    assert len(finish_all(store)) == 1
    progress = store.progress("main")
    assert (progress.done, progress.cpu_s, progress.mean_probe_cpu_s) == (3, 5.0, 0.0)


def test_a_result_must_be_of_the_claimed_training(store):
    fill(store)
    claim = store.claim("me", "main", 60)
    with pytest.raises(StoreError, match="finish the claim that the job came from"):
        store.finish(claim, JobResult("another"))


def die(store, clock, times):
    for _ in range(times):
        claim = store.claim("doomed", "main", 60)
        clock.now += 61
    return claim


def test_a_training_that_kills_its_holders_is_given_up_with_a_sentence(store, clock):
    fill(store, arms=("a", "b"), repeats=1)
    die(store, clock, MAX_DEATHS)
    claim = store.claim("me", "main", 60)
    assert claim.arm == "b"
    assert store.finish(claim, a_result(claim))
    assert store.claim("me", "main", 60) is None
    progress = store.progress("main")
    assert (progress.waiting, progress.running, progress.done, progress.failed) == (0, 0, 1, 1)
    assert "died 3 times while it trained this" in progress.last_error
    assert store.retry_failed("main") == 1
    assert die(store, clock, MAX_DEATHS - 1).arm == "a"  # as many tries again
    assert len(finish_all(store)) == 1


def test_scoring_that_kills_its_holders_is_given_up_and_the_training_stays(store, clock):
    fill(store, arms=("a",), repeats=1)
    claim = store.claim("me", "main", 60)
    assert store.keep_training(claim, a_result(claim))
    clock.now += 61
    die(store, clock, MAX_DEATHS - 1)
    assert store.claim("me", "main", 60) is None
    assert "while it scored this" in store.progress("main").last_error
    assert store.probes("main")[0].attempts == 1
    assert store.retry_failed("main") == 1
    assert [claim.trained for claim in finish_all(store)] == [True]


def test_what_ends_with_its_whole_run_is_not_held_against_the_training(store, clock):
    fill(store, arms=("a",), repeats=1)
    for _ in range(2 * MAX_DEATHS):
        assert store.claim("killed", "main", 60) is not None
        assert store.release_owner("killed") == 1
    assert store.progress("main").waiting == 1
    claim = store.claim("me", "main", 60)
    assert store.keep_training(claim, a_result(claim))
    assert store.release_owner("me") == 1
    assert [claim.trained for claim in finish_all(store)] == [True]


def test_a_kept_training_is_never_trained_again(store, clock):
    fill(store, arms=("a",), repeats=1)
    old = store.claim("me", "main", 60)
    assert store.keep_training(old, a_result(old, cost=Cost(train_cpu_s=4.0)), commit="abc")
    assert store.progress("main").running == 1
    clock.now += 61
    new = store.claim("other", "main", 60)
    assert (new.trained, new.missing) == (True, ("colour",))
    assert not store.keep_training(old, a_result(old))
    assert store.finish(new, a_result(new, cost=Cost(eval_cpu_s=1.0)))
    probe = store.probes("main")[0]
    assert (probe.attempts, probe.commit) == (1, "abc")
    assert store.training_costs("main")[probe.training_id] == Cost(train_cpu_s=4.0, eval_cpu_s=1.0)
    assert store.training_losses("t-a-0").tolist() == [2.0, 1.0]


def test_a_benchmark_that_cannot_be_scored_costs_only_its_own_scores(store):
    fill(store, arms=("a",), repeats=1, benchmarks=("colour", "shape"))
    claim = store.claim("me", "main", 60)
    partly = JobResult(claim.training_id, (some_scores("colour"),), unscored=(("shape", "no such file"),))
    assert store.finish(claim, partly)
    assert store.claim("me", "main", 60) is None
    assert (store.progress("main").failed, store.progress("main").last_error) == (1, "no such file")
    assert (store.probes("main")[0].state, store.probes("main")[0].error) == (ProbeState.FAILED, "no such file")
    assert {mean.benchmark for mean in store.mean_scores("main")} == {"colour"}
    store.remove_study_benchmark("main", "shape")
    assert (store.progress("main").done, store.progress("main").last_error) == (1, "")
    assert store.retry_failed("main") == 0
    store.add_study_benchmark("main", "shape")
    assert store.retry_failed("main") == 1
    assert [(claim.trained, claim.missing) for claim in finish_all(store)] == [(True, ("shape",))]


def test_two_processes_never_take_the_same_training(url, store):
    fill(store, arms=tuple(f"s{i:02d}" for i in range(40)), repeats=5)
    ready, taken = SPAWN.Barrier(2), SPAWN.Queue()
    workers = [SPAWN.Process(target=work, args=(url, owner, ready, taken)) for owner in ("one", "two")]
    for worker in workers:
        worker.start()
    reports = dict(taken.get(timeout=60) for _ in workers)
    for worker in workers:
        worker.join(30)
    claims = [claim for report in reports.values() for claim in report]
    assert all(reports.values())
    assert all(kept for _, kept in claims)
    assert len(claims) == len({training for training, _ in claims}) == 200
    assert {probe.attempts for probe in store.probes("main")} == {1}
    assert store.progress("main").done == 200


def test_what_another_process_took_and_finished_meanwhile_is_not_taken_to_be_scored(postgres_url, monkeypatch):
    """A claim whose query began before another's claim and comes to the row after its end finds nothing to do."""
    with Store.open(postgres_url) as slow, Store.open(postgres_url) as fast:
        fill(slow, arms=("a",), repeats=1)
        first = leases._next_training

        def slowly(*asked):
            return first(*asked).where(sa.func.pg_sleep(2).is_not(None))

        with ThreadPoolExecutor(1) as pool, sa.create_engine(postgres_url, poolclass=sa.NullPool).connect() as watching:
            monkeypatch.setattr(leases, "_next_training", slowly)
            late = pool.submit(slow.claim, "late", "main", 60)
            asleep = sa.text("select 1 from pg_stat_activity where wait_event = 'PgSleep'")
            while watching.scalar(asleep) is None:
                assert not late.done()
            monkeypatch.setattr(leases, "_next_training", first)
            claim = fast.claim("early", "main", 60)
            assert fast.finish(claim, a_result(claim))
            assert not late.done()
            assert late.result() is None
        assert slow.progress("main").done == 1


def test_hosts_share_a_store_and_one_that_is_killed_loses_nothing(postgres_url):
    """Three workers of two hosts; one is killed with SIGKILL while it holds a training."""
    with Store.open(postgres_url) as store:
        fill(store, arms=tuple(f"s{i:02d}" for i in range(20)), repeats=3)
        last_words, reports = SPAWN.Queue(), SPAWN.Queue()  # two, because who is killed can take a queue's lock along
        doomed = SPAWN.Process(target=work_as_a_host, args=(postgres_url, "host-a", last_words), kwargs={"dies": True}, daemon=True)
        doomed.start()
        owner, finished_before, held = last_words.get(timeout=120)
        workers = [SPAWN.Process(target=work_as_a_host, args=(postgres_url, host, reports)) for host in ("host-a", "host-b")]
        for worker in workers:
            worker.start()
        doomed.kill()
        told = [reports.get(timeout=120) for _ in workers]
        for process in (doomed, *workers):
            process.join(30)
        assert doomed.exitcode == -9
        finished = [*finished_before, *(training for _, some, _ in told for training in some)]
        assert len(finished) == len(set(finished)) == 60
        assert held in finished
        assert held not in finished_before
        probes = store.probes("main")
        assert {probe.state for probe in probes} == {ProbeState.DONE}
        assert {probe.training_id: probe.attempts for probe in probes} == {t: 2 if t == held else 1 for t in finished}
        assert store.scores("main", "colour").values.shape[1:3] == (20, 3)
        assert not np.isnan(store.scores("main", "colour").values[0]).any()
        assert {host for host, _, _ in [one.partition(":") for one in (owner, *(who for who, _, _ in told))]} == {"host-a", "host-b"}


def test_leases_go_by_the_clock_of_the_server(postgres_url, monkeypatch):
    with Store.open(postgres_url) as store:
        fill(store, arms=("a",), repeats=1)
        claim = store.claim("host-a:1", "main", 60)
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 3600)  # a host whose clock is an hour ahead
        with Store.open(postgres_url) as ahead:
            assert ahead.claim("host-b:1", "main", 60) is None
        monkeypatch.undo()
        assert store.finish(claim, a_result(claim))


def test_processes_that_open_a_new_store_at_once_migrate_it_once(url):
    ready, opened = SPAWN.Barrier(2), SPAWN.Queue()
    openers = [SPAWN.Process(target=open_and_leave, args=(url, ready, opened)) for _ in range(2)]
    for opener in openers:
        opener.start()
    assert [opened.get(timeout=60) for _ in openers] == [0, 0]
    for opener in openers:
        opener.join(30)


@pytest.mark.parametrize("table", ["trainings", "item_scores", "score_means", "studies"])
def test_a_process_killed_while_finishing_leaves_nothing_behind(url, clock, table):
    with Store.open(url, clock=clock) as store:
        fill(store, arms=("a",), repeats=1)
        revision = store.study("main").revision
    code = f"import store_values; store_values.die_while_finishing({url!r}, {table!r})"
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    killed = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )
    assert killed.returncode == -9, killed.stderr
    with Store.open(url, clock=clock) as store:
        assert store.study("main").revision == revision
        assert store.mean_scores("main") == ()
        assert store.probes("main")[0].state is ProbeState.RUNNING
        clock.now += 61
        claim = store.claim("next", "main", 60)
        assert (claim.trained, claim.missing) == (False, ("colour",))
        assert store.finish(claim, a_result(claim))
        assert store.progress("main").done == 1
