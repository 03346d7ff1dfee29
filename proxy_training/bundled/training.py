"""The training loop of `tiny`: resumable at any checkpoint, and the same whether or not it was interrupted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import Idefics3ForConditionalGeneration

from proxy_training.bundled.folder import save_state
from proxy_training.bundled.forward import image_features, label_log_probs
from proxy_training.bundled.landmarks import LandmarkWords, landmark_loss, landmark_words
from proxy_training.bundled.lessons import Lesson, make_lesson
from proxy_training.bundled.packing import IGNORED, PackedRows, Packer


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast: steps, images a step, learning rate with warm-up and cosine, and when questions follow the captions.

    Shares are of the steps: until `captions_until` a row holds captions, from `questions_from` on it holds questions with
    probability `question_share`, between them the share rises in a line. The share of rows with one lone shape falls in a line from
    `easy_share` to nothing at `easy_until`: what a shape looks like is learned soonest where nothing else is in sight.
    """

    steps: int = 6_500
    rows: int = 32
    length: int = 64
    peak_rate: float = 2e-3
    last_rate_share: float = 0.02
    warm_up: int = 300
    weight_decay: float = 0.05
    clip: float = 1.0
    captions_until: float = 0.05
    questions_from: float = 0.1
    question_share: float = 0.9
    landmark_weight: float = 0.5
    easy_until: float = 0.6
    easy_share: float = 0.8

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        if step < self.warm_up:
            return self.peak_rate * (step + 1) / self.warm_up
        done = (step - self.warm_up) / max(1, self.steps - self.warm_up)
        return self.peak_rate * (self.last_rate_share + (1 - self.last_rate_share) * 0.5 * (1 + math.cos(math.pi * done)))

    def questions(self, step: int) -> float:
        """Return the share of rows that hold questions at a step."""
        done = step / self.steps
        rising = (done - self.captions_until) / max(1e-9, self.questions_from - self.captions_until)
        return self.question_share * min(1.0, max(0.0, rising))

    def easy(self, step: int) -> float:
        """Return the share of rows that hold one lone shape at a step."""
        return self.easy_share * max(0.0, 1 - step / self.steps / self.easy_until)


@dataclass(slots=True)
class Losses:
    """Running mean loss per topic since the last report, in nats per label token."""

    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, topics: Iterable[str], losses: Tensor) -> None:
        """Add one step's losses, one a topic."""
        for topic, loss in zip(topics, losses.tolist(), strict=True):
            self.sums[topic] = self.sums.get(topic, 0.0) + loss
            self.counts[topic] = self.counts.get(topic, 0) + 1

    def take(self) -> dict[str, float]:
        """Return the means and start again."""
        means = {topic: round(total / self.counts[topic], 4) for topic, total in sorted(self.sums.items())}
        self.sums, self.counts = {}, {}
        return means


Progress = Callable[[int, int, dict[str, float]], None]  # step, steps, mean loss per topic


def train(
    model: Idefics3ForConditionalGeneration, packer: Packer, schedule: Schedule, seed: int, state: Path, every: int, progress: Progress
) -> None:
    """Train in place from the state file if there is one, else from the start; the state is written every `every` steps."""
    optimiser = _optimiser(model, schedule)
    start = _restore(state, model, optimiser) if state.exists() else 0
    losses, words = Losses(), landmark_words(packer.tokenizer)
    model.train()
    for step in range(start, schedule.steps):
        lesson = make_lesson(packer, seed, step, schedule.rows, schedule.questions(step), schedule.easy(step))
        told, seen = _step(model, optimiser, lesson, words, schedule, step)
        losses.add(label_topics(lesson.rows), told)
        losses.add(("landmark-colour", "landmark-shape"), seen)
        if (step + 1) % every == 0 or step + 1 == schedule.steps:
            save_state(state, {"step": step + 1, "model": model.state_dict(), "optimiser": optimiser.state_dict()})
            progress(step + 1, schedule.steps, losses.take())
    model.eval()


def label_topics(rows: PackedRows) -> Iterator[str]:
    """Yield the topic of every label token, in the order of `label_log_probs`."""
    for row, place in np.argwhere(rows.labels[:, 1:] != IGNORED):
        yield rows.topics[row][rows.blocks[row, place + 1] - 1]


def compile_layers(model: Idefics3ForConditionalGeneration) -> None:
    """Compile both halves' layers in place: about twice as fast on a CPU after a minute or two; needs a C++ compiler there."""
    for layer in (*model.model.vision_model.encoder.layers, *model.model.text_model.layers):
        layer.compile(dynamic=False)


def _optimiser(model: Idefics3ForConditionalGeneration, schedule: Schedule) -> torch.optim.AdamW:
    weights = [weight for weight in model.parameters() if weight.ndim > 1]
    others = [weight for weight in model.parameters() if weight.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": weights}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=schedule.peak_rate, betas=(0.9, 0.98), weight_decay=schedule.weight_decay, fused=True)


def _step(
    model: Idefics3ForConditionalGeneration,
    optimiser: torch.optim.AdamW,
    lesson: Lesson,
    words: LandmarkWords,
    schedule: Schedule,
    step: int,
) -> tuple[Tensor, Tensor]:
    for group in optimiser.param_groups:
        group["lr"] = schedule.rate(step)
    features = image_features(model, lesson.images)
    told = -label_log_probs(model, features, lesson.rows)
    seen = landmark_loss(model, features, lesson.marks, words)
    (told.mean() + schedule.landmark_weight * seen.sum()).backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), schedule.clip)
    optimiser.step()
    optimiser.zero_grad()
    return told.detach(), seen.detach()


def _restore(state: Path, model: Idefics3ForConditionalGeneration, optimiser: torch.optim.AdamW) -> int:
    saved = torch.load(state, map_location=model.device, weights_only=True)
    model.load_state_dict(saved["model"])
    optimiser.load_state_dict(saved["optimiser"])
    return int(saved["step"])
