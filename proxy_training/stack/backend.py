"""The stack as a back end: jobs go in as slots are free, and come out trained, saved and scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from proxy_training.evaluation import add_generated, item_scores, number_candidates, score_each, unscored_items
from proxy_training.families.base import LoadedBase
from proxy_training.generation import generated_texts
from proxy_training.jobs import Backend, Cost, EvalSet, ItemScores, Job, JobResult, Progress, Recipe, Scope, images_of
from proxy_training.peft_backend import adapter_on, lora_targets, training_cost
from proxy_training.preparation import Preparation
from proxy_training.publishing import publish_folder
from proxy_training.stack.adapters import AdapterLayout, Skeleton, load_adapter, merged, single
from proxy_training.stack.decoder import Decoder, read_decoder
from proxy_training.stack.passes import BlockAdapters
from proxy_training.stack.scoring import ScoreBatch, candidate_log_probabilities, lay_out_packed
from proxy_training.stack.training import Plan, Stack, Trained
from proxy_training.stack.tuning import Choice, choose_slots
from proxy_training.timing import Clock


@dataclass(frozen=True, slots=True)
class _Layout:
    batches: tuple[ScoreBatch, ...]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    unscored: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Model:
    """What is scored: a decoder, adapters on it where they are not in its weights, and the folder that holds the adapter."""

    decoder: Decoder
    adapters: list[BlockAdapters] | None = None
    folder: Path | None = None


@dataclass(slots=True)
class _Running:
    job: Job
    cost: Cost  # what it processes, and what preparing it took


class StackBackend:
    """Trains up to `slots` jobs at once; with `slots` None as many as a measurement on the first job proposes."""

    def __init__(self, base: LoadedBase, preparation: Preparation, base_name: str, slots: int | None = None) -> None:
        """Take over a loaded base.

        Raises:
            Unsupported: its language model is not a Llama-class decoder.
        """
        self.base = base
        self.preparation = preparation
        self.decoder: Decoder = read_decoder(base)
        self.choice: Choice | None = None if slots is None else Choice(slots, "asked for")
        self._skeleton = Skeleton(base.model, lora_targets(base, Scope.LORA_LANGUAGE), base_name)
        self._stack: Stack | None = None
        self._running: dict[int, _Running] = {}
        self._layouts: dict[str, _Layout] = {}
        self._started = 0

    @staticmethod
    def takes(job: Job) -> bool:
        """Say whether the stack can run a job: LoRA on the language model, or the untrained proxy."""
        recipe = job.training.recipe
        untrained = not job.training.stages and job.adapter is None
        return untrained or (recipe.scope is Scope.LORA_LANGUAGE and not recipe.dora)

    @staticmethod
    def trains(job: Job) -> bool:
        """Say whether a job needs a slot."""
        return bool(job.training.stages) and job.adapter is None

    @property
    def running(self) -> int:
        """Return how many jobs are in slots."""
        return len(self._running)

    def has_room(self, recipe: Recipe | None = None) -> bool:
        """Say whether a job (of a recipe) can start now."""
        if self._stack is None or not self._running:
            return True
        return self.running < self._stack.slots and (recipe is None or recipe.rank <= self._stack.layout.rank)

    def start(self, job: Job, progress: Progress | None = None) -> None:
        """Prepare a training and put it into a free slot.

        Raises:
            RowError: an image of a drawn row cannot be loaded.
            ValueError: a row is too long.
        """
        clock = Clock.start()
        recipe = job.training.recipe
        self.preparation.ensure_images(job, progress)
        stages = self.preparation.stages(job.training.stages, recipe)
        plan = Plan.of(recipe, stages, self._skeleton.fresh(recipe, job.training.seed), job.training.restarts)
        stack = self._stack_for(plan)
        cost = training_cost(self.base, recipe, [e for stage in stages for e in stage], Backend.STACK)
        cpu, wall = clock.lap()
        self._running[self._started] = _Running(job, replace(cost, train_cpu_s=cpu, train_wall_s=wall, slots=stack.slots))
        stack.start(self._started, plan)
        self._started += 1

    def _stack_for(self, plan: Plan) -> Stack:
        rank = plan.recipe.rank
        if self.choice is None:
            self.choice = choose_slots(lambda slots: self._new_stack(rank, slots), plan, self.base.device.type)
        if self._stack is None or (not self._running and self._stack.layout.rank != rank):
            self._stack = self._new_stack(rank, self.choice.slots)
        return self._stack

    def _new_stack(self, rank: int, slots: int) -> Stack:
        return Stack(self.base, self.preparation.features.gather, self.decoder, rank, slots)

    def step(self, progress: Progress | None = None) -> Iterator[JobResult]:
        """Take one step of every job in a slot; yield those that end with it."""
        if self._stack is None or not self._running:
            return
        self._stack.tick()
        if progress:
            progress("steps", *self._stack.position())
        for number, trained in self._stack.ended():
            yield self._finished(self._running.pop(number), trained)

    def _finished(self, running: _Running, trained: Trained) -> JobResult:
        job, cost = running.job, running.cost
        recipe = job.training.recipe
        cost = replace(cost, train_cpu_s=cost.train_cpu_s + trained.cpu_s, train_wall_s=cost.train_wall_s + trained.wall_s)
        if trained.failure:
            return JobResult(job.training.training_id(), losses=trained.losses, cost=cost, failure=trained.failure)
        with self._saved(job, trained.weights) as folder:
            return self._scored(job, cost, trained.losses, self._with(trained.weights, recipe, folder))

    @contextmanager
    def _saved(self, job: Job, weights: dict[str, Tensor]) -> Iterator[Path | None]:
        """Save an adapter where the job says; where it says nowhere, for as long as answers are to be generated with it."""
        recipe = job.training.recipe
        if job.save_to:
            publish_folder(job.save_to, lambda folder: self._skeleton.save(folder, recipe, weights))
            yield job.save_to
        elif any(benchmark.spec.generates for benchmark in job.benchmarks):
            with TemporaryDirectory() as name:
                self._skeleton.save(Path(name), recipe, weights)
                yield Path(name)
        else:
            yield None

    def score(self, job: Job) -> JobResult:
        """Score the untrained proxy or a saved adapter."""
        model = _Model(self.decoder) if job.adapter is None else self._with(load_adapter(job.adapter), job.training.recipe, job.adapter)
        return self._scored(job, Cost(backend=Backend.STACK.value), np.zeros(0, np.float32), model)

    def score_weights(self, weights: dict[str, Tensor], recipe: Recipe, benchmarks: Sequence[EvalSet]) -> tuple[ItemScores, ...]:
        """Score an adapter, by PEFT names, that lies in no folder, on benchmarks whose answers are not generated."""
        model = self._with(weights, recipe, None)
        return tuple(self._score(benchmark, model) for benchmark in benchmarks)

    def _with(self, weights: dict[str, Tensor], recipe: Recipe, folder: Path | None) -> _Model:
        layout = AdapterLayout(self.decoder, recipe.rank)
        if decoder := merged(layout, weights, recipe.rank, recipe.alpha):
            return _Model(decoder, folder=folder)
        return _Model(self.decoder, single(layout, weights, recipe.rank, recipe.alpha, self.base.device), folder)

    def _scored(self, job: Job, cost: Cost, losses: NDArray[np.float32], model: _Model) -> JobResult:
        clock = Clock.start()
        scores, unscored = score_each(job.benchmarks, lambda benchmark: self._score(benchmark, model))
        cpu, wall = clock.lap()
        cost = replace(cost, eval_cpu_s=cpu, eval_wall_s=wall, images_scored=images_of(job.benchmarks))
        return JobResult(job.training.training_id(), scores, losses, cost, unscored=unscored)

    def _score(self, benchmark: EvalSet, model: _Model) -> ItemScores:
        if benchmark.fingerprint not in self._layouts:
            rows = self.preparation.item_rows(benchmark)
            starts, lengths = number_candidates(rows, len(benchmark.items))
            batches = lay_out_packed(rows, starts, self.base, self.decoder)
            self._layouts[benchmark.fingerprint] = _Layout(batches, starts, lengths, unscored_items(rows, len(benchmark.items)))
        layout = self._layouts[benchmark.fingerprint]
        logs = candidate_log_probabilities(
            self.preparation.features.gather, model.decoder, model.adapters, layout.batches, len(layout.lengths), self.base.device
        )
        values = item_scores(benchmark, layout.starts, layout.lengths, logs)
        if benchmark.spec.generates:
            add_generated(benchmark, values, self._texts(benchmark, model))
        return ItemScores(benchmark.spec.name, benchmark.fingerprint, values, len(benchmark.items), layout.unscored, logs)

    def _texts(self, benchmark: EvalSet, model: _Model) -> dict[int, str]:
        """Return generated answers, by the base's own forward: it keeps what it has read, which the stack does not."""
        with adapter_on(self.base, model.folder) if model.folder else nullcontext():
            gather = self.preparation.features.gather
            return generated_texts(self.base, self.preparation, gather, benchmark, benchmark.spec.answer_tokens)

    def abandon(self) -> None:
        """Drop what is in the slots."""
        self._running.clear()
        if self._stack is not None:
            self._stack.clear()
            torch.cuda.empty_cache() if self.base.device.type == "cuda" else None
