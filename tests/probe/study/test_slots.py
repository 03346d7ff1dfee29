"""Several claims in flight in one worker: the same table as one at a time, and a failure is its probe's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from probe.study.estimate import _images, estimate
from probe.study.run import RunRequest, execute, plan_run, store_plan
from probe.workspace import Workspace
from proxy_training.jobs import Backend, EngineSettings

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def finished(folder: Path, with_bench: Workspace, settings: EngineSettings) -> dict[tuple[str, int, str], float]:
    workspace = with_bench
    request = RunRequest(("world/colour", "world/shape"), samples=48, seeds=3, benchmarks=("world/colour",), study=folder.name)
    store_plan(workspace, plan_run(workspace, request, print))
    progress = execute(workspace, folder.name, 1, settings, lambda _: None)
    assert (progress.failed, progress.waiting, progress.running) == (0, 0, 0)
    with workspace.open_store() as store:
        probes = store.probes(folder.name)
        costs = store.training_costs(folder.name)
        slots = {costs[probe.training_id].slots for probe in probes if probe.rows}
        assert slots == ({settings.slots} if settings.backend is not Backend.REFERENCE else {1})
        return {(m.arm, m.repeat, str(m.split)): m.mean for m in store.mean_scores(folder.name) if m.metric == "right_probability"}


def test_four_claims_in_flight_give_the_table_of_one_at_a_time(tmp_path: Path) -> None:
    many = finished(tmp_path / "many", Workspace(tmp_path / "a"), EngineSettings("cpu", slots=4))
    alone = finished(tmp_path / "alone", Workspace(tmp_path / "b"), EngineSettings("cpu", Backend.REFERENCE))
    assert many.keys() == alone.keys()
    assert len(many) >= 7
    for key, value in alone.items():
        assert many[key] == pytest.approx(value, abs=1e-4)


def test_images_of_repeats_that_overlap_are_not_counted_twice() -> None:
    assert _images(100, 3, 0.0) == 300
    assert _images(100, 1, 0.5) == pytest.approx(100)
    assert _images(100, 2, 0.5) == pytest.approx(150)
    assert _images(100, 5, 1.0) == pytest.approx(100)


def test_estimate_counts_what_is_new_and_stores_nothing(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "ws")
    request = RunRequest(("world/colour",), samples=320, seeds=2, benchmarks=("world/colour",))
    planned = plan_run(workspace, request, print)
    found = estimate(workspace, planned.plan, 1, EngineSettings("cpu"))
    assert found.probes == 3
    assert 0 < found.hours < 0.2
    assert found.calibration.token_s > 0
    assert found.calibration.item_s > 0
    assert found.calibration.choice
    assert json.loads(json.dumps({"hours": found.hours})) == {"hours": found.hours}
    with workspace.look() as store:
        assert store.studies() == ()
