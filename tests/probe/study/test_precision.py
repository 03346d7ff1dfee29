"""The precision of a new study of one's own model is measured, fixed, and told with its reason; the bundled proxy's is fixed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from probe.study.run import RunRequest, plan_run, store_plan
from probe.workspace import Workspace
from proxy_training import precision
from proxy_training.jobs import Precision
from proxy_training.precision import propose_precision
from proxy_training.proxies import BUNDLED


def faster(monkeypatch: pytest.MonkeyPatch, gain: float) -> None:
    monkeypatch.setattr(precision, "_seconds", lambda *_: {Precision.FP32: gain, Precision.BF16: 1.0})


@pytest.mark.parametrize(("gain", "chosen"), [(8.0, Precision.BF16), (1.1, Precision.FP32), (0.5, Precision.FP32)])
def test_bf16_must_pay(gain: float, chosen: Precision, monkeypatch: pytest.MonkeyPatch) -> None:
    faster(monkeypatch, gain)
    proposal = propose_precision(BUNDLED, "cpu")
    assert proposal.precision is chosen
    assert "128 and 384" in proposal.reason


def test_the_measurement_repeats_on_this_machine() -> None:
    assert len({propose_precision(BUNDLED, "cpu").precision for _ in range(5)}) == 1


def test_a_new_study_keeps_what_was_measured_and_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = shutil.copytree(BUNDLED, tmp_path / "model")
    workspace, said = Workspace(tmp_path / "ws"), list[str]()
    request = RunRequest(("world/colour",), proxy=str(model), samples=32, seeds=1, benchmarks=("world/colour",), device="cpu")
    faster(monkeypatch, 3.0)
    store_plan(workspace, plan_run(workspace, request, said.append))
    faster(monkeypatch, 0.5)
    store_plan(workspace, plan_run(workspace, request, said.append))  # the same command goes on with the study as it is
    with workspace.open_store() as store:
        study, notes = store.study("main"), store.notes("main")
    assert study is not None
    assert study.recipe.precision is Precision.BF16
    assert len([line for line in said if line.startswith("Precision bf16")]) == 1
    assert ["3.0 times as fast" in note.text for note in notes].count(True) == 1


def test_a_named_precision_and_the_bundled_proxy_are_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faster(monkeypatch, 3.0)
    said: list[str] = []
    plan = plan_run(Workspace(tmp_path / "a"), RunRequest(("world/colour",), samples=32, benchmarks=("world/colour",)), said.append)
    assert plan.plan.study.recipe.precision is Precision.FP32
    model = shutil.copytree(BUNDLED, tmp_path / "model")
    changes = (("precision", Precision.FP32),)
    request = RunRequest(("world/colour",), proxy=str(model), samples=32, benchmarks=("world/colour",), recipe_changes=changes)
    assert plan_run(Workspace(tmp_path / "b"), request, said.append).plan.study.recipe.precision is Precision.FP32
    assert not any("as measured" in line for line in said)
