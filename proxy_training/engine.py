"""The engine: takes jobs, yields results. It knows no database.

What a stack of adapters can run goes into its slots, several jobs at once; everything else, and with `Backend.REFERENCE`
everything, runs one after another through PEFT. Jobs, results and identities are the same either way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from proxy_training.families.registry import GENERIC, load_base
from proxy_training.features import FeatureStore, ImageStore
from proxy_training.generic_backend import GenericBackend, ImageTexts
from proxy_training.image_text import encoder_of
from proxy_training.jobs import (
    ANY_ENGINE,
    Backend,
    Cost,
    EngineSettings,
    EvalSet,
    ItemScores,
    Job,
    JobResult,
    Progress,
    ProxySpec,
    Recipe,
    Training,
)
from proxy_training.merging import MergedAdapters
from proxy_training.peft_backend import PeftBackend, TrainingFailed
from proxy_training.preparation import Preparation
from proxy_training.stack.backend import StackBackend
from proxy_training.stack.decoder import Unsupported
from sources.problems import RowError

JobError = (TrainingFailed, RowError, ValueError)


class Engine:
    """One proxy, loaded once, on one device, for any number of jobs."""

    def __init__(
        self,
        proxy: ProxySpec,
        recipe: Recipe,
        features: Path,
        settings: EngineSettings = ANY_ENGINE,
    ) -> None:
        """Load the proxy.

        Args:
            proxy: what to load.
            recipe: for its precision; each job brings its own.
            features: folder of the feature store.
            settings: device, back end, slots and the feature store's limit.

        Raises:
            Unsupported: `Backend.STACK` was asked for and the model is not a Llama-class decoder.
        """
        from accelerate import Accelerator

        self.proxy, self.recipe = proxy, recipe
        device, backend = settings.device, settings.backend
        self.accelerator = Accelerator(cpu=device == "cpu" or None)
        sharded = settings.gpus_per_probe > 1
        self.base = load_base(
            Path(proxy.path),
            proxy.family,
            recipe.precision,
            device or self.accelerator.device,
            sharded=sharded,
            image_limit=proxy.image_limit,
        )
        self.encoder = encoder_of(Path(proxy.path), proxy.family)
        generic = proxy.family == GENERIC
        loaded: Any = self.base
        self.features: ImageStore = (
            ImageTexts(loaded) if generic else FeatureStore(features, self.base, proxy.weights_hash, settings.cache_limit)
        )
        self.preparation = Preparation(self.encoder, self.features)
        self.reference = (GenericBackend if generic else PeftBackend)(loaded, self.preparation)
        self.stack: StackBackend | None = None
        self.why_no_stack = "the reference back end was asked for" if backend is Backend.REFERENCE else ""
        if generic or sharded:
            self.why_no_stack = self.base.not_plain if generic else "the base is sharded over several GPUs"
        if backend is Backend.STACK and self.why_no_stack:
            raise Unsupported(self.why_no_stack)
        if not self.why_no_stack:
            try:
                self.stack = StackBackend(self.base, self.preparation, proxy.path, settings.slots)
            except Unsupported as error:
                if backend is Backend.STACK:
                    raise
                self.why_no_stack = str(error)

    def run(self, jobs: Iterable[Job], progress: Progress | None = None) -> Iterator[JobResult]:
        """Run jobs, taken as there is room for them; yield each result as it is there, not in the order of the jobs.

        A job that fails yields a result with its `failure`, and the others go on.
        """
        encoded = self.features.encoded
        try:
            for result in self._run(iter(jobs), progress):
                now = self.features.encoded
                yield replace(result, cost=self._with_means(result.cost, now - encoded))
                encoded = now
        finally:
            if self.stack:
                self.stack.abandon()

    def score_merged(self, merged: MergedAdapters, shares: Sequence[float], benchmarks: Sequence[EvalSet]) -> tuple[ItemScores, ...]:
        """Score a weighted sum of adapters on the items of benchmarks; nothing is trained.

        Raises:
            ValueError: the shares do not sum to 1, or a benchmark's answers are generated.
            RowError, SourceError: a benchmark cannot be scored.
        """
        if generating := [benchmark.spec.name for benchmark in benchmarks if benchmark.spec.generates]:
            raise ValueError(f"answers of merged adapters are not generated ({', '.join(generating)})")
        if self.stack is not None and not merged.full:
            recipe, weights = merged.merged(shares)
            return self.stack.score_weights(weights, recipe, benchmarks)
        with TemporaryDirectory() as name:
            merged.save(Path(name), shares)
            job = Job(Training(self.proxy, merged.recipe, (), 0), tuple(benchmarks), Path(name))
            result = self.reference.run(job)
        if result.unscored:
            raise ValueError("; ".join(f"{name}: {why}" for name, why in result.unscored))
        return result.scores

    def _with_means(self, cost: Cost, encoded: int) -> Cost:
        """Add what the engine knows of how a job was run."""
        why = self.why_no_stack
        if cost.backend == Backend.STACK:
            why = self.stack.choice.reason if self.stack and self.stack.choice else ""
        elif self.stack:
            why = "only LoRA on the language model is stacked"
        peak = torch.cuda.max_memory_allocated(self.base.device) if self.base.device.type == "cuda" else 0
        return replace(cost, images_encoded=encoded, why=why, peak_gpu_bytes=peak)

    def _run(self, jobs: Iterator[Job], progress: Progress | None) -> Iterator[JobResult]:
        waiting: Job | None = None  # taken, but its slot is not free yet
        more = True
        while True:
            if waiting is None and more and self._has_room():
                waiting = next(jobs, None)
                more = waiting is not None
            if waiting is not None and self._fits(waiting):
                yield from self._begin(waiting, progress)
                waiting = None
            elif self.stack and self.stack.running:
                yield from self.stack.step(progress)
            elif not more:
                return

    def _has_room(self) -> bool:
        return self.stack is None or self.stack.has_room()

    def _fits(self, job: Job) -> bool:
        if self.stack is None or not self.stack.takes(job) or not self.stack.trains(job):
            return True
        return self.stack.has_room(job.training.recipe)

    def _begin(self, job: Job, progress: Progress | None) -> Iterator[JobResult]:
        """Run a job that needs no slot, or start one that does."""
        try:
            if self.stack is None or not self.stack.takes(job):
                yield self.reference.run(job, progress)
            elif self.stack.trains(job):
                self.stack.start(job, progress)
            else:
                yield self.stack.score(job)
        except JobError as error:
            yield JobResult(job.training.training_id(), failure=str(error))
