#!/usr/bin/env python3
"""Measure what the bundled proxy knows of easy-VQA, before and after a probe on each kind of question.

    python benchmarks/tiny_proxy.py [--folder F] [--seeds 2] [--steps 120] [--items 300] [--kinds colour,shape,presence]

Prints one JSON object: accuracy and right-choice probability of the untrained base and after LoRA (r 8, language model only) on each
kind's own source, by kind of question, with CPU-seconds. Needs `easy-vqa`. Nothing of it is ever used to make the proxy.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path

import easy_vqa
import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoTokenizer, Idefics3ForConditionalGeneration

from proxy_training.bundled import TINY_FOLDER
from proxy_training.bundled.forward import image_features, label_log_probs
from proxy_training.bundled.held_out import Asked, choice_probabilities
from proxy_training.bundled.packing import Packer, Talk

COLOURS = ("black", "blue", "brown", "gray", "green", "red", "teal", "yellow")
CHOICES = {"presence": ("yes", "no"), "shape": ("circle", "rectangle", "triangle"), "colour": COLOURS}
TARGETS = r".*text_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
LENGTH = 40
ROOT = Path(easy_vqa.__file__).parent / "data"


def questions(split: str, kind: str) -> list[tuple[str, str, int]]:
    rows = json.loads((ROOT / split / "questions.json").read_text())
    return [(text, answer, image) for text, answer, image in rows if answer in CHOICES[kind]]


def picture(split: str, image: int) -> np.ndarray:
    return np.asarray(Image.open(ROOT / split / "images" / f"{image}.png").convert("RGB"))


def held_out(kind: str, items: int) -> list[Asked]:
    rows = random.Random(0).sample(questions("test", kind), items)
    return [(picture("test", image), text, CHOICES[kind], answer) for text, answer, image in rows]


def scores(model: Idefics3ForConditionalGeneration, packer: Packer, items: dict[str, list[Asked]]) -> dict[str, dict[str, float]]:
    result = {}
    for kind, asked in items.items():
        chances = choice_probabilities(model, packer, asked)
        right = [CHOICES[kind].index(answer) for *_, answer in asked]
        accuracy = np.mean([p.argmax() == r for p, r in zip(chances, right, strict=True)])
        probability = np.mean([p[r] for p, r in zip(chances, right, strict=True)])
        result[kind] = {"accuracy": round(float(accuracy), 3), "probability": round(float(probability), 3)}
    return result


def probe(model: Idefics3ForConditionalGeneration, packer: Packer, rows: Sequence[tuple[str, str, int]], steps: int, rate: float) -> None:
    with torch.no_grad():
        features = {image: image_features(model, picture("train", image)[None]) for image in {row[2] for row in rows}}
    optimiser = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=rate, weight_decay=0.0)
    model.train()
    for step in range(steps):
        batch = [rows[(step * 16 + place) % len(rows)] for place in range(16)]
        packed = packer.pack([[Talk(text, answer)] for text, answer, _ in batch], [False] * 16)
        seen = torch.cat([features[image] for *_, image in batch])
        (-label_log_probs(model, seen, packed).mean()).backward()
        for group in optimiser.param_groups:
            group["lr"] = rate * (1 - step / steps)
        optimiser.step()
        optimiser.zero_grad()
    model.eval()


def arm(folder: Path, kind: str, seed: int, wanted: argparse.Namespace, items: dict[str, list[Asked]]) -> dict[str, object]:
    torch.manual_seed(seed)
    base = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    packer = Packer(AutoTokenizer.from_pretrained(folder), 16, LENGTH)
    get_peft_model(base, LoraConfig(r=8, lora_alpha=16, target_modules=TARGETS))
    rows = questions("train", kind)
    random.Random(seed).shuffle(rows)
    began = time.process_time()
    probe(base, packer, rows[: 16 * wanted.steps], wanted.steps, wanted.rate)
    trained = time.process_time()
    found = scores(base, packer, items)
    seconds = {"train_cpu_s": round(trained - began, 1), "score_cpu_s": round(time.process_time() - trained, 1)}
    return {"source": kind, "seed": seed, "after": found, **seconds}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=TINY_FOLDER)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--kinds", default="colour,shape,presence")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    items = {kind: held_out(kind, wanted.items) for kind in CHOICES}
    base = AutoModelForImageTextToText.from_pretrained(wanted.folder, dtype=torch.float32).eval()
    packer = Packer(AutoTokenizer.from_pretrained(wanted.folder), 16, LENGTH)
    result = {"untrained": scores(base, packer, items), "probes": []}
    result["probes"] = [arm(wanted.folder, kind, seed, wanted, items) for kind in wanted.kinds.split(",") for seed in range(wanted.seeds)]
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
