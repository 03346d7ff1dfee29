"""The stack against PEFT: each of many probes trained at once equals its own run, whatever its neighbours do."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from proxy_training import peft_backend
from proxy_training.engine import Engine
from proxy_training.jobs import Backend, EngineSettings, EvalSet, Job, JobResult, Precision, Recipe, Scope, Stage, Training
from proxy_training.proxies import proxy_spec
from proxy_training.stack import training as stack_training
from proxy_training.stack.adamw import StackedAdamW

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def by_id(engine: Engine, jobs: list[Job]) -> dict[str, JobResult]:
    results = list(engine.run(jobs))
    assert len(results) == len(jobs)
    return {result.training_id: result for result in results}


def eight(stage: Stage, recipe: Recipe, benchmarks: tuple[EvalSet, ...] = ()) -> list[Job]:
    """Eight probes that differ in rows, length, seed, learning rate, rank and batch size."""
    jobs = []
    for i in range(8):
        mine = dataclasses.replace(recipe, learning_rate=1e-3 * (1 + i % 3), rank=(8, 4, 2)[i % 3], batch_size=(8, 4)[i % 2])
        rows = stage.rows[i : 40 - 3 * i]
        jobs.append(Job(Training(proxy_spec("tiny"), mine, (Stage(rows),), seed=i), benchmarks))
    return jobs


def test_eight_unequal_probes_equal_their_solo_peft_runs(
    reference: Engine, stack_of_eight: Engine, stage: Stage, benchmark_set: EvalSet, recipe: Recipe
) -> None:
    jobs = eight(stage, recipe, (benchmark_set,))
    expected, found = by_id(reference, jobs), by_id(stack_of_eight, jobs)
    for job in jobs:
        solo, stacked = expected[job.training.training_id()], found[job.training.training_id()]
        assert stacked.cost.backend == "stack"
        assert solo.cost.backend == "reference"
        np.testing.assert_allclose(stacked.losses, solo.losses, rtol=1e-5)
        np.testing.assert_allclose(stacked.scores[0].values, solo.scores[0].values, atol=1e-4)
        assert stacked.cost.rows == solo.cost.rows
        assert stacked.cost.tokens == solo.cost.tokens


def test_neighbours_change_nothing(stack_of_eight: Engine, features: Path, stage: Stage, recipe: Recipe) -> None:
    jobs = eight(stage, recipe)
    crowd = by_id(stack_of_eight, jobs)
    alone = Engine(proxy_spec("tiny"), Recipe(), features, EngineSettings("cpu", Backend.STACK, 1))
    for job in jobs[:3]:
        key = job.training.training_id()
        np.testing.assert_allclose(by_id(alone, [job])[key].losses, crowd[key].losses, rtol=1e-5)


def test_more_probes_than_slots_take_the_slots_that_fall_free(features: Path, reference: Engine, stage: Stage, recipe: Recipe) -> None:
    three = Engine(proxy_spec("tiny"), Recipe(), features, EngineSettings("cpu", Backend.STACK, 3))
    jobs = eight(stage, recipe)
    taken = 0

    def offered() -> itertools.chain[Job]:
        nonlocal taken
        for job in jobs:
            taken += 1
            yield job

    first = next(iter(three.run(offered())))
    assert taken <= 4, "jobs are taken when there is room for them, not before"
    found = by_id(three, jobs)
    expected = by_id(reference, jobs)
    assert first.training_id in expected
    for key, result in found.items():
        np.testing.assert_allclose(result.losses, expected[key].losses, rtol=1e-5)


def test_seed_deviation_dwarfs_the_difference_after_a_hundred_steps(
    reference: Engine, stack_of_eight: Engine, long_stage: Stage, benchmark_set: EvalSet, recipe: Recipe
) -> None:
    recipe = dataclasses.replace(recipe, batch_size=3)  # 107 steps
    jobs = [Job(Training(proxy_spec("tiny"), recipe, (long_stage,), seed), (benchmark_set,)) for seed in range(4)]
    expected, found = by_id(reference, jobs), by_id(stack_of_eight, jobs)
    means = {key: float(np.nanmean(result.scores[0].values[0])) for key, result in expected.items()}
    worst = max(abs(float(np.nanmean(found[key].scores[0].values[0])) - mean) for key, mean in means.items())
    assert worst < 0.1 * float(np.std(list(means.values()), ddof=1))


def test_exported_adapter_scores_the_same_through_peft(
    reference: Engine, stack_of_eight: Engine, stage: Stage, benchmark_set: EvalSet, recipe: Recipe, tmp_path: Path
) -> None:
    training = Training(proxy_spec("tiny"), recipe, (stage,), 3)
    trained = next(iter(stack_of_eight.run([Job(training, (benchmark_set,), save_to=tmp_path / "a")])))
    by_peft = next(iter(reference.run([Job(training, (benchmark_set,), adapter=tmp_path / "a")])))
    np.testing.assert_allclose(by_peft.scores[0].values, trained.scores[0].values, atol=1e-4)


def test_planted_nan_fails_its_probe_and_leaves_the_others_bit_identical(stack_of_eight: Engine, stage: Stage, recipe: Recipe) -> None:
    jobs = eight(stage, recipe)
    before = by_id(stack_of_eight, jobs)
    wild = dataclasses.replace(recipe, learning_rate=1e30, max_grad_norm=1e30)
    bad = Job(Training(proxy_spec("tiny"), wild, jobs[2].training.stages, 2), ())
    after = by_id(stack_of_eight, [*jobs[:2], bad, *jobs[3:]])
    assert "not finite at step" in after[bad.training.training_id()].failure
    for job in [*jobs[:2], *jobs[3:]]:
        key = job.training.training_id()
        np.testing.assert_array_equal(after[key].losses, before[key].losses)


def test_out_of_memory_halves_the_stack_and_repeats_the_step(
    stack_of_eight: Engine, stage: Stage, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = eight(stage, recipe)
    expected = by_id(stack_of_eight, jobs)
    sizes: list[int] = []
    forward = stack_training.forward

    def small_memory(decoder: object, adapters: object, packed: object, *rest: object, **more: object) -> object:
        sizes.append(packed.slots)  # type: ignore[attr-defined]
        if packed.slots > 3:  # type: ignore[attr-defined]
            raise torch.OutOfMemoryError("planted")
        return forward(decoder, adapters, packed, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(stack_training, "forward", small_memory)
    assert stack_of_eight.stack is not None
    stack_of_eight.stack._stack = None
    found = by_id(stack_of_eight, jobs)
    stack_of_eight.stack._stack = None
    assert sizes[:4] == [8, 4, 2, 2]
    for key, result in found.items():
        assert not result.failure
        np.testing.assert_allclose(result.losses, expected[key].losses, rtol=1e-5)


def test_probe_too_big_for_memory_alone_fails_with_a_cure_and_the_rest_goes_on(
    stack_of_eight: Engine, stage: Stage, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = eight(stage, recipe)[:3]
    big = dataclasses.replace(recipe, batch_size=16)
    jobs.append(Job(Training(proxy_spec("tiny"), big, (stage,), 9), ()))
    forward = stack_training.forward

    def no_room_for_sixteen(decoder: object, adapters: object, packed: object, *rest: object, **more: object) -> object:
        if packed.full.rows > 15:  # type: ignore[attr-defined]
            raise torch.OutOfMemoryError("planted")
        return forward(decoder, adapters, packed, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(stack_training, "forward", no_room_for_sixteen)
    stack_of_eight.stack._stack = None  # type: ignore[union-attr]
    found = by_id(stack_of_eight, jobs)
    stack_of_eight.stack._stack = None  # type: ignore[union-attr]
    failures = [found[job.training.training_id()].failure for job in jobs]
    assert failures[:3] == ["", "", ""]
    assert "memory ran out at step 1" in failures[3]
    assert "lower the batch size" in failures[3]


def test_empty_evaluation_one_row_and_one_slot(features: Path, stage: Stage, recipe: Recipe) -> None:
    engine = Engine(proxy_spec("tiny"), Recipe(), features, EngineSettings("cpu", Backend.STACK, 1))
    empty = EvalSet(dataclasses.replace(_spec(), name="empty"), "empty-1", ())
    result = next(iter(engine.run([Job(Training(proxy_spec("tiny"), recipe, (Stage(stage.rows[:1]),), 0), (empty,))])))
    assert result.failure == ""
    assert result.losses.shape == (1,)
    assert result.scores[0].n_items == 0


def _spec() -> object:
    from sources.benchmark import BenchmarkSpec

    return BenchmarkSpec("blocks", "colour")


@pytest.mark.parametrize("change", [{"scope": Scope.FULL_LANGUAGE}, {"scope": Scope.LORA_ALL}, {"dora": True}], ids=str)
def test_what_the_stack_does_not_support_runs_through_peft(
    stack_of_eight: Engine, reference: Engine, stage: Stage, benchmark_set: EvalSet, recipe: Recipe, change: dict[str, object]
) -> None:
    special = dataclasses.replace(recipe, learning_rate=2e-4, **change)  # type: ignore[arg-type]
    job = Job(Training(proxy_spec("tiny"), special, (stage,), 1), (benchmark_set,))
    ordinary = Job(Training(proxy_spec("tiny"), recipe, (stage,), 1), (benchmark_set,))
    mixed = by_id(stack_of_eight, [ordinary, job])
    result = mixed[job.training.training_id()]
    assert result.failure == ""
    assert result.cost.backend == "reference"
    np.testing.assert_array_equal(result.losses, by_id(reference, [job])[job.training.training_id()].losses)
    alone = by_id(stack_of_eight, [ordinary])[ordinary.training.training_id()]
    np.testing.assert_allclose(mixed[ordinary.training.training_id()].losses, alone.losses, rtol=1e-6)


def test_adamw_is_torchs_own() -> None:
    torch.manual_seed(0)
    recipes = [Recipe(weight_decay=0.1, max_grad_norm=1.0), Recipe(adam_betas=(0.8, 0.99), max_grad_norm=0.5)]
    start = torch.randn(2, 50)
    state = StackedAdamW.empty(2, 50, torch.device("cpu"))
    for k in range(2):
        state.start(k, start[k], torch.ones(50))
    alone = [start[k].clone().requires_grad_() for k in range(2)]
    torchs = [torch.optim.AdamW([alone[k]], lr=1e-2, betas=recipes[k].adam_betas, weight_decay=recipes[k].weight_decay) for k in range(2)]
    for step in range(30):
        grads = torch.randn(2, 50) * (step % 5)
        state.grads.copy_(grads)
        rates = [1e-2 * (1 - step / 30), 1e-3]
        state.update(2, torch.zeros(2), torch.tensor(rates), recipes)
        for k in range(2):
            alone[k].grad = grads[k].clone()
            torch.nn.utils.clip_grad_norm_([alone[k]], recipes[k].max_grad_norm)
            torchs[k].param_groups[0]["lr"] = rates[k]
            torchs[k].step()
    for k in range(2):
        torch.testing.assert_close(state.parameters[k], alone[k].detach(), rtol=1e-5, atol=1e-7)


def test_fresh_adapter_is_pefts_own(reference: Engine, stack_of_eight: Engine, recipe: Recipe) -> None:
    with peft_backend.lora(reference.base, recipe, 7) as model:
        expected = {name.replace(".default", ""): p.detach().clone() for name, p in model.named_parameters() if "lora_" in name}
    assert stack_of_eight.stack is not None
    found = stack_of_eight.stack._skeleton.fresh(recipe, 7)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_long_rows_go_through_the_fused_kernel_and_equal_peft_too(
    reference: Engine, stack_of_eight: Engine, stage: Stage, benchmark_set: EvalSet, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    from proxy_training.stack import attention

    monkeypatch.setattr(attention, "LONGEST_PLAIN", 0)
    jobs = eight(stage, recipe, (benchmark_set,))[:3]
    expected, found = by_id(reference, jobs), by_id(stack_of_eight, jobs)
    for key, result in found.items():
        np.testing.assert_allclose(result.losses, expected[key].losses, rtol=1e-5)
        np.testing.assert_allclose(result.scores[0].values, expected[key].scores[0].values, atol=1e-4)


@pytest.mark.parametrize("slots", [1, 3])
def test_bf16_base_trains_fp32_adapters_as_peft_does(features: Path, stage: Stage, recipe: Recipe, slots: int) -> None:
    recipe = dataclasses.replace(recipe, precision=Precision.BF16)
    jobs = [Job(Training(proxy_spec("tiny"), recipe, (stage,), seed), ()) for seed in range(3)]
    by_peft, stacked = (
        by_id(Engine(proxy_spec("tiny"), recipe, features, EngineSettings("cpu", backend, slots)), jobs)
        for backend in (Backend.REFERENCE, Backend.STACK)
    )
    for key, result in stacked.items():
        assert result.failure == ""
        np.testing.assert_allclose(result.losses, by_peft[key].losses, rtol=0.05)
