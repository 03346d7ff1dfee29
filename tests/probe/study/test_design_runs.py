"""Every design planned, trained and ranked on a user's own data, in one study that shares its trainings."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from db.values import Design
from probe.cli.order_slopes import slope_lines
from probe.study.run import RunRequest, execute, plan_run, store_plan
from probe.workspace import Workspace
from proxy_training.jobs import EngineSettings
from sources.mixture import Mixture, Phase

PHASES = (Phase(Mixture.single("good"), 0.5), Phase(Mixture.single("bad"), 0.5))


def test_all_designs_of_one_study_train_once_and_are_ranked_each_by_its_own_reference(
    with_data: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path / "ws")
    request = RunRequest(("good", "bad"), base=Mixture.of({"good": 0.5, "bad": 0.5}), samples=16, seeds=2, recipe_changes=(("rank", 4),))
    asked = [
        replace(request, design=Design.SOLO),
        replace(request, design=Design.ADD_ONE),
        replace(request, design=Design.LEAVE_ONE_OUT),
        replace(request, design=Design.HALVING, groups=(("bad-one", ("bad",)),), sources=()),
        replace(request, design=Design.LADDER, sources=("good",), sizes=(8, 16)),
        replace(request, design=Design.PHASES, sources=(), phases=PHASES, sizes=(16, 32)),
    ]
    for one in asked:
        store_plan(workspace, plan_run(workspace, one, lambda line: None))
    progress = execute(workspace, "main", 1, EngineSettings("cpu"), lambda _: None)
    assert (progress.failed, progress.waiting) == (0, 0), progress.last_error
    with workspace.open_store() as store:
        probes = {(probe.arm, probe.repeat): probe for probe in store.probes("main")}
        slopes = slope_lines(store, "main")
        notes = [note.text for note in store.notes("main")]
    for same in (("-bad", "good"), ("-good", "bad"), ("good@16", "good")):  # the same rows in other words: trained once
        assert probes[same[0], 1].training_id == probes[same[1], 1].training_id
    assert {probes[f"phases/{order}@32", 0].rows for order in ("staged", "reversed", "mixed", "mixed-restarts")} == {32}
    assert "Group bad-one: bad 100%, in proportion to usable rows." in notes
    assert any(line.startswith("phases/staged against phases/mixed-restarts: each doubling of the size from 16 to 32") for line in slopes)
    ranking = json.loads(with_data("rank", "--json").stdout)
    rows = {row["arm"]: row for row in ranking["sources"]}
    assert set(rows) >= {"good", "+bad", "-bad", "~bad-one", "good@8", "phases/staged@32", "phases/mixed@16"}
    assert rows["-bad"]["verdict_from"] == "leave-one-out"
    assert rows["~bad-one"]["source"] == "bad-one"
    assert rows["good@8"]["verdict"] is None
    assert [found["order"] for found in ranking["order_slopes"]] == ["phases/staged", "phases/reversed", "phases/mixed"]
    for row in rows.values():
        assert row["effect"]["low"] <= row["effect"]["value"] <= row["effect"]["high"]
    assert "base (leave-one-out)" in ranking["reference"]
    shown = json.loads(with_data("studies", "show", "main", "--json").stdout)
    arms = {arm["arm"]: arm for arm in shown["arm_list"]}
    assert (arms["phases/staged@32"]["restarts"], arms["phases/staged@32"]["budget"]) == (True, 32)
    assert shown["gates"] == []


def test_gates_from_the_command_line_are_logged_once_and_asked_again_train_nothing(
    with_data: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    words = ("run", "--sequential", "--orders", "2", "--base", "world/colour=1", "--source", "good", "--source", "bad")
    run = (*words, "--samples", "16", "--seeds", "2", "--workers", "1", "--benchmark", "blocks", "--json")
    first = json.loads(with_data(*run).stdout)
    assert [order["order"] for order in first["orders"]] == [["good", "bad"], ["bad", "good"]]
    gates = [gate for order in first["orders"] for gate in order["gates"]]
    assert len(gates) == 4
    assert gates[0]["base_before"] == {"world/colour": 1.0}
    assert all(gate["base_after"] == gate["base_before"] or gate["accepted"] for gate in gates)
    with Workspace(tmp_path / "ws").open_store() as store:
        attempts = {probe.training_id: probe.attempts for probe in store.probes("main")}
    assert json.loads(with_data(*run).stdout) == first
    with Workspace(tmp_path / "ws").open_store() as store:
        assert {probe.training_id: probe.attempts for probe in store.probes("main")} == attempts
    shown = json.loads(with_data("studies", "show", "main", "--json").stdout)["gates"]
    assert sorted(shown, key=repr) == sorted(gates, key=repr)
    table = with_data(*run[:-1]).stdout
    assert "Order 2 accepts" in table
