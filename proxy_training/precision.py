"""Which type a frozen base runs in on a device: measured on matrix products of the model's own sizes, never guessed from its name.

bf16 is many times faster on a GPU and on CPUs with AMX, and slower, up to hundreds of times, on CPUs that emulate it.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from proxy_training.jobs import Precision

TOKENS = 512
ROUNDS = 7
LEAST_S = 0.02  # of one timing: a single small product is all noise
LEAST_GAIN = 1.2  # times faster: below that fp32 stays, whose results repeat more closely
MOST_WIDTH = 8192


@dataclass(frozen=True, slots=True)
class Proposal:
    """A precision and why."""

    precision: Precision
    reason: str


def propose_precision(folder: Path, device: str | None) -> Proposal:
    """Measure on a device (None: the GPU if there is one) which precision suits the model of a folder."""
    import torch

    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    width, inner = _widths(folder)
    seconds = _seconds(width, inner, where)
    gain = seconds[Precision.FP32] / seconds[Precision.BF16]
    chosen = Precision.BF16 if gain >= LEAST_GAIN else Precision.FP32
    of = f"of its widths ({width} and {inner}) on {where.type}"
    if gain >= 1:
        return Proposal(chosen, f"matrix products {of} are {gain:.1f} times as fast in bf16 as in fp32")
    return Proposal(chosen, f"matrix products {of} are {1 / gain:.1f} times as slow in bf16 as in fp32")


def _widths(folder: Path) -> tuple[int, int]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    text = config.get("text_config", config)
    width = int(text.get("hidden_size", 1024))
    return min(MOST_WIDTH, width), min(MOST_WIDTH, int(text.get("intermediate_size", 4 * width)))


def _seconds(width: int, inner: int, device: Any) -> dict[Precision, float]:
    """Return the median time of as many products in each precision, measured in turns."""
    import torch
    import torch.nn.functional as F

    kinds = {Precision.FP32: torch.float32, Precision.BF16: torch.bfloat16}
    x, w = torch.randn(TOKENS, width, device=device), torch.randn(inner, width, device=device)
    operands = {name: (x.to(kind), w.to(kind)) for name, kind in kinds.items()}
    times: dict[Precision, list[float]] = {name: [] for name in kinds}

    def spent(name: Precision, calls: int) -> float:
        began = _now(device)
        for _ in range(calls):
            F.linear(*operands[name])
        return _now(device) - began

    for name in kinds:  # the first products of a kind set things up
        spent(name, 3)
    calls = max(1, round(LEAST_S / max(1e-9, spent(Precision.FP32, 10) / 10)))
    for _ in range(ROUNDS):
        for name in kinds:
            times[name].append(spent(name, calls))
    return {name: median(values) for name, values in times.items()}


def _now(device: Any) -> float:
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time()
