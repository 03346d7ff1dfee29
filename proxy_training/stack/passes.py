"""Forward and backward of K adapters on one frozen decoder, by hand: no graph, and nothing computed that no adapter needs.

Three things are left out that a graph would do: the base's weight gradients, what lies below the first adapter, and, in the
last layer, everything but keys and values for tokens whose last hidden state nobody asks for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from proxy_training.stack.attention import AttentionTape, attend, attend_backward
from proxy_training.stack.decoder import Block, Decoder, Group
from proxy_training.stack.packing import Packed, Row, pack


@dataclass(frozen=True, slots=True)
class Pair:
    """One group's adapters for K slots: `a` [K, ranks, in], `b` [K, out, ranks], block-diagonal over members and scaled."""

    a: Tensor
    b: Tensor

    def part(self, rows: slice, ranks: slice) -> Pair:
        """Return the adapters of some members of the group."""
        return Pair(self.a[:, ranks], self.b[:, rows, ranks])


BlockAdapters = tuple[Pair, Pair, Pair, Pair]  # of the block's groups


@dataclass(slots=True)
class _Tape:
    """One layer's values that backward needs."""

    x: Tensor
    x_scale: Tensor
    normed: Tensor
    h_qkv: tuple[Tensor, ...]
    raw_q: Tensor | None
    raw_k: Tensor | None
    attention: AttentionTape
    mixed: Tensor
    h_out: Tensor
    middle: Tensor
    middle_scale: Tensor
    middle_normed: Tensor
    h_gate_up: Tensor
    gate_up: Tensor
    gated: Tensor
    activated: Tensor
    h_down: Tensor


@dataclass(slots=True)
class Tape:
    """A whole forward's values."""

    layers: list[_Tape]
    cos: Tensor
    sin: Tensor
    x: Tensor
    x_scale: Tensor


# -- pieces


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None, pair: Pair | None) -> tuple[Tensor, Tensor]:
    """Return y [K * n, out] of x [K * n, in], and the adapters' inner values [K, n, ranks]."""
    y = F.linear(x, weight, bias)
    if pair is None:
        return y, y
    slots = pair.a.shape[0]
    if slots == 1:
        h = torch.mm(x, pair.a[0].t())
        y.addmm_(h, pair.b[0].t())
        return y, h[None]
    h = torch.bmm(x.view(slots, -1, x.shape[1]), pair.a.transpose(1, 2))
    y.view(slots, -1, y.shape[1]).baddbmm_(h, pair.b.transpose(1, 2))
    return y, h


def _linear_backward(dy: Tensor, x: Tensor, h: Tensor, weight: Tensor, pair: Pair, grads: Pair, wanted: bool) -> Tensor:
    """Write the adapters' gradients; return that of x, or `dy` where it is not wanted."""
    slots = pair.a.shape[0]
    if slots == 1:
        dh = torch.mm(dy, pair.b[0])
        grads.b[0].copy_(torch.mm(dy.t(), h[0]))  # the buffers are fp32, whatever the base's precision
        grads.a[0].copy_(torch.mm(dh.t(), x))
        if not wanted:
            return dy
        dx = torch.mm(dy, weight)
        return dx.addmm_(dh, pair.a[0])
    dy3 = dy.view(slots, -1, dy.shape[1])
    dh = torch.bmm(dy3, pair.b)
    grads.b.copy_(torch.bmm(dy3.transpose(1, 2), h))
    grads.a.copy_(torch.bmm(dh.transpose(1, 2), x.view(slots, -1, x.shape[1])))
    if not wanted:
        return dy
    dx = torch.mm(dy, weight)
    dx.view(slots, -1, dx.shape[1]).baddbmm_(dh, pair.a)
    return dx


def _norm(x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return RMSNorm of x over its last dimension, and the reciprocal root mean squares."""
    if x.dtype is not torch.float32:
        wide = x.float()
        scale = wide.square().mean(-1, keepdim=True).add_(eps).rsqrt_()
        return (wide * scale).to(x.dtype) * weight, scale
    scale = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(eps).rsqrt_()
    return (x * scale).mul_(weight), scale


def _norm_backward(dy: Tensor, x: Tensor, scale: Tensor, weight: Tensor) -> Tensor:
    g = (dy * weight).float()
    wide = x.float()
    along = (g * wide).sum(-1, keepdim=True).mul_(scale.pow(3).div_(x.shape[-1]))
    return g.mul_(scale).addcmul_(wide, along, value=-1).to(dy.dtype)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor, sign: float) -> None:
    """Rotate x [n, heads, head_dim] in place; `sign` -1 rotates back. cos and sin are [n, 1, head_dim / 2]."""
    half = x.shape[-1] // 2
    first, second = x[..., :half], x[..., half:]
    turned = first * sin
    first.mul_(cos).addcmul_(second, sin, value=-sign)
    second.mul_(cos).add_(turned, alpha=sign)


# -- layers


def forward(
    decoder: Decoder, adapters: list[BlockAdapters] | None, packed: Packed, embeds: Tensor, keep: bool
) -> tuple[Tensor, Tape | None]:
    """Return the last hidden states, after the final norm, of the picked tokens [K * P, width]; and with `keep` the tape.

    Args:
        decoder: the frozen decoder.
        adapters: of each block, or None for the base alone.
        packed: K slots of rows.
        embeds: [K * N, width] input embeddings.
        keep: whether `backward` will follow.
    """
    cos, sin = decoder.rotary(packed.position_ids)
    half = decoder.head_dim // 2
    cos, sin = cos[:, None, :half].to(embeds.dtype), sin[:, None, :half].to(embeds.dtype)
    x, tapes = embeds, []
    for number, block in enumerate(decoder.blocks):
        last = number == len(decoder.blocks) - 1
        x, tape = _layer(decoder, block, adapters[number] if adapters else None, packed, x, cos, sin, last, keep)
        if tape is not None:
            tapes.append(tape)
    y, scale = _norm(x, decoder.norm, decoder.eps)
    return y, Tape(tapes, cos, sin, x, scale) if keep else None


def _layer(
    decoder: Decoder,
    block: Block,
    adapters: BlockAdapters | None,
    packed: Packed,
    x: Tensor,
    cos: Tensor,
    sin: Tensor,
    last: bool,
    keep: bool,
) -> tuple[Tensor, _Tape | None]:
    pair_qkv, pair_out, pair_gate_up, pair_down = adapters or (None, None, None, None)
    plan = packed.last if last else packed.full
    normed, x_scale = _norm(x, block.norm_attention, decoder.eps)
    picked = packed.picked if last else None
    q, kv, h_qkv = _project(decoder, block.qkv, pair_qkv, normed, picked)
    raw_q, raw_k = _rotate_projections(decoder, block, q, kv, cos, sin, picked)
    mixed, attention = attend(q, kv, (decoder.heads, decoder.kv_heads, decoder.head_dim), plan, decoder.scale, keep)
    out, h_out = _linear(mixed, block.out.weight, block.out.bias, pair_out)
    middle = out.add_(x[packed.picked] if last else x)
    middle_normed, middle_scale = _norm(middle, block.norm_mlp, decoder.eps)
    gate_up, h_gate_up = _linear(middle_normed, block.gate_up.weight, block.gate_up.bias, pair_gate_up)
    inner = gate_up.shape[1] // 2
    gated = F.silu(gate_up[:, :inner])
    activated = gated * gate_up[:, inner:]
    down, h_down = _linear(activated, block.down.weight, block.down.bias, pair_down)
    result = down.add_(middle)
    if not keep:
        return result, None
    tape = _Tape(
        x, x_scale, normed, h_qkv, raw_q, raw_k, attention, mixed, h_out, middle, middle_scale, middle_normed, h_gate_up, gate_up, gated,
        activated, h_down,
    )  # fmt: skip
    return result, tape


def _project(
    decoder: Decoder, group: Group, pair: Pair | None, normed: Tensor, picked: Tensor | None
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Return all projections twice, or with `picked` tokens their queries, and keys with values; and the adapters' inner values."""
    if picked is None:
        y, h = _linear(normed, group.weight, group.bias, pair)
        return y, y, (h,)
    split = decoder.heads * decoder.head_dim
    q_part, kv_part = _split_pair(pair, split) if pair else (None, None)
    bias_q, bias_kv = (None, None) if group.bias is None else (group.bias[:split], group.bias[split:])
    q, h_q = _linear(normed[picked], group.weight[:split], bias_q, q_part)
    kv, h_kv = _linear(normed, group.weight[split:], bias_kv, kv_part)
    return q, kv, (h_q, h_kv)


def _rotate_projections(
    decoder: Decoder, block: Block, q: Tensor, kv: Tensor, cos: Tensor, sin: Tensor, picked: Tensor | None
) -> tuple[Tensor | None, Tensor | None]:
    """Norm (where the layer does) and rotate queries and keys in place; return them as they were before their norms."""
    heads, kv_heads, width = decoder.heads, decoder.kv_heads, decoder.head_dim
    if picked is None:
        both = q.view(-1, heads + 2 * kv_heads, width)[:, : heads + kv_heads]
        raw = _norm_heads(decoder, block, both[:, :heads], both[:, heads:])
        _rotate(both, cos, sin, 1.0)
        return raw
    queries, keys = q.view(-1, heads, width), kv.view(-1, 2 * kv_heads, width)[:, :kv_heads]
    raw = _norm_heads(decoder, block, queries, keys)
    _rotate(queries, cos[picked], sin[picked], 1.0)
    _rotate(keys, cos, sin, 1.0)
    return raw


def _norm_heads(decoder: Decoder, block: Block, q: Tensor, k: Tensor) -> tuple[Tensor | None, Tensor | None]:
    if block.norm_q is None or block.norm_k is None:
        return None, None
    raw_q, raw_k = q.clone(), k.clone()
    q.copy_(_norm(raw_q, block.norm_q, decoder.eps)[0])
    k.copy_(_norm(raw_k, block.norm_k, decoder.eps)[0])
    return raw_q, raw_k


def _split_pair(pair: Pair, split: int) -> tuple[Pair, Pair]:
    """Return the adapters of the queries, and those of keys and values."""
    rank = pair.a.shape[1] // 3
    return pair.part(slice(0, split), slice(0, rank)), pair.part(slice(split, None), slice(rank, None))


def backward(decoder: Decoder, adapters: list[BlockAdapters], grads: list[BlockAdapters], packed: Packed, tape: Tape, grad: Tensor) -> None:
    """Write the adapters' gradients into `grads`, from that of the last hidden states [K * P, width].

    `grads[...].b` are those of the scaled b; entries between members of a group are not zero and must be masked.
    """
    dx = _norm_backward(grad, tape.x, tape.x_scale, decoder.norm)
    for number in range(len(decoder.blocks) - 1, -1, -1):
        last, first = number == len(decoder.blocks) - 1, number == 0
        dx = _layer_backward(
            decoder, decoder.blocks[number], adapters[number], grads[number], packed, tape, tape.layers[number], dx, last, first
        )
        tape.layers.pop()


def _layer_backward(
    decoder: Decoder,
    block: Block,
    adapters: BlockAdapters,
    grads: BlockAdapters,
    packed: Packed,
    whole: Tape,
    tape: _Tape,
    dx: Tensor,
    last: bool,
    first: bool,
) -> Tensor:
    plan = packed.last if last else packed.full
    d_activated = _linear_backward(dx, tape.activated, tape.h_down, block.down.weight, adapters[3], grads[3], True)
    inner = d_activated.shape[1]
    d_gate_up = torch.empty_like(tape.gate_up)
    torch.mul(d_activated, tape.gated, out=d_gate_up[:, inner:])
    d_gated = d_activated.mul_(tape.gate_up[:, inner:])
    torch.ops.aten.silu_backward.grad_input(d_gated, tape.gate_up[:, :inner], grad_input=d_gate_up[:, :inner])
    d_normed = _linear_backward(d_gate_up, tape.middle_normed, tape.h_gate_up, block.gate_up.weight, adapters[2], grads[2], True)
    d_middle = _norm_backward(d_normed, tape.middle, tape.middle_scale, block.norm_mlp).add_(dx)
    d_mixed = _linear_backward(d_middle, tape.mixed, tape.h_out, block.out.weight, adapters[1], grads[1], True)
    d_in = _projections_backward(
        decoder,
        block,
        adapters[0],
        grads[0],
        packed,
        whole,
        tape,
        attend_backward(d_mixed, tape.attention, plan, decoder.scale),
        wanted=not first,
    )
    if first:
        return d_in
    d_x = _norm_backward(d_in, tape.x, tape.x_scale, block.norm_attention)
    if last:
        return d_x.index_add_(0, packed.picked, d_middle)
    return d_x.add_(d_middle)


def _projections_backward(
    decoder: Decoder,
    block: Block,
    pair: Pair,
    grads: Pair,
    packed: Packed,
    whole: Tape,
    tape: _Tape,
    d_heads: list[Tensor],
    *,
    wanted: bool,
) -> Tensor:
    """Go back through rotation, head norms and projections; return the gradient of the normed input where it is wanted."""
    heads, kv_heads, width = decoder.heads, decoder.kv_heads, decoder.head_dim
    group = block.qkv
    if len(d_heads) == 1:
        every = d_heads[0].view(-1, heads + 2 * kv_heads, width)
        _rotate(every[:, : heads + kv_heads], whole.cos, whole.sin, -1.0)
        _norm_heads_backward(decoder, block, every[:, :heads], every[:, heads : heads + kv_heads], tape)
        return _linear_backward(every.flatten(1), tape.normed, tape.h_qkv[0], group.weight, pair, grads, wanted)
    picked = packed.picked
    queries, keys_values = d_heads[0].view(-1, heads, width), d_heads[1].view(-1, 2 * kv_heads, width)
    keys = keys_values[:, :kv_heads]
    _rotate(queries, whole.cos[picked], whole.sin[picked], -1.0)
    _rotate(keys, whole.cos, whole.sin, -1.0)
    _norm_heads_backward(decoder, block, queries, keys, tape)
    split = heads * width
    (q_pair, kv_pair), (q_grads, kv_grads) = _split_pair(pair, split), _split_pair(grads, split)
    d_kv = _linear_backward(keys_values.flatten(1), tape.normed, tape.h_qkv[1], group.weight[split:], kv_pair, kv_grads, wanted)
    d_q = _linear_backward(queries.flatten(1), tape.normed[picked], tape.h_qkv[0], group.weight[:split], q_pair, q_grads, wanted)
    return d_kv.index_add_(0, picked, d_q) if wanted else d_kv


def _norm_heads_backward(decoder: Decoder, block: Block, dq: Tensor, dk: Tensor, tape: _Tape) -> None:
    for grad, raw, weight in ((dq, tape.raw_q, block.norm_q), (dk, tape.raw_k, block.norm_k)):
        if raw is not None and weight is not None:
            scale = raw.float().square().mean(-1, keepdim=True).add_(decoder.eps).rsqrt_()
            grad.copy_(_norm_backward(grad, raw, scale, weight))


def plain_hidden(decoder: Decoder, ids: Tensor) -> Tensor:
    """Return all last hidden states [rows, tokens, width] of the base alone for ids [rows, tokens]."""
    rows = [Row(row.cpu().numpy().astype(np.int32), np.arange(ids.shape[1])) for row in ids]
    packed = pack([rows], -1, decoder.heads, decoder.kv_heads, ids.device)
    hidden, _ = forward(decoder, None, packed, decoder.embed[packed.input_ids], keep=False)
    return hidden.view(*ids.shape, -1)
