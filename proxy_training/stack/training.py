"""Many trainings in K slots: every tick is one step of each; whoever ends leaves, and the next one takes the slot."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from proxy_training.batches import Example
from proxy_training.families.base import LoadedBase
from proxy_training.jobs import Recipe
from proxy_training.peft_backend import ImageFeatures, learning_rates, not_finite, step_examples
from proxy_training.stack.adamw import StackedAdamW
from proxy_training.stack.adapters import AdapterLayout
from proxy_training.stack.decoder import Decoder
from proxy_training.stack.packing import Packed, Row, pack
from proxy_training.stack.passes import BlockAdapters, backward, forward

CHECK_EVERY = 16  # ticks between looks at which slots went wrong, so that a GPU is not waited for at each
LOGITS_AT_ONCE = 1 << 25


@dataclass(slots=True)
class Plan:
    """One training: `steps` of examples with a learning rate each, and the adapter it starts from by PEFT names."""

    recipe: Recipe
    steps: Sequence[Sequence[Example]]
    rates: Sequence[float]
    start: dict[str, Tensor]

    @classmethod
    def of(cls, recipe: Recipe, stages: Sequence[Sequence[Example]], start: dict[str, Tensor], restarts: bool = False) -> Plan:
        """Cut stages into steps; with `restarts` each stage has a schedule of its own."""
        return cls(recipe, step_examples(stages, recipe.batch_size), learning_rates(recipe, stages, restarts), start)


@dataclass(slots=True)
class Trained:
    """What came out: the adapter by PEFT names, mean loss over label tokens [steps], and the share of time it took."""

    weights: dict[str, Tensor]
    losses: NDArray[np.float32]
    cpu_s: float
    wall_s: float
    failure: str = ""


@dataclass(slots=True)
class _Slot:
    number: int  # of the plan
    plan: Plan
    at: int = 0
    losses: list[Tensor] = field(default_factory=list)
    cpu_s: float = 0.0
    wall_s: float = 0.0
    failure: str = ""


class Stack:
    """K slots on one frozen decoder."""

    def __init__(self, base: LoadedBase, image_features: ImageFeatures, decoder: Decoder, rank: int, slots: int) -> None:
        self.base = base
        self.image_features = image_features
        self.decoder = decoder
        self.layout = AdapterLayout(decoder, rank)
        self.slots = slots
        self.at_once = slots  # halved when memory runs out
        self._state = StackedAdamW.empty(slots, self.layout.size, base.device)
        self._active: list[_Slot] = []
        self._ticks = 0

    def start(self, number: int, plan: Plan) -> None:
        """Put a training, of a rank the layout has room for, into a free slot; `number` is given back when it ends."""
        row = torch.zeros(self.layout.size)
        self.layout.put(row, plan.start)
        factor = self.layout.factor(plan.recipe.rank, plan.recipe.alpha / plan.recipe.rank)
        self._state.start(len(self._active), row, factor)
        self._active.append(_Slot(number, plan))

    def position(self) -> tuple[int, int]:
        """Return steps done and steps in all of the trainings in slots."""
        return sum(slot.at for slot in self._active), sum(len(slot.plan.steps) for slot in self._active)

    def clear(self) -> None:
        """Drop all trainings."""
        self._active.clear()

    def ended(self) -> list[tuple[int, Trained]]:
        """Take out and return the trainings that are done, and every now and then those that went wrong."""
        self._ticks += 1
        wrong: set[int] = set()
        if self._ticks % CHECK_EVERY == 0:
            wrong = set(self._state.bad_step[: len(self._active)].nonzero()[:, 0].tolist())
        out = []
        for place in reversed(range(len(self._active))):
            slot = self._active[place]
            if place in wrong or slot.failure or slot.at >= len(slot.plan.steps):
                out.append(self._leave(place))
        return sorted(out, key=lambda one: one[0])

    def _leave(self, place: int) -> tuple[int, Trained]:
        slot, last = self._active[place], len(self._active) - 1
        bad = int(self._state.bad_step[place])
        failure = slot.failure or (not_finite(bad, len(slot.plan.steps)) if bad else "")
        weights = self.layout.take(self._state.parameters[place], slot.plan.recipe.rank)
        losses = torch.stack(slot.losses).float().cpu().numpy() if slot.losses else np.zeros(0, np.float32)
        if place != last:
            self._state.move(last, place)
            self._active[place] = self._active[last]
        self._active.pop()
        return slot.number, Trained(weights, losses, slot.cpu_s, slot.wall_s, failure)

    @torch.no_grad()
    def tick(self) -> None:
        """Take one step of every training."""
        cpu, wall = time.process_time(), time.perf_counter()
        active = self._active
        examples = [slot.plan.steps[slot.at] for slot in active]
        losses = torch.zeros(len(active), device=self.base.device)
        at = 0
        while at < len(active):
            end = min(at + self.at_once, len(active))
            try:
                losses[at:end] = self._gradients(at, end, examples[at:end])
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                if self.base.device.type == "cuda":
                    torch.cuda.empty_cache()
                if end - at > 1:
                    self.at_once = max(1, (end - at) // 2)
                    continue
                active[at].failure = f"memory ran out at step {active[at].at + 1}, one probe at a time; lower the batch size or max length"
                losses[at] = torch.nan
            at = end
        rates = torch.tensor([slot.plan.rates[slot.at] for slot in active], device=self.base.device)
        self._state.update(len(active), losses, rates, [slot.plan.recipe for slot in active])
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        tokens = [sum(len(example.encoded.input_ids) for example in step) for step in examples]
        for slot, loss, share in zip(active, losses, np.array(tokens) / max(1, sum(tokens)), strict=True):
            slot.at += 1
            slot.losses.append(loss)
            slot.cpu_s += cpu * float(share)
            slot.wall_s += wall * float(share)

    def _gradients(self, first: int, end: int, examples: Sequence[Sequence[Example]]) -> Tensor:
        """Write the gradients of slots `first` to `end`; return their losses."""
        rows = [[_row(example) for example in step] for step in examples]
        packed = pack(rows, self.base.image_token_id, self.decoder.heads, self.decoder.kv_heads, self.base.device)
        targets, weights = _targets(examples, packed)
        effective = self._state.parameters[first:end] * self._state.factor[first:end]
        adapters = self.layout.pairs(effective.to(self.decoder.embed.dtype))
        hidden, tape = forward(self.decoder, adapters, packed, embed(self.image_features, self.decoder, packed), keep=True)
        losses, d_hidden = label_loss(self.decoder, hidden, targets.to(self.base.device), weights.to(self.base.device))
        assert tape is not None
        grads: list[BlockAdapters] = self.layout.pairs(self._state.grads[first:end])
        backward(self.decoder, adapters, grads, packed, tape, d_hidden)
        return losses


def out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that memory ran out, on a GPU or on the host."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)


def _row(example: Example) -> Row:
    encoded = example.encoded
    picked = np.flatnonzero(encoded.is_label[1:])
    return Row(encoded.input_ids, picked, example.images)


def _targets(examples: Sequence[Sequence[Example]], packed: Packed) -> tuple[Tensor, Tensor]:
    """Return the token behind each picked one [K, P], and its weight in its slot's mean, 0 where none is picked."""
    targets = np.zeros((packed.slots, packed.picked_per_slot), np.int64)
    weights = np.zeros((packed.slots, packed.picked_per_slot), np.float32)
    for slot, step in enumerate(examples):
        labels = [example.encoded.input_ids[1:][example.encoded.is_label[1:]] for example in step]
        values = np.concatenate(labels)
        targets[slot, : len(values)] = values
        weights[slot, : len(values)] = 1.0 / max(1, len(values))
    return torch.from_numpy(targets), torch.from_numpy(weights)


def embed(image_features: ImageFeatures, decoder: Decoder, packed: Packed) -> Tensor:
    """Return input embeddings [K * N, width] with image features in the image tokens' places."""
    embeds = decoder.embed[packed.input_ids]
    if len(packed.image_places):
        embeds[packed.image_places] = image_features(packed.images).to(embeds.dtype)
    return embeds


def label_loss(decoder: Decoder, hidden: Tensor, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return each slot's weighted cross-entropy [K] and its gradient by the hidden states [K * P, width].

    Args:
        decoder: for its head.
        hidden: [K * P, width].
        targets: [K, P] token ids.
        weights: [K, P]; they sum to 1 over a slot's real labels.
    """
    flat_targets, flat_weights = targets.reshape(-1), weights.reshape(-1)
    terms = torch.empty_like(flat_weights)
    grad = torch.empty_like(hidden)
    rows = max(1, LOGITS_AT_ONCE // decoder.head.shape[0])
    for at in range(0, len(hidden), rows):
        part = slice(at, at + rows)
        logits = F.linear(hidden[part], decoder.head, decoder.head_bias).float()
        chances = torch.softmax(logits, -1)
        picked = flat_targets[part, None]
        terms[part] = (logits.logsumexp(-1) - logits.gather(1, picked)[:, 0]) * flat_weights[part]
        chances.scatter_add_(1, picked, torch.full_like(picked, -1, dtype=chances.dtype))
        chances.mul_(flat_weights[part, None])
        grad[part] = torch.mm(chances.to(hidden.dtype), decoder.head)
    return terms.view(weights.shape).sum(1), grad
