"""How many probes to train at once: candidates by a cost model, then a short measurement on the first probe's own steps."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from proxy_training.stack.training import Plan, Stack, out_of_memory

# Tokens of a launch beyond which a step of more slots only costs more cache or memory.
MOST_TOKENS = {"cpu": 900, "cuda": 16_000}
CANDIDATES = (1, 2, 4, 8, 16)
TRIALS = 3
GAIN = 0.1  # more slots must pay at least this much, so that noise does not choose


@dataclass(frozen=True, slots=True)
class Choice:
    """How many slots, and why."""

    slots: int
    reason: str


def choose_slots(new_stack: Callable[[int], Stack], plan: Plan, device: str) -> Choice:
    """Measure a step of the first probe alone and side by side with itself, and take the least time a probe."""
    tokens = statistics.mean(sum(len(e.encoded.input_ids) for e in step) for step in plan.steps)
    most = max(1, int(MOST_TOKENS.get(device, 16_000) / max(1.0, tokens)))
    candidates = [slots for slots in CANDIDATES if slots <= most]
    if len(candidates) == 1:
        return Choice(1, f"a step of one probe is {tokens:.0f} tokens, which fills the device")
    cost: dict[int, float] = {}
    for slots in candidates:
        measured = _seconds(new_stack, plan, slots, device)
        if measured is None:
            break
        cost[slots] = measured / slots
    best = 1
    for slots in cost:
        if cost[slots] < cost[best] * (1 - GAIN):
            best = slots
    table = ", ".join(f"{slots}: {1000 * seconds:.1f}" for slots, seconds in cost.items())
    return Choice(best, f"milliseconds a probe and step by slots: {table}")


def _seconds(new_stack: Callable[[int], Stack], plan: Plan, slots: int, device: str) -> float | None:
    """Return the median time of a step of `slots` copies, or None if memory ran out."""
    steps = [step for step in plan.steps for _ in range(1)][: TRIALS + 1]
    while len(steps) < TRIALS + 1:
        steps = [*steps, *steps][: TRIALS + 1]
    try:
        stack = new_stack(slots)
        for number in range(slots):
            stack.start(number, replace(plan, steps=steps, rates=[plan.rates[0]] * len(steps)))
        times = []
        for _ in range(TRIALS + 1):
            began = _now(device)
            stack.tick()
            times.append(_now(device) - began)
    except (MemoryError, RuntimeError) as error:
        if out_of_memory(error):
            return None
        raise
    return statistics.median(times[1:])


def _now(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()  # another process on the core must not look like cost
