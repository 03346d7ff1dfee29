"""The engine: takes jobs, yields results. It knows no database."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from proxy_training import peft_backend
from proxy_training.batches import Example
from proxy_training.chat import ChatEncoder
from proxy_training.evaluation import Layout, candidate_log_probabilities, encode_item, item_scores, lay_out
from proxy_training.families.registry import load_base
from proxy_training.features import FeatureStore
from proxy_training.jobs import Cost, EvalSet, ItemScores, Job, JobResult, ProxySpec, Recipe, Scope, Stage
from sources.canonical import hash_bytes
from sources.images import read_image_bytes
from sources.problems import RowError
from sources.sample import ImageRef, Sample

FULL_WEIGHTS = "language-model.safetensors"
Progress = Callable[[str, int, int], None]  # what, done, of


@dataclass(slots=True)
class _Clock:
    cpu: float
    wall: float

    @classmethod
    def start(cls) -> _Clock:
        return cls(time.process_time(), time.perf_counter())

    def lap(self) -> tuple[float, float]:
        cpu, wall = time.process_time() - self.cpu, time.perf_counter() - self.wall
        self.cpu, self.wall = self.cpu + cpu, self.wall + wall
        return cpu, wall


class Engine:
    """One proxy, loaded once, on one device, for any number of jobs."""

    def __init__(self, proxy: ProxySpec, recipe: Recipe, features: Path, device: str | None = None) -> None:
        from accelerate import Accelerator

        self.proxy = proxy
        self.accelerator = Accelerator(cpu=device == "cpu" or None)
        self.base = load_base(Path(proxy.path), proxy.family, recipe.precision, device or self.accelerator.device)
        self.encoder = ChatEncoder(Path(proxy.path))
        self.features = FeatureStore(features, self.base, proxy.weights_hash)
        self._image_keys: dict[ImageRef, str] = {}
        self._examples: dict[str, Example] = {}
        self._layouts: dict[str, Layout] = {}

    def run(self, jobs: Iterable[Job], progress: Progress | None = None) -> Iterator[JobResult]:
        """Run jobs one after another; a job that fails yields a result with its `failure`, and the next one goes on."""
        for job in jobs:
            try:
                yield self._run(job, progress)
            except (peft_backend.TrainingFailed, RowError, ValueError) as error:
                yield JobResult(job.training.training_id(), failure=str(error))

    def _run(self, job: Job, progress: Progress | None) -> JobResult:
        clock = _Clock.start()
        self._prepare_images(job, progress)
        losses, cost = np.zeros(0, np.float32), Cost()
        with self._model_of(job) as trainable:
            if trainable is not None:
                losses, cost = self._train(job, trainable, progress)
            train_cpu, train_wall = clock.lap()
            scores = tuple(self._score(benchmark) for benchmark in job.benchmarks)
            eval_cpu, eval_wall = clock.lap()
        cost = replace(cost, train_cpu_s=train_cpu, train_wall_s=train_wall, eval_cpu_s=eval_cpu, eval_wall_s=eval_wall)
        return JobResult(job.training.training_id(), scores, losses, cost)

    # -- images

    def image_key(self, ref: ImageRef) -> str:
        """Return the hash of an image's bytes.

        Raises:
            RowError: the file cannot be read.
        """
        if ref not in self._image_keys:
            self._image_keys[ref] = hash_bytes(read_image_bytes(ref))
        return self._image_keys[ref]

    def _prepare_images(self, job: Job, progress: Progress | None) -> None:
        wanted: dict[str, ImageRef] = {}
        for stage in job.training.stages if job.adapter is None else ():
            for row in stage.rows:
                for ref in row.sample.images:
                    wanted[self.image_key(ref)] = ref
        failed = self.features.ensure(wanted, _part(progress, "images"))
        if failed:
            key, error = next(iter(failed.items()))
            raise RowError(error.problem, f"{error.detail} ({len(failed)} drawn images cannot be loaded, first {wanted[key].identity()})")

    # -- training

    @contextmanager
    def _model_of(self, job: Job) -> Iterator[Any]:
        """Put the job's model in place; give what is to be trained, or None when nothing is."""
        recipe = job.training.recipe
        if job.adapter is not None:
            with self._saved(job.adapter, recipe):
                yield None
        elif not job.training.stages:
            yield None
        elif recipe.scope is Scope.LORA_LANGUAGE:
            with peft_backend.lora(self.base, recipe, job.training.seed) as model:
                yield model
        else:
            with peft_backend.full_language(self.base) as weights:
                yield weights

    def _train(self, job: Job, model: Any, progress: Progress | None) -> tuple[NDArray[np.float32], Cost]:
        recipe = job.training.recipe
        stages = [self._encode_stage(stage, recipe) for stage in job.training.stages]
        full = recipe.scope is Scope.FULL_LANGUAGE
        trainable = list(model.values()) if full else [p for p in model.parameters() if p.requires_grad]
        losses = peft_backend.train(self.base, self.features, recipe, stages, trainable, _part(progress, "steps"))
        if job.save_to:
            _publish_folder(job.save_to, lambda folder: _save(folder, model, full))
        rows = [example for stage in stages for example in stage]
        tokens = sum(len(example.encoded.input_ids) for example in rows)
        uses = [key for example in rows for key in example.images]
        cost = Cost(
            rows=len(rows),
            tokens=tokens,
            flops=peft_backend.flops(self.base, recipe, tokens),
            distinct_images=len(set(uses)),
            image_uses=len(uses),
        )
        return losses, cost

    def _encode_stage(self, stage: Stage, recipe: Recipe) -> list[Example]:
        examples = []
        for row in stage.rows:
            if row.digest not in self._examples:
                self._examples[row.digest] = self._encode(row.sample)
            example = self._examples[row.digest]
            if len(example.encoded.input_ids) > recipe.max_length:
                raise ValueError(f"row {row.number} of {row.source} is longer than {recipe.max_length} tokens")
            examples.append(example)
        return examples

    def _encode(self, sample: Sample) -> Example:
        keys = tuple(self.image_key(ref) for ref in sample.images)
        return Example(self.encoder.encode(sample.turns, [self.features.expansion(key) for key in keys]), keys)

    def _saved(self, folder: Path, recipe: Recipe) -> AbstractContextManager[None]:
        return _full_weights(self, folder) if recipe.scope is Scope.FULL_LANGUAGE else _adapter(self, folder)

    # -- evaluation

    def _score(self, benchmark: EvalSet) -> ItemScores:
        if benchmark.fingerprint not in self._layouts:
            self._layouts[benchmark.fingerprint] = self._lay_out(benchmark)
        layout = self._layouts[benchmark.fingerprint]
        self.base.model.eval()
        values = item_scores(benchmark, layout, candidate_log_probabilities(self.base, self.features, layout))
        return ItemScores(benchmark.spec.name, benchmark.fingerprint, values, len(benchmark.items), layout.unscored)

    def _lay_out(self, benchmark: EvalSet) -> Layout:
        keys: dict[ImageRef, str] = {}
        for ref in {ref for item in benchmark.items for ref in item.images}:
            try:
                keys[ref] = self.image_key(ref)
            except RowError:
                continue
        failed = self.features.ensure({key: ref for ref, key in keys.items()})
        rows = []
        for number, item in enumerate(benchmark.items):
            images = [keys.get(ref, "") for ref in item.images]
            if all(key and key not in failed for key in images):
                expansions: Sequence[str] = [self.features.expansion(key) for key in images]
                rows.append(encode_item(self.encoder, benchmark.spec, number, item, images, expansions))
        return lay_out(rows, len(benchmark.items), self.base)


def _part(progress: Progress | None, what: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, of: progress(what, done, of)


@contextmanager
def _adapter(engine: Engine, folder: Path) -> Iterator[None]:
    from peft import PeftModel

    model = PeftModel.from_pretrained(engine.base.model, folder)
    try:
        yield
    finally:
        engine.base.model = model.unload()


@contextmanager
def _full_weights(engine: Engine, folder: Path) -> Iterator[None]:
    from safetensors.torch import load_file

    with peft_backend.full_language(engine.base) as weights:
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


def _publish_folder(target: Path, write: Callable[[Path], None]) -> None:
    """Write into a temporary folder and rename it, so that a folder that exists is complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{uuid.uuid4().hex}"
    temporary.mkdir()
    try:
        write(temporary)
        if target.exists():
            shutil.rmtree(target)
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
