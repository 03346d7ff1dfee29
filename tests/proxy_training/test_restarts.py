"""A learning rate that starts again at every stage: equal to a loop written out here, in both back ends."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from proxy_training import peft_backend
from proxy_training.batches import collate
from proxy_training.engine import Engine
from proxy_training.jobs import Job, Recipe, Stage, Training, training_id
from proxy_training.proxies import proxy_spec

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def staged(stage: Stage, recipe: Recipe, restarts: bool, cuts: tuple[int, ...] = (20,)) -> Training:
    ends = (0, *cuts, len(stage.rows))
    parts = tuple(Stage(stage.rows[a:b]) for a, b in itertools.pairwise(ends))
    return Training(proxy_spec("tiny"), recipe, parts, 3, restarts)


def reference_losses(engine: Engine, training: Training, rates: list[float]) -> list[float]:
    """Train with PEFT and torch's AdamW at rates given by hand, each stage in batches of its own."""
    recipe, losses = training.recipe, []
    job = Job(training, ())
    preparation = engine.preparation
    preparation.ensure_images(job, None)
    batches = [s[at : at + 8] for s in preparation.stages(training.stages, recipe) for at in range(0, len(s), 8)]
    with peft_backend.lora(engine.base, recipe, training.seed) as model:
        weights = [p for p in model.parameters() if p.requires_grad]
        adam = torch.optim.AdamW(weights, lr=1.0, betas=recipe.adam_betas, weight_decay=recipe.weight_decay)
        for rate, examples in zip(rates, batches, strict=True):
            batch = collate(examples, engine.base.pad_token_id, engine.base.device)
            hidden = engine.base.hidden(batch.input_ids, preparation.features.gather(batch.images), batch.allowed)
            loss = F.cross_entropy(engine.base.logits(hidden.reshape(-1, hidden.shape[-1])[batch.predictors]), batch.targets)
            adam.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, recipe.max_grad_norm)
            adam.param_groups[0]["lr"] = rate
            adam.step()
            losses.append(loss.item())
    return losses


def test_restarts_equal_a_loop_with_two_schedules_after_another(engine: Engine, reference: Engine, stage: Stage, recipe: Recipe) -> None:
    recipe = dataclasses.replace(recipe, warmup_steps=1)
    training = staged(stage, recipe, restarts=True)  # 20 rows are three steps of 8, 8 and 4, twice
    result = next(iter(engine.run([Job(training, ())])))
    half = [2e-3, 2e-3, 1e-3]  # warmed up in one step, then from the full rate linearly towards nothing at the fourth
    np.testing.assert_allclose(result.losses, reference_losses(reference, training, half + half), rtol=2e-5)
    one_schedule = next(iter(engine.run([Job(dataclasses.replace(training, restarts=False), ())])))
    whole = [2e-3, *(2e-3 * (6 - step) / 5 for step in range(1, 6))]
    np.testing.assert_allclose(one_schedule.losses, reference_losses(reference, training, whole), rtol=2e-5)
    assert np.abs(one_schedule.losses[3:] - result.losses[3:]).max() > 1e-4


def test_restarts_beside_ordinary_neighbours_change_nothing_for_these(stack_of_eight: Engine, stage: Stage, recipe: Recipe) -> None:
    jobs = [Job(staged(stage, recipe, restarts), ()) for restarts in (True, False)] + [Job(staged(stage, recipe, True, (8, 24)), ())]
    together = {result.training_id: result.losses for result in stack_of_eight.run(jobs)}
    for job in jobs:
        alone = next(iter(stack_of_eight.run([job])))
        np.testing.assert_allclose(together[job.training.training_id()], alone.losses, rtol=2e-5)


def test_only_a_training_that_restarts_has_another_identity(stage: Stage, recipe: Recipe) -> None:
    assert staged(stage, recipe, True).training_id() != staged(stage, recipe, False).training_id()
    assert staged(stage, recipe, True, ()).training_id() == staged(stage, recipe, False, ()).training_id()  # one stage has one schedule
    # As they were before restarts came: every finished probe keeps its identity.
    assert training_id("w", Recipe(), "r", 1) == "275c2c76dd362ef1ea466bdf2db86a73"
    assert training_id("w", Recipe(), "", 0) == "9fcfe40ceede9fa9b872d2add0a9129a"
