"""The reference back end: one probe after another, PEFT and a plain loop, kept plain because faster ones are checked against it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from proxy_training.batches import Example, collate
from proxy_training.evaluation import ItemRow, Layout, add_generated, candidate_log_probabilities, item_scores, lay_out, score_each
from proxy_training.families.base import LoadedBase, ProcessedImage
from proxy_training.features import process
from proxy_training.generation import decoded, generate
from proxy_training.jobs import Backend, Cost, EvalSet, ItemScores, Job, JobResult, Progress, Recipe, Scope, images_of, part_of
from proxy_training.preparation import Preparation
from proxy_training.publishing import publish_folder
from proxy_training.timing import Clock
from sources.images import load_image

ImageFeatures = Callable[[Sequence[str]], Tensor]  # keys -> features of all images in order [tokens, width]
LossOf = Callable[[Sequence[Example]], Tensor]  # a step's examples -> their loss
FULL_WEIGHTS = "language-model.safetensors"
KEPT_PROCESSED = 512  # must exceed the images of a step


class TrainingFailed(Exception):  # noqa: N818
    """A probe cannot go on; the message says at which step and why."""


def lora_targets(base: LoadedBase, scope: Scope) -> str:
    """Return the full-match pattern of the linear layers that LoRA trains: of the language model, or every one but the head."""
    if scope is Scope.LORA_ALL:
        head = base.model.get_output_embeddings()
        names = [n for n, m in base.model.named_modules() if isinstance(m, torch.nn.Linear) and m is not head]
        return "|".join(re.escape(name) for name in names)
    return base.lora_pattern()


def lora_config(recipe: Recipe, targets: str) -> Any:
    """Return PEFT's configuration of a recipe's adapters."""
    from peft import LoraConfig

    return LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
        target_modules=targets,
        use_dora=recipe.dora,
    )


@contextmanager
def lora(base: LoadedBase, recipe: Recipe, seed: int) -> Iterator[Any]:
    """Inject a fresh adapter, initialised from `seed` alone, and take it out again at the end."""
    from peft import get_peft_model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = get_peft_model(base.model, lora_config(recipe, lora_targets(base, recipe.scope)))
    try:
        yield model
    finally:
        base.model = model.unload()
        base.model.requires_grad_(False).eval()


@contextmanager
def full_language(base: LoadedBase) -> Iterator[dict[str, Tensor]]:
    """Make the language model trainable, on fp32 copies, and put the frozen weights back at the end."""
    language, head = base.model.get_submodule(base.language_prefix()), base.model.get_output_embeddings()
    weights = dict(language.named_parameters())
    changed = {id(weight): weight for weight in (*weights.values(), *head.parameters())}
    frozen = {key: weight.data for key, weight in changed.items()}
    for weight in changed.values():
        weight.data = weight.data.to(torch.float32, copy=True)
    language.requires_grad_(True)
    try:
        yield weights
    finally:
        language.requires_grad_(False)
        for key, weight in changed.items():
            weight.data, weight.grad = frozen[key], None


def not_finite(step: int, steps: int) -> str:
    """Return the message of a training that broke at a step, from 1."""
    return f"the loss or its gradient was not finite at step {step} of {steps}; try a lower learning rate"


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Return the rate of a step (from 0): linear warm-up, then linear decay that would reach zero at `steps`."""
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    return recipe.learning_rate * (steps - step) / max(1, steps - recipe.warmup_steps)


def learning_rates(recipe: Recipe, stages: Sequence[Sequence[Example]], restarts: bool) -> list[float]:
    """Return the rate of every step of `step_examples`: one schedule over all of them, or with `restarts` one for each stage.

    Warm restarts (Loshchilov & Hutter 2017, ICLR) with the recipe's own schedule; AdamW's moments are kept at a restart.
    """
    counts = [len(step_examples([stage], recipe.batch_size)) for stage in stages]
    schedules = counts if restarts else [sum(counts)]
    return [learning_rate(recipe, step, steps) for steps in schedules for step in range(steps)]


def step_examples(stages: Sequence[Sequence[Example]], batch_size: int) -> list[Sequence[Example]]:
    """Cut stages into steps; a stage's last step takes what is left, and no step spans two stages."""
    return [stage[at : at + batch_size] for stage in stages for at in range(0, len(stage), batch_size)]


def train(
    base: LoadedBase,
    loss_of: LossOf,
    recipe: Recipe,
    stages: Sequence[Sequence[Example]],
    trainable: Sequence[Tensor],
    on_step: Callable[[int, int], None] | None = None,
    restarts: bool = False,
) -> NDArray[np.float32]:
    """Train in place; return the mean loss over label tokens of each step [steps]. With `restarts` each stage has a schedule of its own.

    Raises:
        TrainingFailed: a loss or gradient is not finite.
    """
    steps, rates = step_examples(stages, recipe.batch_size), learning_rates(recipe, stages, restarts)
    optimizer = torch.optim.AdamW(trainable, lr=recipe.learning_rate, betas=recipe.adam_betas, weight_decay=recipe.weight_decay, fused=True)
    losses = torch.zeros(len(steps))
    base.model.train()
    for step, examples in enumerate(steps):
        for group in optimizer.param_groups:
            group["lr"] = rates[step]
        loss = loss_of(examples)
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


def batch_loss(base: LoadedBase, image_features: ImageFeatures, examples: Sequence[Example]) -> Tensor:
    """Return the mean cross-entropy over a step's label tokens; the head runs on their positions alone."""
    batch = collate(examples, base.pad_token_id, base.device)
    hidden = base.hidden(batch.input_ids, image_features(batch.images), batch.allowed)
    labelled = hidden.reshape(-1, hidden.shape[-1])[batch.predictors]
    return F.cross_entropy(base.logits(labelled), batch.targets)


def flops(base: LoadedBase, recipe: Recipe, tokens: int) -> float:
    """Estimate a training's FLOPs: forward and backward through frozen weights cost 4 a weight and token, trained ones 6."""
    language = base.model.get_submodule(base.language_prefix())
    weights = sum(p.numel() for p in language.parameters())
    factor = 6 if recipe.scope is Scope.FULL_LANGUAGE else 4
    return float(tokens * weights * factor)


class PeftBackend:
    """Runs one job after another on a loaded base."""

    def __init__(self, base: LoadedBase, preparation: Preparation) -> None:
        self.base = base
        self.preparation = preparation
        self._layouts: dict[str, Layout] = {}

    def run(self, job: Job, progress: Progress | None = None) -> JobResult:
        """Train, save and score.

        Raises:
            TrainingFailed: a loss or gradient is not finite.
            RowError: an image of a drawn row cannot be loaded.
            ValueError: a row is too long.
        """
        clock = Clock.start()
        self.preparation.ensure_images(job, progress)
        losses, cost = np.zeros(0, np.float32), Cost(backend=Backend.REFERENCE.value)
        with self._model_of(job) as trainable:
            if trainable is not None:
                losses, cost = self._train(job, trainable, progress)
            train_cpu, train_wall = clock.lap()
            scores, unscored = score_each(job.benchmarks, lambda benchmark: self.score(benchmark, job))
            eval_cpu, eval_wall = clock.lap()
        cost = replace(cost, train_cpu_s=train_cpu, train_wall_s=train_wall, eval_cpu_s=eval_cpu, eval_wall_s=eval_wall)
        cost = replace(cost, images_scored=images_of(job.benchmarks))
        return JobResult(job.training.training_id(), scores, losses, cost, unscored=unscored)

    def generate(self, job: Job, benchmark: EvalSet, most: int) -> dict[int, str]:
        """Return what the job's model answers to each item that has its images, in at most `most` tokens."""
        self.preparation.ensure_images(job)
        with self._model_of(job):
            return self.texts(job, benchmark, most)

    def generate_rows(self, job: Job, rows: Sequence[ItemRow], most: int) -> dict[int, str]:
        """Return what the job's model answers to encoded prompts whose images are prepared, by `ItemRow.item`."""
        with self._model_of(job):
            self.base.model.eval()
            return decoded(self.preparation, self.answers(job, rows, most))

    def texts(self, job: Job, benchmark: EvalSet, most: int) -> dict[int, str]:
        """Return what the model in place answers to each item that has its images, in at most `most` tokens."""
        self.base.model.eval()
        return decoded(self.preparation, self.answers(job, self.preparation.question_rows(benchmark), most))

    def answers(self, job: Job, rows: Sequence[ItemRow], most: int) -> dict[int, NDArray[np.int32]]:
        """Return for each row's item the greedily generated tokens, without the end token."""
        return generate(self.base, self._image_features(job), rows, most)

    def loss_of(self, job: Job) -> LossOf:
        """Return a job's loss of a step."""
        image_features = self._image_features(job)
        return lambda examples: batch_loss(self.base, image_features, examples)

    def _image_features(self, job: Job) -> ImageFeatures:
        """Return the kept features; where the tower itself is trained they would be another model's, so it runs each time."""
        if job.training.recipe.scope is not Scope.LORA_ALL or not job.training.stages:
            return self.preparation.features.gather
        refs, processed = self.preparation.refs(job), dict[str, ProcessedImage]()

        def live(keys: Sequence[str]) -> Tensor:
            for key in keys:
                if key not in processed:
                    if len(processed) >= KEPT_PROCESSED:
                        processed.pop(next(iter(processed)))
                    processed[key] = process(self.base, key, load_image(refs[key]))
            images = [processed[key] for key in keys]
            return torch.cat(self.base.encode_images(images)) if images else torch.zeros(0, 1, device=self.base.device)

        return live

    @contextmanager
    def _model_of(self, job: Job) -> Iterator[Any]:
        """Put the job's model in place; give what is to be trained, or None when nothing is."""
        recipe, full = job.training.recipe, job.training.recipe.scope is Scope.FULL_LANGUAGE
        if job.adapter is not None:
            with _full_weights(self.base, job.adapter) if full else adapter_on(self.base, job.adapter):
                yield None
        elif not job.training.stages:
            yield None
        elif full:
            with full_language(self.base) as weights:
                yield weights
        else:
            with lora(self.base, recipe, job.training.seed) as model:
                yield model

    def _train(self, job: Job, model: Any, progress: Progress | None) -> tuple[NDArray[np.float32], Cost]:
        recipe = job.training.recipe
        stages = self.preparation.stages(job.training.stages, recipe)
        full = recipe.scope is Scope.FULL_LANGUAGE
        trainable = list(model.values()) if full else [p for p in model.parameters() if p.requires_grad]
        on_step = part_of(progress, "steps")
        losses = train(self.base, self.loss_of(job), recipe, stages, trainable, on_step, job.training.restarts)
        if job.save_to:
            publish_folder(job.save_to, lambda folder: _save(folder, model, full))
        return losses, training_cost(self.base, recipe, [e for stage in stages for e in stage], Backend.REFERENCE)

    def score(self, benchmark: EvalSet, job: Job) -> ItemScores:
        """Score the model in place on a benchmark of a job."""
        if benchmark.fingerprint not in self._layouts:
            rows = self.preparation.item_rows(benchmark)
            self._layouts[benchmark.fingerprint] = lay_out(rows, len(benchmark.items), self.base)
        layout = self._layouts[benchmark.fingerprint]
        self.base.model.eval()
        logs = candidate_log_probabilities(self.base, self._image_features(job), layout)
        values = item_scores(benchmark, layout.starts, layout.lengths, logs)
        return self._item_scores(benchmark, job, values, layout.unscored, logs)

    def _item_scores(
        self, benchmark: EvalSet, job: Job, values: NDArray[np.float32], unscored: tuple[int, ...], logs: NDArray[np.float64]
    ) -> ItemScores:
        if (spec := benchmark.spec).generates:
            add_generated(benchmark, values, self.texts(job, benchmark, spec.answer_tokens))
        return ItemScores(spec.name, benchmark.fingerprint, values, len(benchmark.items), unscored, logs)


def training_cost(base: LoadedBase, recipe: Recipe, rows: Sequence[Example], backend: Backend) -> Cost:
    """Return what a training processes; times are filled in later."""
    tokens = sum(len(example.encoded.input_ids) for example in rows)
    uses = [key for example in rows for key in example.images]
    return Cost(
        rows=len(rows),
        tokens=tokens,
        flops=flops(base, recipe, tokens),
        distinct_images=len(set(uses)),
        image_uses=len(uses),
        backend=backend.value,
    )


@contextmanager
def adapter_on(base: LoadedBase, folder: Path) -> Iterator[None]:
    """Put a saved PEFT adapter on the base's model, and take it off again."""
    from peft import PeftModel

    model = PeftModel.from_pretrained(base.model, folder)
    try:
        yield
    finally:
        base.model = model.unload()


@contextmanager
def _full_weights(base: LoadedBase, folder: Path) -> Iterator[None]:
    from safetensors.torch import load_file

    with full_language(base) as weights:
        saved = load_file(folder / FULL_WEIGHTS)
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(saved[name])
        yield


def _save(folder: Path, model: Any, full: bool) -> None:
    if full:
        from safetensors.torch import save_file

        save_file({name: weight.detach().contiguous() for name, weight in model.items()}, folder / FULL_WEIGHTS)
    else:
        model.save_pretrained(folder, save_embedding_layers=False)
