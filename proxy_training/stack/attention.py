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


def _heads_first(packed: Tensor, index: Tensor, rows: int) -> Tensor:
    """Gather packed [n, heads, head_dim] into rows [rows, heads, tokens, head_dim]."""
    return packed.index_select(0, index).view(rows, -1, *packed.shape[1:]).transpose(1, 2).contiguous()


def _back(rows: Tensor, index: Tensor) -> Tensor:
    """Gather rows [rows, heads, tokens, head_dim] back into packed [n, heads * head_dim]; places behind the end give zeros."""
    r, heads, tokens, width = rows.shape
    flat = rows.new_zeros(r * tokens + 1, heads * width)
    flat[:-1].view(r, tokens, heads, width).copy_(rows.transpose(1, 2))
    return flat.index_select(0, index)


def attend(q: Tensor, k: Tensor, v: Tensor, plan: AttentionPlan, scale: float, keep: bool) -> tuple[Tensor, AttentionTape]:
    """Attend.

    Args:
        q: [packed queries, heads, head_dim], rotated.
        k: [packed tokens, kv_heads, head_dim], rotated.
        v: like `k`.
        plan: which token sits where.
        scale: of the products.
        keep: whether backward will follow.

    Returns:
        The outputs [packed queries, heads * head_dim] in q's type, and the tape.
    """
    kind = q.dtype
    if q.device.type == "cpu":
        q, k, v = q.float(), k.float(), v.float()  # bf16 attention is slow on CPUs, backward above all
    tape = AttentionTape(
        _heads_first(q, plan.query_index, plan.rows),
        _heads_first(k, plan.key_index, plan.rows),
        _heads_first(v, plan.key_index, plan.rows),
    )
    out = _plain(tape, plan, scale) if q.device.type == "cpu" and plan.keys <= LONGEST_PLAIN else _fused(tape, plan, scale, keep)
    return _back(out, plan.query_back).to(kind), tape


def _plain(tape: AttentionTape, plan: AttentionPlan, scale: float) -> Tensor:
    rows, heads, queries, width = tape.q.shape
    kv_heads = tape.k.shape[1]
    shared = heads // kv_heads
    q, k, v = tape.q.view(rows * kv_heads, shared * queries, width), tape.k.flatten(0, 1), tape.v.flatten(0, 1)
    scores = torch.bmm(q, k.transpose(1, 2))
    by_head = scores.view(rows, heads, queries, plan.keys)
    by_head.mul_(scale).add_(_causal(plan, q.device) if plan.mask is None else plan.mask[:, None])
    tape.probabilities = torch.softmax(scores, -1)
    return torch.bmm(tape.probabilities, v).view(rows, heads, queries, width)


def _causal(plan: AttentionPlan, device: torch.device) -> Tensor:
    return torch.full((plan.queries, plan.keys), MASKED, device=device).triu_(1)


def _fused(tape: AttentionTape, plan: AttentionPlan, scale: float, keep: bool) -> Tensor:
    mask = None if plan.mask is None else plan.mask[:, None].to(tape.q.dtype)
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


def attend_backward(grad: Tensor, tape: AttentionTape, plan: AttentionPlan, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of q, k and v, packed [n, heads * head_dim], from that of the outputs [packed queries, ...]."""
    heads, width = tape.q.shape[1], tape.q.shape[3]
    # A padded query gathers some other query's gradient; it must give none.
    d_out = _heads_first(grad.to(tape.q.dtype).view(-1, heads, width), plan.query_index, plan.rows)
    d_out *= _is_query(plan, d_out)
    if tape.out is not None:
        dq, dk, dv = torch.autograd.grad(tape.out, (tape.q, tape.k, tape.v), d_out)
        tape.out = None
    else:
        dq, dk, dv = _plain_backward(d_out, tape, scale)
    return tuple(_back(d, back).to(grad.dtype) for d, back in ((dq, plan.query_back), (dk, plan.key_back), (dv, plan.key_back)))  # type: ignore[return-value]


def _is_query(plan: AttentionPlan, like: Tensor) -> Tensor:
    held = like.new_zeros(plan.rows * plan.queries + 1)
    held[plan.query_back] = 1.0
    return held[:-1].view(plan.rows, 1, plan.queries, 1)


def _plain_backward(d_out: Tensor, tape: AttentionTape, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    rows, heads, queries, width = tape.q.shape
    kv_heads = tape.k.shape[1]
    p = tape.probabilities
    assert p is not None
    q, k, v = tape.q.view(rows * kv_heads, -1, width), tape.k.flatten(0, 1), tape.v.flatten(0, 1)
    d_out = d_out.reshape(rows * kv_heads, -1, width)
    dv = torch.bmm(p.transpose(1, 2), d_out)
    ds = torch._softmax_backward_data(torch.bmm(d_out, v.transpose(1, 2)), p, -1, p.dtype).mul_(scale)
    dq, dk = torch.bmm(ds, k), torch.bmm(ds.transpose(1, 2), q)
    return dq.view(rows, heads, queries, width), dk.view(rows, kv_heads, -1, width), dv.view(rows, kv_heads, -1, width)
