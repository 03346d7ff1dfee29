"""The memory that is worked out from a config, against what torch's allocator really held at the peak of a training."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from tiny_models import build
from torch.profiler import ProfilerActivity, profile

from proxy_training.engine import Engine
from proxy_training.jobs import Backend, EngineSettings, Job, Precision, Recipe, Stage, Training
from proxy_training.memory import Step, memory_need, tensor_shapes
from proxy_training.proxies import proxy_spec

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")

TOLERANCE = 0.25  # of what was really held


def peak_bytes(engine: Engine, job: Job) -> int:
    """What torch held at most on the CPU during a job, above what it held before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        result = next(iter(engine.run([job])))
    assert result.failure == ""
    held, most = 0, 0
    events = [event for event in found.profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


def largest_step(engine: Engine, job: Job, *, padded: bool) -> Step:
    size = job.training.recipe.batch_size
    rows = engine.preparation.stages(job.training.stages, job.training.recipe)[0]
    steps = [rows[at : at + size] for at in range(0, len(rows), size)]
    width = max(len(row.encoded.input_ids) for row in rows)
    tokens = max(sum(len(row.encoded.input_ids) for row in step) if not padded else width * len(step) for step in steps)
    return Step(tokens, width, max(sum(int(row.encoded.is_label.sum()) for row in step) for step in steps))


CASES = [
    ("tiny", Backend.REFERENCE, Precision.FP32),
    ("tiny", Backend.STACK, Precision.FP32),
    ("tiny", Backend.REFERENCE, Precision.BF16),
    ("idefics3", Backend.REFERENCE, Precision.FP32),
    ("llava", Backend.STACK, Precision.FP32),
    ("qwen2_5_vl", Backend.REFERENCE, Precision.FP32),
    ("paligemma2", Backend.REFERENCE, Precision.FP32),
]


@pytest.mark.parametrize(("family", "backend", "precision"), CASES)
def test_a_training_holds_what_was_worked_out(family: str, backend: Backend, precision: Precision, stage: Stage, tmp_path: Path) -> None:
    spec = proxy_spec("tiny" if family == "tiny" else str(build(family, tmp_path / "m")))
    recipe = Recipe(batch_size=16, rank=8, precision=precision)
    slots = 2 if backend is Backend.STACK else 1
    engine = Engine(spec, recipe, tmp_path / "f", EngineSettings("cpu", backend, slots))
    job = Job(Training(spec, recipe, (Stage(stage.rows[:32]),), 0), ())
    next(iter(engine.run([job])))  # features are computed, and what is set up once is there
    found = peak_bytes(engine, dataclasses.replace(job, training=dataclasses.replace(job.training, seed=1)))
    step = largest_step(engine, job, padded=backend is Backend.REFERENCE)
    said = memory_need(Path(spec.path), recipe, step, stacked=backend is Backend.STACK)
    assert said.adapters + said.activations == pytest.approx(found, rel=TOLERANCE)
    weights = sum(p.numel() * p.element_size() for p in engine.base.model.parameters())
    assert said.weights == pytest.approx(weights, rel=0.01)


def test_shapes_are_read_from_headers(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(3, 4), "b": torch.zeros(5)}, tmp_path / "model.safetensors")
    assert tensor_shapes(tmp_path) == {"a": (3, 4), "b": (5,)}
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 16)
    with pytest.raises(ValueError, match="no safetensors file"):
        tensor_shapes(tmp_path)
