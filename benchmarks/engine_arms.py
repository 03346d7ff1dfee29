"""The rivals of `engine.py`, each as its users write it: what one process of an arm does.

    python benchmarks/engine_arms.py ARM --probes 0,1,2 --steps 120 --items 300 [--folder MODEL]

prints one JSON object with the losses and accuracies of the probes. A0 is A1 started once a probe.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SOURCES = ("all", "colour", "shape", "presence", "half-a", "half-b", "half-wrong", "shuffled")
KINDS = ("colour", "shape", "presence")
BATCH = 16


@functools.cache
def pool_of(source: str) -> Any:
    """Open a source, once; its index is kept in the folder that PROBE_BENCH_INDEX names, so that no arm pays for reading it."""
    from sources.easy_vqa import easy_vqa_source_specs
    from sources.sampling import SourcePool

    specs = {spec.slug: spec for spec in easy_vqa_source_specs()}
    cache = os.environ.get("PROBE_BENCH_INDEX")
    return SourcePool.open(specs[f"easy-vqa/{source}"], Path(cache) if cache else None)


def drawn(number: int, steps: int) -> tuple[int, tuple[Any, ...]]:
    """Return a probe's seed and its rows in training order; probe n is source n % 8 with seed n // 8."""
    from sources.mixture_draw import training_order

    seed = number // len(SOURCES)
    return seed, training_order(pool_of(SOURCES[number % len(SOURCES)]).draw(BATCH * steps, seed).rows, seed)


def eval_sets(items: int) -> tuple[Any, ...]:
    from proxy_training.jobs import EvalSet
    from sources.easy_vqa import easy_vqa_benchmark_specs, easy_vqa_items

    return tuple(EvalSet(spec, spec.name, easy_vqa_items(spec)) for spec in easy_vqa_benchmark_specs(items))


def jobs(numbers: list[int], steps: int, items: int, spec: Any) -> Iterator[Any]:
    from proxy_training.jobs import Job, Stage, Training

    benchmarks = eval_sets(items) if items else ()
    for number in numbers:
        seed, rows = drawn(number, steps)
        yield Job(Training(spec, spec.recipe, (Stage(rows),), seed), benchmarks)


def ours(numbers: list[int], steps: int, items: int, folder: str, backend: str, slots: int | None) -> list[dict[str, Any]]:
    """A3 (the reference back end: features once, head on labels alone, choices by likelihood) and B (the stack)."""
    from proxy_training.engine import Engine
    from proxy_training.jobs import Backend, EngineSettings
    from proxy_training.proxies import proxy_spec

    spec = proxy_spec(folder)
    results = []
    with tempfile.TemporaryDirectory() as features:
        engine = Engine(spec, spec.recipe, Path(features), EngineSettings(backend=Backend(backend), slots=slots))
        for result in engine.run(jobs(numbers, steps, items, spec)):
            accuracy = [float(score.values[2].mean()) for score in result.scores]
            results.append({"losses": result.losses.tolist(), "accuracy": accuracy, "failure": result.failure})
        if engine.stack and engine.stack.choice:
            print(engine.stack.choice, file=sys.stderr)
    return results


class Chats:
    """Rows as the processor takes them: images opened and processed in the loop."""

    def __init__(self, folder: str) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self.processor = AutoProcessor.from_pretrained(folder)
        self.processor.tokenizer.padding_side = "right"
        self.model_class = AutoModelForImageTextToText
        self.folder = folder

    def model(self, seed: int, rank: int = 8) -> Any:
        import torch
        from peft import LoraConfig, get_peft_model

        torch.manual_seed(seed)
        base = self.model_class.from_pretrained(self.folder)
        targets = r".*text_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
        return get_peft_model(base, LoraConfig(r=rank, lora_alpha=16, target_modules=targets, task_type="CAUSAL_LM"))

    def texts(self, question: str, answer: str | None) -> str:
        messages: list[Any] = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]
        if answer is not None:
            messages.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
        return str(self.processor.apply_chat_template(messages, add_generation_prompt=answer is None))

    def collate(self, rows: list[Any]) -> dict[str, Any]:
        """Full sequence with labels on the answer and its end."""
        from sources.images import load_image

        images = [[load_image(row["image"])] for row in rows]
        full = [self.texts(row["question"], row["answer"]) for row in rows]
        batch = self.processor(text=full, images=images, padding=True, return_tensors="pt")
        prompts = self.processor(text=[self.texts(row["question"], None) for row in rows], images=images)["input_ids"]
        labels = batch["input_ids"].clone()
        labels[batch["attention_mask"] == 0] = -100
        for i, prompt in enumerate(prompts):
            labels[i, : len(prompt)] = -100
        return {**batch, "labels": labels}


def plain(row: Any) -> dict[str, Any]:
    sample = row.sample
    return {
        "image": sample.images[0],
        "question": "".join(part for part in sample.turns[0].parts if isinstance(part, str)),
        "answer": str(sample.turns[1].parts[0]),
    }


def trainer_settings(steps: int, seed: int) -> dict[str, Any]:
    """Return what both Trainers are told."""
    return {
        "max_steps": steps,
        "per_device_train_batch_size": BATCH,
        "learning_rate": 2e-3,
        "lr_scheduler_type": "linear",
        "weight_decay": 0.0,
        "logging_steps": 10,
        "save_strategy": "no",
        "report_to": [],
        "use_cpu": True,
        "disable_tqdm": True,
        "seed": seed,
    }


def trainer(chats: Chats, number: int, steps: int) -> tuple[Any, list[float]]:
    """PEFT with the transformers Trainer."""
    from transformers import Trainer, TrainingArguments

    seed, rows = drawn(number, steps)
    model = chats.model(seed)
    with tempfile.TemporaryDirectory() as out:
        arguments = TrainingArguments(
            output_dir=out,
            remove_unused_columns=False,
            **trainer_settings(steps, seed),
        )
        worker = Trainer(model=model, args=arguments, train_dataset=[plain(row) for row in rows], data_collator=chats.collate)
        worker.train()
        losses = [entry["loss"] for entry in worker.state.log_history if "loss" in entry]
    return model, losses


def sft_trainer(chats: Chats, number: int, steps: int) -> tuple[Any, list[float]]:
    """TRL's SFTTrainer on conversations with images, as its guide for vision-language models has it."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    from sources.images import load_image

    seed, rows = drawn(number, steps)
    records = [
        {
            "images": [load_image(plain(row)["image"])],
            "prompt": [{"role": "user", "content": plain(row)["question"]}],
            "completion": [{"role": "assistant", "content": plain(row)["answer"]}],
        }
        for row in rows
    ]
    targets = r".*text_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
    with tempfile.TemporaryDirectory() as out:
        config = SFTConfig(
            output_dir=out,
            max_length=None,
            bf16=False,
            gradient_checkpointing=False,
            **trainer_settings(steps, seed),
        )
        worker = SFTTrainer(
            model=chats.model_class.from_pretrained(chats.folder),
            args=config,
            train_dataset=Dataset.from_list(records),
            processing_class=chats.processor,
            peft_config=LoraConfig(r=8, lora_alpha=16, target_modules=targets, task_type="CAUSAL_LM"),
        )
        worker.train()
        losses = [entry["loss"] for entry in worker.state.log_history if "loss" in entry]
    return worker.model, losses


def loop(chats: Chats, number: int, steps: int) -> tuple[Any, list[float]]:
    """A2: PEFT and a plain loop."""
    import torch

    seed, rows = drawn(number, steps)
    model = chats.model(seed)
    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-3, weight_decay=0.0)
    losses = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * (steps - step) / steps
        batch = chats.collate([plain(row) for row in rows[step * BATCH : (step + 1) * BATCH]])
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return model, losses


def generate_one_by_one(chats: Chats, model: Any, items: int) -> list[float]:
    """Return each benchmark's accuracy by greedy generation, an item at a time, as evaluation scripts do."""
    import torch

    from sources.images import load_image

    model.eval()
    accuracy = []
    for benchmark in eval_sets(items):
        right = 0
        for item in benchmark.items:
            inputs = chats.processor(text=chats.texts(item.question, None), images=[load_image(item.images[0])], return_tensors="pt")
            with torch.no_grad():
                out = model.generate(**inputs, max_new_tokens=8, do_sample=False, pad_token_id=chats.processor.tokenizer.pad_token_id)
            text = chats.processor.tokenizer.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
            right += text.strip().lower() == item.answer.lower()
        accuracy.append(right / len(benchmark.items))
    return accuracy


def rival(arm: str, numbers: list[int], steps: int, items: int, folder: str) -> list[dict[str, Any]]:
    chats = Chats(folder)
    train = {"A1": trainer, "A2": loop, "trl": sft_trainer}[arm]
    results = []
    for number in numbers:
        model, losses = train(chats, number, steps)
        accuracy = generate_one_by_one(chats, model, items) if items else []
        results.append({"losses": losses, "accuracy": accuracy, "failure": ""})
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arm", choices=("index", "A1", "A2", "A3", "B", "trl"))
    parser.add_argument("--probes", default="0")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--items", type=int, default=300, help="of each of three benchmarks")
    parser.add_argument("--folder", default="tiny")
    parser.add_argument("--slots", type=int, default=None)
    wanted = parser.parse_args()
    if wanted.arm == "index":
        for source in SOURCES:
            pool_of(source)
        return
    numbers = [int(number) for number in wanted.probes.split(",")]
    import torch

    torch.set_num_threads(1)
    if wanted.arm in ("A3", "B"):
        backend = "reference" if wanted.arm == "A3" else "auto"
        results = ours(numbers, wanted.steps, wanted.items, wanted.folder, backend, wanted.slots)
    else:
        from proxy_training.proxies import proxy_spec

        results = rival(wanted.arm, numbers, wanted.steps, wanted.items, proxy_spec(wanted.folder).path)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
