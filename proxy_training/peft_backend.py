"""The reference back end: one probe after another, PEFT and a plain loop, kept plain because faster ones are checked against it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from proxy_training.batches import Example, collate
from proxy_training.families.base import LINEAR_LEAVES, LoadedBase
from proxy_training.features import FeatureStore
from proxy_training.jobs import Recipe, Scope


class TrainingFailed(Exception):  # noqa: N818
    """A probe cannot go on; the message says at which step and why."""


def lora_targets(base: LoadedBase) -> str:
    """Return the full-match pattern of the linear layers that LoRA on the language model trains."""
    return rf"{re.escape(base.language_prefix())}\..*\.({'|'.join(LINEAR_LEAVES)})"


def lora_config(recipe: Recipe, targets: str) -> Any:
    """Return PEFT's configuration of a recipe's adapters."""
    from peft import LoraConfig

    return LoraConfig(r=recipe.rank, lora_alpha=recipe.alpha, lora_dropout=0.0, bias="none", task_type="CAUSAL_LM", target_modules=targets)


@contextmanager
def lora(base: LoadedBase, recipe: Recipe, seed: int) -> Iterator[Any]:
    """Inject a fresh adapter, initialised from `seed` alone, and take it out again at the end."""
    from peft import get_peft_model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = get_peft_model(base.model, lora_config(recipe, lora_targets(base)))
    try:
        yield model
    finally:
        base.model = model.unload()
        base.model.requires_grad_(False).eval()


@contextmanager
def full_language(base: LoadedBase) -> Iterator[dict[str, Tensor]]:
    """Make the language model trainable, and put the frozen weights back at the end."""
    language = base.model.get_submodule(base.language_prefix())
    frozen = {name: weight.detach().clone() for name, weight in language.state_dict().items()}
    language.requires_grad_(True)
    try:
        yield dict(language.named_parameters())
    finally:
        language.requires_grad_(False)
        language.load_state_dict(frozen)


def not_finite(step: int, steps: int) -> str:
    """Return the message of a training that broke at a step, from 1."""
    return f"the loss or its gradient was not finite at step {step} of {steps}; try a lower learning rate"


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Return the rate of a step (from 0): linear warm-up, then linear decay that would reach zero at `steps`."""
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    return recipe.learning_rate * (steps - step) / max(1, steps - recipe.warmup_steps)


def step_examples(stages: Sequence[Sequence[Example]], batch_size: int) -> list[Sequence[Example]]:
    """Cut stages into steps; a stage's last step takes what is left, and no step spans two stages."""
    return [stage[at : at + batch_size] for stage in stages for at in range(0, len(stage), batch_size)]


def train(
    base: LoadedBase,
    features: FeatureStore,
    recipe: Recipe,
    stages: Sequence[Sequence[Example]],
    trainable: Sequence[Tensor],
    on_step: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Train in place; return the mean loss over label tokens of each step [steps].

    Raises:
        TrainingFailed: a loss or gradient is not finite.
    """
    steps = step_examples(stages, recipe.batch_size)
    optimizer = torch.optim.AdamW(trainable, lr=recipe.learning_rate, betas=recipe.adam_betas, weight_decay=recipe.weight_decay, fused=True)
    losses = torch.zeros(len(steps))
    base.model.train()
    for step, examples in enumerate(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step, len(steps))
        loss = batch_loss(base, features, examples)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(trainable, recipe.max_grad_norm)
        if not bool(torch.isfinite(norm)) or not bool(torch.isfinite(loss)):
            raise TrainingFailed(not_finite(step + 1, len(steps)))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses[step] = loss.detach()
        if on_step:
            on_step(step + 1, len(steps))
    base.model.eval()
    return losses.numpy()


def batch_loss(base: LoadedBase, features: FeatureStore, examples: Sequence[Example]) -> Tensor:
    """Return the mean cross-entropy over a step's label tokens; the head runs on their positions alone."""
    batch = collate(examples, base.pad_token_id, base.device)
    hidden = base.hidden(batch.input_ids, gather_features(base, features, batch.images))
    labelled = hidden.reshape(-1, hidden.shape[-1])[batch.predictors]
    return F.cross_entropy(base.logits(labelled), batch.targets)


def gather_features(base: LoadedBase, features: FeatureStore, images: Sequence[str]) -> Tensor:
    """Return the features of images in order [tokens, width]; empty when there are none."""
    if not images:
        return torch.zeros(0, 1, device=base.device)
    return torch.cat([features.get(key).tokens for key in images])


def flops(base: LoadedBase, recipe: Recipe, tokens: int) -> float:
    """Estimate a training's FLOPs: forward and backward through frozen weights cost 4 a weight and token, trained ones 6."""
    language = base.model.get_submodule(base.language_prefix())
    weights = sum(p.numel() for p in language.parameters())
    factor = 6 if recipe.scope is Scope.FULL_LANGUAGE else 4
    return float(tokens * weights * factor)
