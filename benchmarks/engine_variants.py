#!/usr/bin/env python3
"""What was tried for the stack's steps: the time of each variant over that of what the stack does, in CPU seconds, in turns.

    python benchmarks/engine_variants.py [--rounds 9]

Sizes are a step of the bundled proxy: 496 tokens, width 128, inner width 384, rank 8. Ratios above 1 mean that the variant is slower.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

TOKENS, WIDTH, INNER, RANK, SLOTS = 496, 128, 384, 8, 8
CALLS = 100


def gate_up(x: Tensor) -> tuple[Tensor, Tensor]:
    """SwiGLU forward as in `passes.py`."""
    gated = F.silu(x[:, :INNER])
    return gated, gated * x[:, INNER:]


def gate_up_backward(d: Tensor, x: Tensor, gated: Tensor) -> Tensor:
    """SwiGLU backward as in `passes.py`."""
    out = torch.empty_like(x)
    torch.mul(d, gated, out=out[:, INNER:])
    torch.ops.aten.silu_backward.grad_input(d * x[:, INNER:], x[:, :INNER], grad_input=out[:, :INNER])
    return out


def gate_up_backward_apart(d: Tensor, x: Tensor, gated: Tensor) -> tuple[Tensor, Tensor]:
    """The same into two tensors, which a compiler can fuse."""
    opened = torch.sigmoid(x[:, :INNER])
    return d * x[:, INNER:] * (opened + gated * (1 - opened)), d * gated


def merged(x: Tensor, weight: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """An adapter added to the weights at each step instead of to each token's values."""
    return F.linear(x, torch.addmm(weight, b, a))


def added(x: Tensor, weight: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """A linear layer with its adapter as in `passes.py`."""
    return F.linear(x, weight).addmm_(torch.mm(x, a.t()), b.t())


def ratio(kept: Callable[[], Any], variant: Callable[[], Any], rounds: int) -> float:
    """Return the median over rounds of the variant's time over the kept one's."""

    def spent(work: Callable[[], Any]) -> float:
        began = time.process_time()
        for _ in range(CALLS):
            work()
        return time.process_time() - began

    kept(), variant()
    return round(statistics.median(spent(variant) / spent(kept) for _ in range(rounds)), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    with torch.no_grad():
        x, d, h = torch.randn(TOKENS, 2 * INNER), torch.randn(TOKENS, INNER), torch.randn(TOKENS, WIDTH)
        gated, _ = gate_up(x)
        try:
            forward, backward = torch.compile(gate_up), torch.compile(gate_up_backward_apart)
            forward(x)
        except Exception as error:  # no C++ compiler: nothing to measure
            found["torch.compile"] = str(error).splitlines()[0]
        else:
            found["torch.compile, SwiGLU forward"] = ratio(lambda: gate_up(x), lambda: forward(x), rounds)
            found["torch.compile, SwiGLU backward"] = ratio(lambda: gate_up_backward(d, x, gated), lambda: backward(d, x, gated), rounds)
        weight = torch.randn(2 * INNER, WIDTH)
        low, up = torch.randn(RANK, WIDTH), torch.randn(2 * INNER, RANK)
        found["adapter added to the weights each step"] = ratio(
            lambda: added(h, weight, low, up), lambda: merged(h, weight, low, up), rounds
        )
        narrow_h, narrow_w = h.bfloat16(), weight.bfloat16()
        found["bf16, base product"] = ratio(lambda: F.linear(h, weight), lambda: F.linear(narrow_h, narrow_w), rounds)
        stacked, a = torch.randn(SLOTS, TOKENS // SLOTS, WIDTH), torch.randn(SLOTS, RANK, WIDTH)
        ends = torch.arange(1, SLOTS + 1, dtype=torch.int32) * (TOKENS // SLOTS)
        flat = stacked.reshape(-1, WIDTH)
        try:
            F.grouped_mm(flat, a.transpose(1, 2), offs=ends)
        except (RuntimeError, AttributeError) as error:
            found["grouped_mm, adapters"] = str(error).splitlines()[0]
        else:
            found["grouped_mm, adapters"] = ratio(
                lambda: torch.bmm(stacked, a.transpose(1, 2)), lambda: F.grouped_mm(flat, a.transpose(1, 2), offs=ends), rounds
            )
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
