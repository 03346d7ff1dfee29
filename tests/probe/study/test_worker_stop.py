"""A worker that is asked to stop while its engine loads leaves at once, and what it claimed waits again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import proxy_training.engine
from probe.study.registering import add_source, new_spec
from probe.study.registry import register_benchmark
from probe.study.run import RunRequest, plan_run, store_plan
from probe.study.worker import Worker
from probe.workspace import Workspace
from proxy_training.jobs import EngineSettings
from sources.benchmark import BenchmarkSpec


@pytest.fixture
def workspace(own_data: Path, tmp_path: Path) -> Workspace:
    place, images = Workspace(tmp_path / "ws"), str(own_data / "images")
    add_source(place, new_spec("good", str(own_data / "good.json"), images, "auto", "", "", "", "", "", ()))
    with place.open_store() as store:
        register_benchmark(store, BenchmarkSpec("blocks", "colour", "tsv", str(own_data / "test.tsv"), images))
    store_plan(place, plan_run(place, RunRequest(("good",), samples=16, seeds=1), lambda line: None))
    return place


@pytest.fixture
def handled() -> Iterator[None]:
    """Signals are handled afterwards as before."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("handled")
def test_a_loading_engine_is_left_and_its_claim_given_back(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []

    class SlowToLoad:
        """Asks this process to stop while it loads, and then would load on."""

        def __init__(self, *_: Any) -> None:
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                loaded.append("on")
            except Exception:  # as libraries do that try what is optional
                loaded.append("on")

    monkeypatch.setattr(proxy_training.engine, "Engine", SlowToLoad)
    worker = Worker(workspace, "main", EngineSettings("cpu"), os.getppid())
    signal.signal(signal.SIGTERM, lambda *_: worker.ask_to_stop())
    worker.run()
    assert loaded == []
    progress = worker.store.progress("main")
    assert (progress.waiting, progress.running, progress.failed) == (2, 0, 0)
    worker.store.close()
