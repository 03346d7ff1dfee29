"""The recipe that `probe proxies build tiny` runs: learn the tokenizer, train on the generated world, measure, write the folder."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import Idefics3ForConditionalGeneration, PreTrainedTokenizerFast

from proxy_training.bundled.architecture import TinyShape, make_model, make_processor
from proxy_training.bundled.folder import read_card, save_folder
from proxy_training.bundled.held_out import held_out_accuracy
from proxy_training.bundled.packing import Packer
from proxy_training.bundled.tokenizer import learn_tokenizer
from proxy_training.bundled.training import Progress, Schedule, compile_layers, train
from sources.canonical import content_hash

RECIPE_VERSION = 1  # raised when the same seed and schedule would train another model
STATE = "training.pt"


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build made: the folder, its weights' hash and size, how long it took, and accuracy per skill on held-out scenes."""

    folder: Path
    weights: str
    parameters: int
    steps: int
    seconds: float
    held_out: Mapping[str, float] = field(default_factory=dict)


def build_tiny(
    out: Path,
    *,
    seed: int = 0,
    steps: int | None = None,
    schedule: Schedule | None = None,
    device: str = "cpu",
    resume: bool = True,
    compiled: bool = False,
    checkpoint_every: int = 250,
    held_out_items: int = 400,
    progress: Progress | None = None,
) -> BuildReport:
    """Train `tiny` and write its folder to `out`.

    An interrupted build goes on from its last checkpoint, which lies beside `out` until the build is done. `compiled` about halves the
    time on a machine with a C++ compiler and changes the weights by rounding only. `progress` gets the step, the number of steps and
    the mean loss per topic at every checkpoint.

    """
    began = time.monotonic()
    plan = _plan(schedule, steps)
    state = out.parent / f".{out.name}-{content_hash([RECIPE_VERSION, seed, plan])[:12]}.{STATE}"
    if not resume:
        state.unlink(missing_ok=True)
    state.parent.mkdir(parents=True, exist_ok=True)
    shape, tokenizer = TinyShape(), learn_tokenizer(seed)
    model = make_model(tokenizer, shape, seed).to(device)
    if compiled:
        compile_layers(model)
    train(model, Packer(tokenizer, shape.image_tokens, plan.length), plan, seed, state, checkpoint_every, progress or _silent)
    report = export_tiny(out, model, tokenizer, plan, seed, plan.steps, held_out_items)
    state.unlink(missing_ok=True)
    return dataclasses.replace(report, seconds=time.monotonic() - began)


def export_tiny(
    out: Path,
    model: Idefics3ForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    schedule: Schedule,
    seed: int,
    steps: int,
    held_out_items: int,
) -> BuildReport:
    """Measure a model on held-out scenes and write it as a `from_pretrained` folder with its card."""
    began = time.monotonic()
    shape = TinyShape()
    model.eval()
    packer = Packer(tokenizer, shape.image_tokens, schedule.length)
    known = held_out_accuracy(model, packer, seed, held_out_items) if held_out_items else {}
    save_folder(out, model, make_processor(tokenizer, shape), _card(schedule, shape, seed, steps, known, held_out_items))
    card = read_card(out)
    return BuildReport(out, card["weights"], card["parameters"], steps, time.monotonic() - began, known)


def _plan(schedule: Schedule | None, steps: int | None) -> Schedule:
    plan = schedule or Schedule()
    return plan if steps is None else dataclasses.replace(plan, steps=steps)


def _card(schedule: Schedule, shape: TinyShape, seed: int, steps: int, known: Mapping[str, float], items: int) -> dict[str, Any]:
    return {
        "name": "tiny",
        "recipe": RECIPE_VERSION,
        "seed": seed,
        "steps": steps,
        "schedule": dataclasses.asdict(schedule),
        "shape": dataclasses.asdict(shape),
        "trained_on": "scenes, captions and questions of the generated world (sources.world) only",
        "held_out_accuracy": dict(known),
        "held_out_items_per_skill": items,
        "torch": torch.__version__,
    }


def _silent(step: int, steps: int, losses: dict[str, float]) -> None:
    """Report nothing."""
