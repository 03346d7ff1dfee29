"""Gates on a store that is filled with scores of known truth: what is accepted, logged, resumed, and how orders differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from db.values import Verdict
from probe.cli.studies import study_fields
from probe.decide.gates import Gate
from probe.errors import UsageError
from probe.study.gates import disputed_units, run_gates
from probe.study.ranking import computed_ranking
from probe.study.recorded_notes import GATES, recorded
from probe.study.run import Planned, RunRequest
from probe.workspace import Workspace
from proxy_training.jobs import METRICS, Cost, ItemScores, JobResult
from sources.mixture import Mixture

SHAPE, TWIN, HARM, BASE = "world/shape", "world/size", "world/chart", "world/colour"


def truth(mixture: Mixture | None) -> float:
    """Shape and its twin teach the same, up to a share of a fifth together; charts cost."""
    shares = mixture.weights() if mixture else {}
    return 0.4 + min(0.2, shares.get(SHAPE, 0.0) + shares.get(TWIN, 0.0)) - 0.5 * shares.get(HARM, 0.0)


class Runner:
    """Finishes what a plan left waiting; told to, it is interrupted at some call."""

    def __init__(self, workspace: Workspace, interrupted_at: int = 0) -> None:
        self.workspace, self.interrupted_at = workspace, interrupted_at
        self.calls = 0
        self.trained: list[str] = []

    def __call__(self, planned: Planned) -> None:
        self.calls += 1
        if self.calls == self.interrupted_at:
            raise KeyboardInterrupt
        study = planned.plan.study.name
        with self.workspace.open_store() as store:
            arms = {arm.name: arm for arm in store.arms(study)}
            (benchmark,) = store.study_benchmarks(study)
            items = np.random.default_rng(0).normal(0, 0.1, benchmark.n_items)
            while (claim := store.claim("me", study, 60)) is not None:
                phases = arms[claim.arm].curriculum.phases
                rng = np.random.default_rng([claim.seed, *claim.arm.encode()])
                values = np.full((len(METRICS), benchmark.n_items), np.nan, np.float32)
                values[:3] = truth(phases[0].mixture if phases else None) + items + rng.normal(0, 0.005)
                values[:3] += rng.normal(0, 0.03, benchmark.n_items)
                scores = ItemScores(benchmark.spec.name, benchmark.fingerprint, values, benchmark.n_items)
                assert store.finish(claim, JobResult(claim.training_id, (scores,), cost=Cost(1.0, 1.0)))
                self.trained.append(claim.arm)


def request(*sources: str) -> RunRequest:
    return RunRequest(sources, base=Mixture.single(BASE), samples=20, seeds=3, benchmarks=("world/shape",))


def silent(line: str) -> None:
    """Tell nobody."""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "ws")


def test_a_source_that_helps_joins_the_base_and_its_twin_stays_out(workspace: Workspace) -> None:
    runner = Runner(workspace)
    (order,) = run_gates(workspace, request(SHAPE, HARM, TWIN), 1, runner, silent)
    assert [gate.verdict for gate in order.gates] == [Verdict.HELPS, Verdict.HURTS, order.gates[2].verdict]
    assert order.accepted() == (SHAPE,)
    assert [gate.reference for gate in order.gates] == ["base", f"+{SHAPE}", f"+{SHAPE}"]
    assert [gate.level for gate in order.gates] == pytest.approx([0.05 / 3, 0.1 / 3, 0.05 / 3])
    assert order.gates[0].before.weights() == {BASE: 1.0}
    assert order.gates[-1].after.weights() == pytest.approx({BASE: 0.8, SHAPE: 0.2})
    assert order.gates[0].effect.value == pytest.approx(0.2, abs=0.02)
    assert order.gates[0].effect.low > 0
    assert len(runner.trained) == 1 + 4 * 3  # the accepted arm is the next reference: nothing is trained twice
    with workspace.open_store() as store:
        found = {row.arm: row.verdict for row in computed_ranking(store, "main").effects if row.level == "overall"}
    assert found == {f"+{SHAPE}": Verdict.HELPS}  # gates against a grown base are not mixed up with those against the base


def test_orders_differ_on_the_twins_and_agree_on_what_hurts(workspace: Workspace) -> None:
    orders = run_gates(workspace, request(SHAPE, HARM, TWIN), 3, Runner(workspace), silent)
    assert orders[0].accepted() == (SHAPE,)
    assert orders[1].units == (TWIN, HARM, SHAPE)
    assert orders[1].accepted() == (TWIN,)
    assert disputed_units(orders) == tuple(sorted((SHAPE, TWIN)))
    assert all(len(order.gates) == 3 for order in orders)


def test_interrupted_gates_go_on_from_their_log(tmp_path: Path) -> None:
    whole, broken = Workspace(tmp_path / "whole"), Workspace(tmp_path / "broken")
    asked = request(SHAPE, HARM, TWIN)
    expected = run_gates(whole, asked, 2, Runner(whole), silent)
    with pytest.raises(KeyboardInterrupt):
        run_gates(broken, asked, 2, Runner(broken, interrupted_at=2), silent)
    again = Runner(broken)
    assert run_gates(broken, asked, 2, again, silent) == expected
    with broken.open_store() as store:
        gates = [gate for _, gate in recorded(Gate, GATES, store.notes("main"))]
        assert sorted(gates, key=repr) == sorted((gate for order in expected for gate in order.gates), key=repr)  # each once
        store.add_note("main", "not a gate", GATES)
        assert [gate for _, gate in recorded(Gate, GATES, store.notes("main"))] == gates
    assert not any(name in ("base", f"+{SHAPE}", f"+{TWIN}") for name in again.trained)
    fields = study_fields(broken, "main")
    first = next(gate for gate in fields["gates"] if gate["source"] == SHAPE and gate["gate"] == 1)
    assert (first["verdict"], first["accepted"], first["reference"]) == ("helps", True, "base")
    assert first["base_after"] == pytest.approx({BASE: 0.8, SHAPE: 0.2})
    assert first["effect"]["low"] < first["effect"]["value"] < first["effect"]["high"]


def test_one_source_needs_no_gates(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="two sources or more"):
        run_gates(workspace, request(SHAPE), 1, Runner(workspace), silent)
