"""A study from the command line: own data, killed, resumed, shared, extended. Real processes, a real database file."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from probe.code_version import code_version
from probe.study.run import RunRequest, plan_run, store_plan
from probe.workspace import Workspace
from tests.probe.study.conftest import command, environment

Probe = Callable[..., "subprocess.CompletedProcess[str]"]
README = Path(__file__).parents[3] / "README.md"
RUN = ("run", "--source", "good", "--source", "bad", "--samples", "96", "--seeds", "2", "--workers", "2")


def comparable(ranking: dict[str, Any]) -> Any:
    """Return what must not depend on how the run went: everything but the revision.

    The quality of benchmarks is left out: it divides by what repeats alone move, here next to nothing, and so magnifies rounding.
    """
    kept = {k: v for k, v in ranking.items() if k not in ("revision", "benchmark_quality")}
    return json.loads(json.dumps(kept), parse_float=lambda x: round(float(x), 6))


def attempts(workspace: Path) -> dict[str, int]:
    with sqlite3.connect(workspace / "ws" / "probe.db") as connection:
        return dict(connection.execute("select training_id, attempts from trainings where state = 'done'"))


def done(workspace: Path) -> int:
    try:
        return len(attempts(workspace))
    except sqlite3.OperationalError:
        return 0


@pytest.fixture(scope="session")
def uninterrupted(own_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The ranking of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    prepare(folder, own_data)
    out = subprocess.run(command(folder, *RUN, "--json"), capture_output=True, text=True, check=True, env=environment())
    ranking: dict[str, Any] = json.loads(out.stdout)
    return ranking


def prepare(folder: Path, own_data: Path) -> None:
    calls = [("sources", "add", n, "--path", str(own_data / f"{n}.json"), "--images", str(own_data / "images")) for n in ("good", "bad")]
    calls.append(
        (
            "benchmarks",
            "add",
            "blocks",
            "--path",
            str(own_data / "test.tsv"),
            "--images",
            str(own_data / "images"),
            "--capability",
            "colour",
        )
    )
    for call in calls:
        subprocess.run(command(folder, *call), capture_output=True, check=True, env=environment())


def test_own_data_is_ranked_and_the_damaged_copy_is_below(uninterrupted: dict[str, Any]) -> None:
    effects = {s["source"]: s for s in uninterrupted["sources"]}
    assert effects["good"]["effect"]["value"] > effects["bad"]["effect"]["value"]
    assert uninterrupted["reference"] == "untrained"
    assert uninterrupted["illustration_only"] is True  # the bundled proxy on a user's own data
    assert {"value", "stderr", "low", "high", "n"} <= effects["good"]["effect"].keys()
    assert uninterrupted["sources"][0]["tier"] == 1


@pytest.mark.parametrize("when", [0, 2])
def test_killed_anywhere_and_run_again_gives_the_same_table(
    own_data: Path, tmp_path: Path, uninterrupted: dict[str, Any], when: int
) -> None:
    prepare(tmp_path, own_data)
    process = subprocess.Popen(command(tmp_path, *RUN), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and (done(tmp_path) < when or not (tmp_path / "ws" / "probe.db").exists()):
        time.sleep(0.05)
    time.sleep(1.0 if when == 0 else 0.0)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    finished = attempts(tmp_path) if (tmp_path / "ws" / "probe.db").exists() and done(tmp_path) else {}
    again = subprocess.run(command(tmp_path, *RUN, "--json"), capture_output=True, text=True, check=True, env=environment())
    assert comparable(json.loads(again.stdout)) == comparable(uninterrupted)
    after = attempts(tmp_path)
    assert {training: after[training] for training in finished} == finished  # nothing finished was trained again
    assert len(after) == 5  # untrained, two sources with two seeds


def test_a_worker_killed_on_the_last_probe_is_replaced(own_data: Path, tmp_path: Path, uninterrupted: dict[str, Any]) -> None:
    prepare(tmp_path, own_data)
    call = command(tmp_path, *RUN[:-1], "1", "--json")
    process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    last = "select owner from trainings where state = 'running' and (select count(*) from trainings where state = 'done') = 4"
    owner, deadline = None, time.monotonic() + 120
    while owner is None and time.monotonic() < deadline:
        time.sleep(0.02)
        if done(tmp_path) == 4:
            with sqlite3.connect(tmp_path / "ws" / "probe.db") as connection:
                owner = connection.execute(last).fetchone()
    assert owner is not None
    os.kill(int(owner[0].rpartition(":")[2]), signal.SIGKILL)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert comparable(json.loads(out)) == comparable(uninterrupted)
    assert len(attempts(tmp_path)) == 5


DIES_SCORING = """
import os, signal
from probe.study import worker
worker.Worker._scoring = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
worker.main()
"""


def test_killed_while_scoring_trains_nothing_again(with_data: Probe, tmp_path: Path) -> None:
    run = ("run", "--source", "good", "--samples", "48", "--seeds", "1", "--workers", "1")
    workspace = Workspace(tmp_path / "ws")
    store_plan(workspace, plan_run(workspace, RunRequest(("good",), samples=48, seeds=1), print))
    doomed = [sys.executable, "-c", DIES_SCORING, "--workspace", str(workspace.root), "--study", "main"]
    for _ in ("the untrained proxy", "good"):
        assert subprocess.run(doomed, env=environment(), capture_output=True).returncode == -signal.SIGKILL
    assert attempts(tmp_path) == {}
    adapter = next((workspace.root / "adapters").glob("*/adapter_model.safetensors"))
    written = adapter.stat().st_mtime_ns
    with_data(*run)
    assert set(attempts(tmp_path).values()) == {1}
    assert adapter.stat().st_mtime_ns == written
    with workspace.open_store() as store:
        trained = next(probe for probe in store.probes("main") if probe.arm == "good")
        assert store.training_losses(trained.training_id).size == 3  # kept with the adapter, before the kill
        assert trained.train_cpu_s > 0
        assert trained.eval_cpu_s > 0
        assert trained.commit == code_version().label


def test_benchmarks_that_cannot_be_scored_cost_only_their_own_scores(with_data: Probe, own_data: Path, tmp_path: Path) -> None:
    for name in ("gone", "edited"):
        (tmp_path / f"{name}.tsv").write_text((own_data / "test.tsv").read_text().replace("What", f"Say, {name}: what"))
        words = ("--path", str(tmp_path / f"{name}.tsv"), "--images", str(own_data / "images"), "--choices", "letter")
        with_data("benchmarks", "add", name, *words)
    (tmp_path / "gone.tsv").unlink()
    (tmp_path / "edited.tsv").write_text((tmp_path / "edited.tsv").read_text().replace("what colour", "which colour"))
    run = ("run", "--source", "good", "--samples", "48", "--seeds", "2", "--workers", "1")
    broken = with_data(*run, ok=False)
    assert broken.returncode == 1
    assert "Traceback" not in broken.stderr
    trained = attempts(tmp_path)
    assert len(trained) == 3  # all are done
    with Workspace(tmp_path / "ws").open_store() as store:
        assert {mean.benchmark for mean in store.mean_scores("main")} == {"blocks"}
        errors = {probe.error for probe in store.probes("main")}
    assert len(errors) == 1  # the same for each probe
    assert " benchmarks remove gone --study main" in with_data("status").stdout
    with_data("benchmarks", "remove", "gone", "--study", "main")
    assert "changed since it was registered" in with_data("status").stdout
    with_data("benchmarks", "remove", "edited", "--study", "main")
    ranking = json.loads(with_data(*run, "--json").stdout)
    assert ranking["sources"][0]["benchmarks"].keys() == {"blocks"}
    assert attempts(tmp_path) == trained


def test_the_readme_block_for_your_own_data_works_as_it_stands(own_data: Path, tmp_path: Path) -> None:
    section = README.read_text().partition("## Your own data\n")[2].partition("\n##")[0]
    lines = [line.strip() for line in section.splitlines() if line.startswith("    probe ")]
    assert lines[-1] == "probe dashboard"  # which stays until it is stopped
    (tmp_path / "data").mkdir()
    for theirs, ours in (("mine.json", "good.json"), ("other.json", "bad.json"), ("bench.tsv", "test.tsv")):
        shutil.copy(own_data / ours, tmp_path / "data" / theirs)
    shutil.copytree(own_data / "images", tmp_path / "data" / "images")
    main = [sys.executable, "-c", "from probe.cli.main import main; main()"]
    for line in lines[:-1]:
        words = shlex.split(line)[1:]
        quick = environment() | {"PROBE_RUN_SEEDS": "1"}
        ended = subprocess.run([*main, *words], cwd=tmp_path, capture_output=True, text=True, timeout=300, env=quick)
        assert ended.returncode == 0, (line, ended.stderr)
    assert "mine" in ended.stdout
    assert "other" in ended.stdout
    with Workspace(tmp_path / ".probe").open_store() as store:
        assert {probe.rows for probe in store.probes("main")} == {0, 1920}


def test_interrupt_says_how_to_go_on_and_leaves_no_lease(own_data: Path, tmp_path: Path) -> None:
    prepare(tmp_path, own_data)
    long = ("1600" if word == "96" else word for word in RUN)  # so that there is something left to interrupt
    process = subprocess.Popen(
        command(tmp_path, *long),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests in the background inherit that it is ignored
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and done(tmp_path) < 1:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on" in errors
    assert "Traceback" not in errors
    with sqlite3.connect(tmp_path / "ws" / "probe.db") as connection:
        assert connection.execute("select count(*) from trainings where state = 'running'").fetchone() == (0,)


def test_two_runs_at_once_share_the_work(own_data: Path, tmp_path: Path, uninterrupted: dict[str, Any]) -> None:
    prepare(tmp_path, own_data)
    call = command(tmp_path, *RUN[:-1], "1", "--json")
    both = [subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()) for _ in range(2)]
    outputs = [process.communicate(timeout=240) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    for out, _ in outputs:
        assert comparable(json.loads(out)) == comparable(uninterrupted)
    assert set(attempts(tmp_path).values()) == {1}
    assert len(attempts(tmp_path)) == 5


def test_benchmark_added_later_scores_without_training(with_data: Probe, own_data: Path, tmp_path: Path) -> None:
    run = ("run", "--source", "good", "--samples", "48", "--seeds", "2", "--workers", "1")
    with_data(*run, "--benchmark", "blocks")
    before = attempts(tmp_path)
    with_data(
        "benchmarks", "add", "later", "--path", str(own_data / "test.tsv"), "--images", str(own_data / "images"), "--capability", "again"
    )
    ranking = json.loads(with_data(*run, "--benchmark", "later", "--json").stdout)
    assert attempts(tmp_path) == before
    assert ranking["sources"][0]["benchmarks"].keys() == {"blocks", "later"}
    one, two = (ranking["sources"][0]["benchmarks"][name]["value"] for name in ("blocks", "later"))
    assert one == pytest.approx(two, abs=1e-5)


def test_failed_probe_is_told_and_can_be_tried_again(with_data: Probe, own_data: Path, tmp_path: Path) -> None:
    run = ("run", "--source", "good", "--samples", "48", "--seeds", "1", "--workers", "1", "--learning-rate", "1e30")
    failed = with_data(*run, "--study", "wild", ok=False)
    assert failed.returncode == 1
    assert "not finite" in failed.stderr
    assert "--retry-failed" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_data_that_changes_between_runs_is_planned_anew(with_data: Probe, own_data: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved.json"
    shutil.copy(own_data / "good.json", moved)
    with_data("sources", "add", "moving", "--path", str(moved), "--images", str(own_data / "images"))
    run = ("run", "--source", "moving", "--samples", "32", "--seeds", "1", "--workers", "1", "--study", "moving")
    with_data(*run)
    rows = json.loads(moved.read_text())
    moved.write_text(json.dumps(rows[::-1]))  # another order of the file draws the same rows
    with_data(*run)
    before = attempts(tmp_path)
    assert len(before) == 2
    moved.write_text(json.dumps(rows[5:]))
    refused = with_data(*run, ok=False)
    assert refused.returncode == 1
    assert "arm 'moving', repeat 0 was planned with other rows" in refused.stderr
    assert attempts(tmp_path) == before
    with_data(*run[:-1], "anew")  # another question: the changed data is trained on, the untrained proxy is shared
    after = attempts(tmp_path)
    assert len(after) == 3
    assert {training: after[training] for training in before} == before
