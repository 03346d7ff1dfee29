"""The reference back end: it trains what it should, alone, repeatably, and leaves the base as it found it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from proxy_training import peft_backend
from proxy_training.engine import Engine
from proxy_training.jobs import EvalSet, Job, JobResult, Recipe, Scope, Stage, Training
from proxy_training.proxies import proxy_spec

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def training(stages: tuple[Stage, ...], recipe: Recipe, seed: int = 0) -> Training:
    return Training(proxy_spec("tiny"), recipe, stages, seed)


def run(engine: Engine, job: Job) -> JobResult:
    return next(iter(engine.run([job])))


def weights(engine: Engine) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in engine.base.model.state_dict().items()}


@pytest.mark.parametrize("scope", list(Scope))
def test_same_job_same_scores_and_the_base_is_left_untouched(
    engine: Engine, stage: Stage, benchmark_set: EvalSet, recipe: Recipe, scope: Scope
) -> None:
    recipe = dataclasses.replace(recipe, scope=scope, learning_rate=2e-3 if scope is Scope.LORA_LANGUAGE else 2e-4)
    before = weights(engine)
    job = Job(training((stage,), recipe), (benchmark_set,))
    first, second = run(engine, job), run(engine, job)
    assert not first.failure
    np.testing.assert_array_equal(first.losses, second.losses)
    np.testing.assert_array_equal(first.scores[0].values, second.scores[0].values)
    after = weights(engine)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_seed_changes_the_initial_adapter_and_nothing_else_does(engine: Engine, stage: Stage, recipe: Recipe) -> None:
    torch.manual_seed(123)
    a = run(engine, Job(training((stage,), recipe, 1), ()))
    torch.manual_seed(456)
    b = run(engine, Job(training((stage,), recipe, 1), ()))
    c = run(engine, Job(training((stage,), recipe, 2), ()))
    np.testing.assert_array_equal(a.losses, b.losses)
    assert a.losses[0] == c.losses[0]  # B starts at zero, so the first loss is the base's own
    assert not np.array_equal(a.losses, c.losses)


def test_first_loss_is_the_uncached_model_loss(engine: Engine, stage: Stage, recipe: Recipe, images: Path) -> None:
    from sources.images import load_image

    result = run(engine, Job(training((stage,), recipe), ()))
    base, chunk = engine.base, stage.rows[: recipe.batch_size]
    total, count = 0.0, 0
    for row in chunk:
        image = base.process_image(load_image(row.sample.images[0]))
        encoded = engine.encoder.encode(row.sample.turns, [image.expansion])
        ids = torch.tensor(encoded.input_ids[None], dtype=torch.long)
        with torch.no_grad():
            logits = base.model(input_ids=ids, pixel_values=image.pixels[None]).logits[0, :-1]
        keep = torch.tensor(encoded.is_label[1:])
        total += float(F.cross_entropy(logits[keep], ids[0, 1:][keep], reduction="sum"))
        count += int(keep.sum())
    assert result.losses[0] == pytest.approx(total / count, rel=1e-5)


def test_lora_touches_exactly_the_language_model(engine: Engine, recipe: Recipe) -> None:
    with peft_backend.lora(engine.base, recipe, 0) as model:
        trained = [name for name, p in model.named_parameters() if p.requires_grad]
        layers = engine.base.model.config.text_config.num_hidden_layers
        assert len(trained) == layers * 7 * 2
        assert all(".text_model.layers." in name and ("lora_A" in name or "lora_B" in name) for name in trained)


@pytest.mark.parametrize("scope", list(Scope))
def test_saved_weights_score_the_same_later(
    engine: Engine, stage: Stage, benchmark_set: EvalSet, recipe: Recipe, tmp_path: Path, scope: Scope
) -> None:
    recipe = dataclasses.replace(recipe, scope=scope)
    saved = tmp_path / "adapter"
    job = Job(training((stage,), recipe), (benchmark_set,), save_to=saved)
    trained = run(engine, job)
    later = run(engine, dataclasses.replace(job, adapter=saved, save_to=None))
    np.testing.assert_allclose(later.scores[0].values, trained.scores[0].values, atol=1e-6)
    assert len(later.losses) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["adapter"]  # no temporary folder is left


def test_exported_adapter_is_an_ordinary_peft_folder(engine: Engine, stage: Stage, recipe: Recipe, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    run(engine, Job(training((stage,), recipe), (), save_to=tmp_path / "a"))
    model = PeftModel.from_pretrained(AutoModelForImageTextToText.from_pretrained(engine.proxy.path), tmp_path / "a")
    learned = [p for name, p in model.named_parameters() if "lora_B" in name]
    assert learned
    assert all(float(p.abs().max()) > 0 for p in learned)


def test_loss_that_explodes_fails_that_probe_alone(engine: Engine, stage: Stage, benchmark_set: EvalSet, recipe: Recipe) -> None:
    bad = Job(training((stage,), dataclasses.replace(recipe, learning_rate=float("1e30"), max_grad_norm=1e30)), (benchmark_set,))
    good = Job(training((stage,), recipe), (benchmark_set,))
    failed, fine = list(engine.run([bad, good]))
    assert "not finite at step" in failed.failure
    assert not fine.failure
    np.testing.assert_array_equal(fine.losses, run(engine, good).losses)


def test_stages_are_trained_in_order_under_one_schedule(engine: Engine, stage: Stage, recipe: Recipe) -> None:
    first, second = Stage(stage.rows[:16]), Stage(stage.rows[16:])
    staged = run(engine, Job(training((first, second), recipe), ()))
    whole = run(engine, Job(training((stage,), recipe), ()))
    np.testing.assert_array_equal(staged.losses, whole.losses)  # 16 and 24 rows in steps of 8 are the same five steps
    swapped = run(engine, Job(training((second, first), recipe), ()))
    assert swapped.losses[0] != whole.losses[0]


def test_schedule_warms_up_and_decays_to_zero() -> None:
    recipe = Recipe(learning_rate=1.0, warmup_steps=4)
    rates = [peft_backend.learning_rate(recipe, step, 12) for step in range(12)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4] == 1.0
    assert rates[-1] == pytest.approx(1 / 8)
    assert rates[4:] == sorted(rates[4:], reverse=True)


def test_one_row_and_no_benchmark(engine: Engine, stage: Stage, recipe: Recipe) -> None:
    result = run(engine, Job(training((Stage(stage.rows[:1]),), recipe), ()))
    assert result.losses.shape == (1,)
    assert result.scores == ()
    assert result.cost.rows == 1


def test_row_longer_than_the_recipe_allows_fails_with_its_number(engine: Engine, stage: Stage, recipe: Recipe) -> None:
    result = run(engine, Job(training((stage,), dataclasses.replace(recipe, max_length=20)), ()))
    assert result.failure == "row 0 of blocks is longer than 20 tokens"


def test_training_learns(engine: Engine, long_stage: Stage, benchmark_set: EvalSet, recipe: Recipe) -> None:
    before = run(engine, Job(training((), recipe), (benchmark_set,))).scores[0].values[0, :12].mean()
    after = run(engine, Job(training((long_stage,), recipe), (benchmark_set,))).scores[0].values[0, :12].mean()
    assert after > before + 0.2


def test_identity_depends_on_rows_order_recipe_and_seed_and_on_nothing_else(stage: Stage, recipe: Recipe) -> None:
    same = training((stage,), recipe)
    assert same.training_id() == training((Stage(tuple(stage.rows)),), recipe).training_id()
    others = [
        training((Stage(stage.rows[::-1]),), recipe),
        training((stage,), dataclasses.replace(recipe, rank=4)),
        training((stage,), recipe, 1),
        training((Stage(stage.rows[:20]), Stage(stage.rows[20:])), recipe),
    ]
    assert len({t.training_id() for t in [same, *others]}) == 5
    renamed = dataclasses.replace(same.proxy, name="other", path="/elsewhere")
    assert dataclasses.replace(same, proxy=renamed).training_id() == same.training_id()
    assert training((), recipe, 0).training_id() == training((), dataclasses.replace(recipe, rank=2), 5).training_id()
