"""One repetition of `engine.py` inside one process: training steps, the sweep over reuse and slots, and scored items.

Prints one JSON object of ratios (rival's CPU seconds over ours) and the sweep's cells.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from engine_arms import Chats, eval_sets, jobs

from proxy_training import peft_backend
from proxy_training.engine import Engine
from proxy_training.jobs import Backend, EngineSettings, Recipe, Stage
from proxy_training.proxies import proxy_spec
from proxy_training.stack.training import Plan, Stack
from proxy_training.stack.tuning import choose_slots

BATCH = 16


def seconds(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def reference_steps(engine: Engine, recipe: Recipe, stage: list[Any]) -> float:
    """CPU seconds of one probe's steps by A3."""
    with peft_backend.lora(engine.base, recipe, 0) as model:
        trainable = [p for p in model.parameters() if p.requires_grad]

        def loss_of(examples: Any) -> Any:
            return peft_backend.batch_loss(engine.base, engine.features.gather, examples)

        return seconds(lambda: peft_backend.train(engine.base, loss_of, recipe, [stage], trainable))


def stacked_steps(engine: Engine, recipe: Recipe, stages: list[list[Any]], start: dict[str, Any]) -> float:
    """CPU seconds a probe of several probes' steps in one stack."""
    backend = engine.stack
    assert backend is not None
    stack = Stack(engine.base, engine.features.gather, backend.decoder, recipe.rank, len(stages))

    def train() -> None:
        for number, stage in enumerate(stages):
            stack.start(number, Plan.of(recipe, [stage], start))
        while stack.position()[1]:
            stack.tick()
            stack.ended()

    return seconds(train) / len(stages)


def tuned_slots(engine: Engine, recipe: Recipe, stage: list[Any], start: dict[str, Any]) -> int:
    """Return how many slots the engine would choose for such a probe."""
    backend = engine.stack
    assert backend is not None
    plan = Plan.of(recipe, [stage], start)
    new_stack = functools.partial(Stack, engine.base, engine.features.gather, backend.decoder, recipe.rank)
    return choose_slots(new_stack, plan, "cpu").slots


def image_loop_steps(chats: Chats, rows: list[Any]) -> float:
    """CPU seconds of one probe's steps by A2, images and vision tower in the loop."""
    model = chats.model(0).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-3, weight_decay=0.0)

    def train() -> None:
        for at in range(0, len(rows), BATCH):
            model(**chats.collate(rows[at : at + BATCH])).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

    return seconds(train)


def with_reuse(rows: tuple[Any, ...], reuse: int, n: int) -> tuple[Any, ...]:
    """Return n rows in which every image is used `reuse` times."""
    by_image: dict[Any, list[Any]] = {}
    for row in rows:
        by_image.setdefault(row.sample.images[0], []).append(row)
    chosen = [row for group in by_image.values() for row in (group * reuse)[:reuse]][:n]
    random.Random(0).shuffle(chosen)
    return tuple(chosen)


@contextmanager
def narrow_model() -> Iterator[str]:
    """A model of width 64 with random weights: steps are overhead, not arithmetic."""
    from transformers import AutoProcessor, Idefics3Config, Idefics3ForConditionalGeneration

    source = proxy_spec("tiny").path
    config = Idefics3Config.from_pretrained(source)
    text, vision = config.text_config, config.vision_config
    text.hidden_size, text.intermediate_size, text.num_attention_heads, text.num_key_value_heads, text.head_dim = 64, 128, 4, 4, 16
    vision.hidden_size, vision.intermediate_size, vision.num_attention_heads = 64, 128, 4
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        Idefics3ForConditionalGeneration(config).save_pretrained(folder)
        AutoProcessor.from_pretrained(source).save_pretrained(folder)
        yield folder


def training(steps: int, slots: tuple[int, ...], reuses: tuple[int, ...], features: Path) -> dict[str, Any]:
    spec = proxy_spec("tiny")
    engine = Engine(spec, spec.recipe, features, EngineSettings(backend=Backend.STACK, slots=1))
    assert engine.stack is not None
    start = engine.stack._skeleton.fresh(spec.recipe, 0)
    chats = Chats(spec.path)
    job = next(iter(jobs([0], 120, 0, spec)))
    rows = job.training.stages[0].rows
    sweep, n = [], BATCH * steps
    for reuse in reuses:
        chosen = with_reuse(rows, reuse, n)
        from engine_arms import plain

        before = time.process_time()
        engine.preparation.ensure_images(type(job)(job.training.__class__(spec, spec.recipe, (Stage(chosen),), 0), ()))
        encode = time.process_time() - before
        stage = engine.preparation.stages([Stage(chosen)], spec.recipe)[0]
        a2 = image_loop_steps(chats, [plain(row) for row in chosen])
        chosen_slots = tuned_slots(engine, spec.recipe, stage, start)
        a3 = reference_steps(engine, spec.recipe, stage)
        for k in slots:
            ours = stacked_steps(engine, spec.recipe, [stage] * k, start)
            before, a3 = a3, reference_steps(engine, spec.recipe, stage)  # the rival on both sides of each cell
            of_cell = {
                "reuse": len(chosen) / len({row.sample.images[0] for row in chosen}),
                "slots": k,
                "chosen": k == chosen_slots,
                "steps_per_cpu_s": math.ceil(len(chosen) / BATCH) / ours,
                "features_cpu_s": encode,
            }
            sweep.append(of_cell | {"vs_A3": (before + a3) / 2 / ours, "vs_A2": a2 / (ours + encode)})
    own = [cell for cell in sweep if cell["chosen"]]
    return {
        "sweep": sweep,
        "vs_A3": float(np.median([cell["vs_A3"] for cell in own])),
        "vs_A2": float(np.median([cell["vs_A2"] for cell in own])),
        "vs_A3_worst_cell": min(cell["vs_A3"] for cell in sweep),
    }


def overhead_bound(steps: int, features: Path) -> dict[str, Any]:
    import dataclasses

    with narrow_model() as folder:
        spec = proxy_spec(folder)
        recipe = dataclasses.replace(spec.recipe, batch_size=1)
        spec = dataclasses.replace(spec, recipe=recipe)
        engine = Engine(spec, recipe, features, EngineSettings(backend=Backend.STACK, slots=1))
        assert engine.stack is not None
        rows = next(iter(jobs([0], 120, 0, spec))).training.stages[0].rows[:steps]
        stage_of_rows = Stage(rows)
        job = next(iter(jobs([0], 1, 0, spec)))
        engine.preparation.ensure_images(dataclasses.replace(job, training=dataclasses.replace(job.training, stages=(stage_of_rows,))))
        stage = engine.preparation.stages([stage_of_rows], recipe)[0]
        start = engine.stack._skeleton.fresh(recipe, 0)
        a3 = reference_steps(engine, recipe, stage)
        ours = {k: stacked_steps(engine, recipe, [stage] * k, start) for k in (1, 4, 8, 16)}
    return {"vs_A3_overhead_bound": a3 / min(ours.values()), "overhead_bound_by_slots": {k: a3 / value for k, value in ours.items()}}


def evaluation(items: int, features: Path) -> dict[str, Any]:
    from proxy_training.jobs import Job, Training

    spec = proxy_spec("tiny")
    job = Job(Training(spec, spec.recipe, (), 0), eval_sets(items))
    engines = {
        name: Engine(spec, spec.recipe, features / name, EngineSettings(backend=Backend(name), slots=1)) for name in ("reference", "stack")
    }
    chats = Chats(spec.path)
    model = chats.model(0).eval()
    n = sum(len(benchmark.items) for benchmark in job.benchmarks)
    cost = {"one": 0.0, "batched": 0.0}
    from engine_arms import generate_one_by_one

    few = max(10, items // 10)
    cost["one"] = seconds(lambda: generate_one_by_one(chats, model, few)) / (3 * few)
    cost["batched"] = seconds(lambda: generate_batched(chats, model, items)) / n
    for name, engine in engines.items():  # the first run computes features, which both keep
        cost[f"{name}_first"] = seconds(lambda engine=engine: list(engine.run([job]))) / n
        cost[name] = seconds(lambda engine=engine: list(engine.run([job]))) / n
    return {
        "vs_generate": cost["one"] / cost["stack"],  # features are computed once a study, not once a probe
        "vs_generate_first_time": cost["one"] / cost["stack_first"],
        "vs_generate_batched": cost["batched"] / cost["stack"],
        "vs_A3_eval": cost["reference"] / cost["stack"],
        "items_per_cpu_s": {name: 1 / value for name, value in cost.items()},
    }


def generate_batched(chats: Chats, model: Any, items: int, batch: int = 32) -> None:
    from sources.images import load_image

    tokenizer = chats.processor.tokenizer
    tokenizer.padding_side = "left"
    for benchmark in eval_sets(items):
        for at in range(0, len(benchmark.items), batch):
            chunk = benchmark.items[at : at + batch]
            inputs = chats.processor(
                text=[chats.texts(item.question, None) for item in chunk],
                images=[[load_image(item.images[0])] for item in chunk],
                padding=True,
                return_tensors="pt",
            )
            with torch.no_grad():
                model.generate(**inputs, max_new_tokens=8, do_sample=False, pad_token_id=tokenizer.pad_token_id)
    tokenizer.padding_side = "right"


def marginal(features: Path) -> dict[str, Any]:
    """CPU seconds of one more probe of 120 steps of 16 and 900 items, in an engine that is warm."""
    spec = proxy_spec("tiny")
    engine = Engine(spec, spec.recipe, features, EngineSettings(backend=Backend.STACK, slots=1))
    work = list(jobs([0, 1, 2], 120, 300, spec))
    list(engine.run(work[:1]))
    return {"probe_cpu_s": seconds(lambda: list(engine.run(work[1:]))) / 2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        features = Path(folder)
        slots, reuses = ((1, 4), (1, 4)) if quick else ((1, 2, 4, 8, 16), (1, 4, 16))
        found = training(10 if quick else 40, slots, reuses, features / "a")
        found |= overhead_bound(60 if quick else 300, features / "b")
        found |= evaluation(40 if quick else 300, features / "c")
        found |= marginal(features / "d") if not quick else {}
    print(json.dumps(found))


if __name__ == "__main__":
    sys.exit(main())
