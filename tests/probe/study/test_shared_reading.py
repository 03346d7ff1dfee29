"""A plan reads each benchmark once, however many of its parts ask for the items."""

from __future__ import annotations

import base64
from collections import Counter
from pathlib import Path

import pytest

import sources.benchmark_data
from probe.study.run import RunRequest, plan_run
from probe.workspace import Workspace
from sources.benchmark import BenchmarkSpec
from sources.benchmark_data import BenchmarkData, read_benchmark
from tests.writing_files import write


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each benchmark was read, by name."""
    counted: Counter[str] = Counter()

    def counting(spec: BenchmarkSpec) -> BenchmarkData:
        counted[spec.name] += 1
        return read_benchmark(spec)

    monkeypatch.setattr(sources.benchmark_data, "read_benchmark", counting)
    return counted


def test_each_benchmark_is_read_once_a_plan(own_data: Path, tmp_path: Path, reads: Counter[str]) -> None:
    from probe.study.registering import add_source, new_spec
    from probe.study.registry import register_benchmark

    workspace, lines = Workspace(tmp_path / "ws"), ["index\timage\tquestion\tA\tB\tanswer"]
    add_source(workspace, new_spec("good", str(own_data / "good.json"), str(own_data / "images"), "auto", "", "", "", "", "", ()))
    for i in range(20):  # of which one is an image that the source trains on
        held = base64.b64encode((own_data / "images" / ("000.png" if i == 7 else f"t{i:03d}.png")).read_bytes()).decode()
        lines.append(f"{i}\t{held}\tIs it red?\tyes\tno\t{'BA'[i % 4 == 0]}")
    table = str(write(tmp_path / "held.tsv", ("\n".join(lines) + "\n").encode()))
    with workspace.open_store() as store:
        register_benchmark(store, BenchmarkSpec("blocks", "colour", "tsv", str(own_data / "test.tsv"), str(own_data / "images")))
        register_benchmark(store, BenchmarkSpec("held", "colour", "tsv", table))
    reads.clear()
    told: list[str] = []
    planned = plan_run(workspace, RunRequest(("good",), samples=48, seeds=1), told.append)
    assert planned.plan.study.clean_of == ("blocks", "held")
    assert any("1 of the 20 images of benchmark held" in line for line in told)
    assert reads == {"blocks": 1, "held": 1}
