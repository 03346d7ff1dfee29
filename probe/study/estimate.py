"""What a plan will cost, from some twenty real steps on the device that will run it, as many at once as there will be workers."""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from db.values import StudyPlan
from probe.study.decontamination import study_draws
from probe.study.items import read_eval_set
from probe.study.local import thread_settings
from probe.study.memory import Fit, check_fit
from probe.study.registry import find_benchmark
from probe.workspace import Workspace
from proxy_training.jobs import Cost, EngineSettings, EvalSet, Job, ProxySpec, Recipe, Stage, Training
from sources.images import load_image
from sources.sampling import DrawnRow

if TYPE_CHECKING:
    from proxy_training.engine import Engine

STEPS = 20
ITEMS = 300  # of all benchmarks together, at most
IMAGES = 32


@dataclass(frozen=True, slots=True)
class Calibration:
    """Wall seconds on this device under the load of the run: to begin, an image, a token of training, an item."""

    start_s: float
    image_s: float
    token_s: float
    item_s: float
    choice: str = ""  # how many probes at once and why, or why one after another
    peak_bytes: int = 0  # that a measured process held: of its GPU, else of all its memory


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """What the new probes of a plan will take."""

    probes: int
    hours: float
    process_hours: float
    calibration: Calibration
    fit: Fit


def estimate(workspace: Workspace, plan: StudyPlan, workers: int, settings: EngineSettings) -> CostEstimate:
    """Calibrate and add up: training tokens, items and images of the probes that no study has finished yet.

    Raises:
        ProbeError, SourceError: a source or benchmark of the plan cannot be read, or the proxy does not fit into memory.
    """
    with workspace.look() as store:
        done = {p.training_id for study in store.studies() for p in store.probes(study.name) if p.state.value == "done"}
        draws = study_draws(store, plan.study, workspace.indexes)
        benchmarks = [read_eval_set(find_benchmark(store, record.spec.name)) for record in plan.benchmarks]
        new = {probe.training_id: probe for probe in plan.probes if probe.training_id not in done}
        curricula = {arm.name: arm.curriculum for arm in plan.arms}
        trained = [probe for probe in new.values() if probe.rows]
        example = None
        images, image_tokens = 0.0, 0.0
        for name in dict.fromkeys(probe.arm for probe in trained):
            probe = next(probe for probe in trained if probe.arm == name)
            training = draws.draw(curricula[name], probe.seed).training
            example = example or training
            found = _images(_distinct(training), sum(other.arm == name for other in trained), probe.overlap)
            images += found
            image_tokens += found * _tokens_an_image(training, draws.tokens_of)
    fit = check_fit(plan.study.proxy, plan.study.recipe, example, draws.tokens_of, int(image_tokens), workers, settings, workspace.features)
    calibration = calibrate(workspace, plan, example, benchmarks, workers, settings)
    n_items = sum(len(benchmark.items) for benchmark in benchmarks)
    item_images = sum(len({ref for item in benchmark.items for ref in item.images}) for benchmark in benchmarks)
    work = calibration.token_s * sum(probe.tokens for probe in new.values()) + calibration.item_s * n_items * len(new)
    work += calibration.image_s * (images + item_images)
    used = max(1, min(workers, len(new)))
    hours = (work / used + (calibration.start_s if new else 0.0)) / 3600
    return CostEstimate(len(new), hours, (work + used * calibration.start_s) / 3600, calibration, fit)


def _images(of_one: int, repeats: int, overlap: float) -> float:
    """Return the distinct images of an arm's repeats, each of which holds the share `overlap` of all there are."""
    if not overlap:
        return float(of_one * repeats)
    return of_one / overlap * (1 - (1 - min(1.0, overlap)) ** repeats)


def _distinct(training: Training) -> int:
    return len({ref.identity() for stage in training.stages for row in stage.rows for ref in row.sample.images})


def _tokens_an_image(training: Training, tokens_of: Callable[[DrawnRow], float]) -> float:
    """Return the tokens of a row for each of its images: at least those of the image itself."""
    rows = [row for stage in training.stages for row in stage.rows if row.sample.images]
    return sum(tokens_of(row) for row in rows) / max(1, sum(len(row.sample.images) for row in rows))


def calibrate(
    workspace: Workspace, plan: StudyPlan, example: Training | None, benchmarks: list[EvalSet], workers: int, settings: EngineSettings
) -> Calibration:
    """Run some steps and items in as many processes at once as the run will have, and take the mean."""
    share = max(1, ITEMS // max(1, len(benchmarks)))
    few = tuple(replace(b, items=b.items[:share], fingerprint=f"{b.fingerprint}-calibration") for b in benchmarks)
    stages: tuple[Stage, ...] = ()
    if example is not None:
        rows = tuple(row for stage in example.stages for row in stage.rows)[: STEPS * plan.study.recipe.batch_size]
        stages = (Stage(rows),)
    job = Job(Training(plan.study.proxy, plan.study.recipe, stages, 0), few)
    os.environ.update(thread_settings(workers))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=workers, mp_context=context) as pool:
        runs = [pool.submit(_measure, plan.study.proxy, plan.study.recipe, workspace.features, settings, job) for _ in range(workers)]
        found = [run.result() for run in runs]
    return Calibration(
        fmean(one.start_s for one in found),
        fmean(one.image_s for one in found),
        fmean(one.token_s for one in found),
        fmean(one.item_s for one in found),
        found[0].choice,
        max(one.peak_bytes for one in found),
    )


def _measure(proxy: ProxySpec, recipe: Recipe, features: Path, settings: EngineSettings, job: Job) -> Calibration:
    began = time.perf_counter()
    from proxy_training.engine import Engine

    engine = Engine(proxy, recipe, features, settings)
    start = time.perf_counter() - began
    image_s = _image_seconds(engine, job)
    _run(engine, job)  # warms up, lays out the items and chooses the slots
    cost = _run(engine, job)
    n_items = sum(len(benchmark.items) for benchmark in job.benchmarks)
    peak = cost.peak_gpu_bytes or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Calibration(start, image_s, cost.train_wall_s / max(1, cost.tokens), cost.eval_wall_s / max(1, n_items), cost.why, peak)


def _image_seconds(engine: Engine, job: Job) -> float:
    """Time some images through processor and tower; what is measured is not kept, so that every process measures the same."""
    import torch

    refs = {ref.identity(): ref for stage in job.training.stages for row in stage.rows for ref in row.sample.images}
    some = list(refs.values())[:IMAGES]
    if not some:
        return 0.0
    with torch.no_grad():
        engine.base.encode_images([engine.base.process_image(load_image(some[0]))])
        began = time.perf_counter()
        engine.base.encode_images([engine.base.process_image(load_image(ref)) for ref in some])
    return (time.perf_counter() - began) / len(some)


def _run(engine: Engine, job: Job) -> Cost:
    return next(iter(engine.run([job]))).cost
