"""Attention over padded rows, forward and backward, between packed projections and packed outputs.

Short rows on a CPU go through plain batched products, which beat the fused kernel there; all others through
`scaled_dot_product_attention`, whose own graph gives its backward.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from proxy_training.stack.packing import MASKED, AttentionPlan

LONGEST_PLAIN = 192  # keys of a row


@dataclass(slots=True)
class AttentionTape:
    """What backward needs. With `out` set, the fused kernel's graph hangs on it; else `probabilities` are kept."""

    q: Tensor  # [rows, heads, queries, head_dim]
    k: Tensor  # [rows, kv_heads, keys, head_dim]
    v: Tensor
    probabilities: Tensor | None = None
    out: Tensor | None = None


def attend(
    q: Tensor, kv: Tensor, heads: tuple[int, int, int], plan: AttentionPlan, scale: float, keep: bool
) -> tuple[Tensor, AttentionTape]:
    """Attend.

    Args:
        q: packed projections with the rotated queries: [n, (heads + 2 kv_heads) * head_dim], or the picked queries alone.
        kv: the same tensor, or with picked queries keys and values alone [packed tokens, 2 kv_heads * head_dim].
        heads: query heads, key and value heads, head_dim.
        plan: which token sits where.
        scale: of the products.
        keep: whether backward will follow.

    Returns:
        The outputs [packed queries, heads * head_dim] in q's type, and the tape.
    """
    n_heads, kv_heads, width = heads
    kind = q.dtype
    rows, on_cpu = plan.rows, q.device.type == "cpu"
    queries = _gathered(q, plan.gather_q, width, on_cpu).view(rows, n_heads, plan.queries, width)
    keys, values = _gathered(kv, plan.gather_kv, width, on_cpu).view(2, rows, kv_heads, plan.keys, width)
    tape = AttentionTape(queries, keys, values)
    out = _plain(tape, plan, scale) if on_cpu and plan.keys <= LONGEST_PLAIN else _fused(tape, plan, scale, keep)
    return _gather_back([out], plan.back_out, kind).view(-1, n_heads * width), tape


def _gathered(packed: Tensor, index: Tensor, width: int, on_cpu: bool) -> Tensor:
    vectors = packed.reshape(-1, width).index_select(0, index)
    return vectors.float() if on_cpu else vectors  # bf16 attention is slow on CPUs, backward above all


def _gather_back(padded: list[Tensor], index: Tensor, kind: torch.dtype) -> Tensor:
    """Return the vectors of padded rows [rows, heads, tokens, head_dim] at `index`, which may point to the zeros behind the last."""
    width = padded[0].shape[-1]
    flat = torch.cat([*(part.reshape(-1, width) for part in padded), padded[0].new_zeros(1, width)])
    return flat.index_select(0, index).to(kind)


def _plain(tape: AttentionTape, plan: AttentionPlan, scale: float) -> Tensor:
    rows, heads, queries, width = tape.q.shape
    kv_heads = tape.k.shape[1]
    q, k, v = tape.q.view(rows * kv_heads, -1, width), tape.k.flatten(0, 1), tape.v.flatten(0, 1)
    scores = torch.bmm(q, k.transpose(1, 2))
    scores.view(rows, heads, queries, plan.keys).mul_(scale).add_(_causal(plan, q.device) if plan.mask is None else plan.mask)
    tape.probabilities = torch.softmax(scores, -1)
    return torch.bmm(tape.probabilities, v).view(rows, heads, queries, width)


def _causal(plan: AttentionPlan, device: torch.device) -> Tensor:
    return torch.full((plan.queries, plan.keys), MASKED, device=device).triu_(1)


def _fused(tape: AttentionTape, plan: AttentionPlan, scale: float, keep: bool) -> Tensor:
    mask = None if plan.mask is None else plan.mask.to(tape.q.dtype)
    grouped = tape.q.shape[1] != tape.k.shape[1]
    with torch.set_grad_enabled(keep):
        if keep:
            tape.q, tape.k, tape.v = (t.detach().requires_grad_() for t in (tape.q, tape.k, tape.v))
        out = F.scaled_dot_product_attention(
            tape.q, tape.k, tape.v, attn_mask=mask, is_causal=mask is None, scale=scale, enable_gqa=grouped
        )
    if keep:
        tape.out = out
    return out.detach()


def attend_backward(grad: Tensor, tape: AttentionTape, plan: AttentionPlan, scale: float) -> list[Tensor]:
    """Return the gradients of what `attend` was given, from that of its outputs: [(q with kv)], or with picked queries [q, kv].

    Each is [packed, head_dim] vectors in the order of the packed heads.
    """
    heads, width = tape.q.shape[1], tape.q.shape[3]
    d_out = grad.view(-1, width).index_select(0, plan.gather_out).to(tape.q.dtype).view(plan.rows, heads, plan.queries, width)
    if plan.is_query is not None:
        d_out *= plan.is_query  # a padded query repeats another's gradient; it must give none
    if tape.out is not None:
        dq, dk, dv = torch.autograd.grad(tape.out, (tape.q, tape.k, tape.v), d_out)
        tape.out = None
    else:
        dq, dk, dv = _plain_backward(d_out, tape, scale)
    if len(plan.back) == 1:
        return [_gather_back([dq, dk, dv], plan.back[0], grad.dtype)]
    return [_gather_back([dq], plan.back[0], grad.dtype), _gather_back([dk, dv], plan.back[1], grad.dtype)]


def _plain_backward(d_out: Tensor, tape: AttentionTape, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    rows, heads, queries, width = tape.q.shape
    kv_heads = tape.k.shape[1]
    p = tape.probabilities
    assert p is not None
    q, k, v = tape.q.view(rows * kv_heads, -1, width), tape.k.flatten(0, 1), tape.v.flatten(0, 1)
    d_out = d_out.view(rows * kv_heads, -1, width)
    dv = torch.bmm(p.transpose(1, 2), d_out)
    ds = torch._softmax_backward_data(torch.bmm(d_out, v.transpose(1, 2)), p, -1, p.dtype).mul_(scale)
    dq, dk = torch.bmm(ds, k), torch.bmm(ds.transpose(1, 2), q)
    return dq.view(rows, heads, queries, width), dk.view(rows, kv_heads, -1, width), dv.view(rows, kv_heads, -1, width)
