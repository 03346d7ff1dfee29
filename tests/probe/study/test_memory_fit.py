"""What a dry run says of memory: it refuses what cannot fit, warns of what may not, and is near what a process then holds."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from probe.errors import ProbeError
from probe.study import memory
from probe.study.memory import Fit, check_fit, largest_step
from proxy_training.jobs import EngineSettings, Precision, Recipe, Stage, Training
from proxy_training.memory import MemoryNeed
from proxy_training.proxies import proxy_spec
from sources.sample import Role, Sample, Turn
from sources.sampling import DrawnRow

GB = 10**9


def row(number: int, answer: str) -> DrawnRow:
    turns = (Turn(Role.USER, ("What?",)), Turn(Role.ASSISTANT, (answer,)))
    return DrawnRow("s", number, Sample(str(number), (), turns), str(number))


def test_the_largest_step_is_counted_with_its_padding() -> None:
    rows = tuple(row(i, "x" * length) for i, length in enumerate((3, 30, 6, 9, 300)))
    training = Training(proxy_spec("tiny"), Recipe(), (Stage(rows),), 0)
    step = largest_step(training, 2, lambda drawn: 10 + drawn.number)
    assert (step.tokens, step.width) == (2 * 13, 14)
    assert step.labels == 26, "an answer of 300 characters has at most as many tokens as a step"
    assert largest_step(None, 2, lambda drawn: 1.0).tokens == 0


def fit(peak: int, processes: int, free: int, features: int = 0) -> Fit:
    return Fit(MemoryNeed(peak - memory.PROCESS_BYTES, 0, 0), processes, free, "memory", features, 10 * GB)


def test_a_warning_says_what_to_do() -> None:
    assert fit(2 * GB, 4, 12 * GB).warning() == ""
    assert "4 x 2.0 GB of 9.0 GB memory; use fewer --workers" in fit(2 * GB, 4, 9 * GB).warning()
    assert fit(2 * GB, 4, 0).warning() == "", "nothing is known of what is free"
    assert "--cache-limit" in fit(2 * GB, 1, 12 * GB, features=20 * GB).warning()


def test_weights_that_do_not_fit_are_refused_before_anything_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = proxy_spec("tiny")
    recipe = dataclasses.replace(tiny.recipe, precision=Precision.FP32)
    settings = EngineSettings("cpu")
    found = check_fit(tiny, recipe, None, lambda _: 1.0, 1000, 2, settings, tmp_path / "not" / "there")
    assert found.warning() == ""
    assert found.features == 1000 * 128 * 4
    assert 0 < found.need.adapters < found.need.weights < 10_000_000
    monkeypatch.setattr(memory, "free_memory", lambda *_: (10_000_000, "memory"))
    with pytest.raises(ProbeError, match=r"^tiny does not fit: its weights in fp32 take 7 MB in each of 2 processes.*--precision bf16"):
        check_fit(tiny, recipe, None, lambda _: 1.0, 1000, 2, settings, tmp_path)
    assert json.dumps(dataclasses.asdict(found))


def test_free_memory_is_not_more_than_the_machine_has() -> None:
    free, where = memory.free_memory("cpu")
    assert where == "memory"
    assert 0 < free < 10**14
