"""Rows of several slots laid end to end without padding between them; only attention sees them as padded rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MASKED = -1e30  # finite: a row of the softmax that sees nothing must not become NaN


@dataclass(frozen=True, slots=True)
class Row:
    """One row to run: `ids` [tokens]; `positions` [tokens]; `picked` the tokens whose last hidden state is wanted, ascending.

    `allowed` [tokens, tokens] says which tokens each one sees; None is causal.
    """

    ids: NDArray[np.int32]
    picked: NDArray[np.int64]
    images: tuple[str, ...] = ()
    positions: NDArray[np.int64] | None = None
    allowed: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class AttentionPlan:
    """How packed heads become padded rows [rows, heads, tokens, head_dim] and back, as gathers of vectors of head_dim.

    All gathers are flat: `gather_*` over packed [n * heads], `back_*` over the padded rows' [rows * heads * tokens] with one
    zero vector behind them, for packed places that no row holds.
    """

    rows: int
    queries: int  # of a row, padded
    keys: int
    gather_q: Tensor  # from projections: all of a token's heads, or with picked queries the queries alone
    gather_kv: Tensor
    back: tuple[Tensor, ...]  # to projections: (all,) or with picked queries (queries, keys and values)
    gather_out: Tensor  # from outputs [packed queries * heads]
    back_out: Tensor
    is_query: Tensor | None  # [rows, 1, queries, 1] 1 where a query is real; None: everywhere
    mask: Tensor | None  # additive [rows, 1, queries, keys] fp32; None: causal with queries == keys


@dataclass(frozen=True, slots=True)
class Packed:
    """K slots of N tokens each, and of P picked tokens each (the shorter ones filled up with tokens nobody looks at)."""

    slots: int
    per_slot: int
    picked_per_slot: int
    input_ids: Tensor  # [K * N]
    position_ids: Tensor  # [K * N]
    image_places: Tensor  # [image tokens] packed token numbers
    images: tuple[str, ...]
    picked: Tensor  # [K * P] packed token numbers
    full: AttentionPlan
    last: AttentionPlan  # queries are the picked tokens
    tokens: int  # real ones


def pack(slots: Sequence[Sequence[Row]], image_token_id: int, heads: int, kv_heads: int, device: torch.device) -> Packed:
    """Lay out the rows of each slot.

    Args:
        slots: for each slot its rows; a slot may have none.
        image_token_id: the id whose places take image features.
        heads: query heads of the decoder.
        kv_heads: its key and value heads.
        device: where the tensors go.
    """
    n = max(1, max(sum(len(row.ids) for row in rows) for rows in slots))
    p = max(1, max(sum(len(row.picked) for row in rows) for rows in slots))
    ids = np.zeros(len(slots) * n, np.int64)
    positions = np.zeros(len(slots) * n, np.int64)
    places: list[tuple[Row, int, int]] = []  # row, first packed token, first packed picked token
    picked = np.concatenate([np.full(p, slot * n) for slot in range(len(slots))])
    for slot, rows in enumerate(slots):
        token, pick = slot * n, slot * p
        for row in rows:
            stop = token + len(row.ids)
            ids[token:stop] = row.ids
            positions[token:stop] = np.arange(len(row.ids)) if row.positions is None else row.positions
            picked[pick : pick + len(row.picked)] = token + row.picked
            places.append((row, token, pick))
            token, pick = stop, pick + len(row.picked)
    is_image = ids == image_token_id
    return Packed(
        slots=len(slots),
        per_slot=n,
        picked_per_slot=p,
        input_ids=torch.from_numpy(ids).to(device),
        position_ids=torch.from_numpy(positions).to(device),
        image_places=torch.from_numpy(np.flatnonzero(is_image)).to(device),
        images=tuple(key for row, _, _ in places for key in row.images),
        picked=torch.from_numpy(picked).to(device),
        full=_plan(places, len(slots) * n, None, heads, kv_heads, device),
        last=_plan(places, len(slots) * n, len(slots) * p, heads, kv_heads, device),
        tokens=sum(len(row.ids) for row, _, _ in places),
    )


def _plan(
    places: Sequence[tuple[Row, int, int]], tokens: int, picks: int | None, heads: int, kv_heads: int, device: torch.device
) -> AttentionPlan:
    """Plan attention of all tokens, or with `picks` given of the picked ones alone."""
    rows = len(places)
    keys = max((len(row.ids) for row, _, _ in places), default=1)
    queries = keys if picks is None else max((len(row.picked) for row, _, _ in places), default=1)
    packed_queries = tokens if picks is None else picks
    key_index = np.zeros((rows, keys), np.int64)  # packed token of each padded place
    query_index = np.zeros((rows, queries), np.int64)
    key_place = np.full((tokens, 2), -1)  # row and place of each packed token
    query_place = np.full((packed_queries, 2), -1)
    is_query = np.zeros((rows, 1, queries, 1), np.float32)
    causal = picks is None and all(row.allowed is None for row, _, _ in places)
    mask = None if causal else np.full((rows, 1, queries, keys), MASKED, np.float32)
    for r, (row, token, pick) in enumerate(places):
        t = len(row.ids)
        first, asked = (token, np.arange(t)) if picks is None else (pick, row.picked)
        q = len(asked)
        key_index[r], query_index[r] = token, first  # padding repeats its own row: a slot's NaN stays in its rows
        key_index[r, :t] = np.arange(token, token + t)
        query_index[r, :q] = np.arange(first, first + q)
        key_place[token : token + t, 0], key_place[token : token + t, 1] = r, np.arange(t)
        query_place[first : first + q, 0], query_place[first : first + q, 1] = r, np.arange(q)
        is_query[r, :, :q] = 1.0
        if mask is not None:
            seen = np.arange(t) <= asked[:, None] if row.allowed is None else row.allowed[asked]
            mask[r, 0, :q, :t][seen] = 0.0
    every = heads + 2 * kv_heads
    q_stride = every if picks is None else heads
    kv_stride, k_first = (every, heads) if picks is None else (2 * kv_heads, 0)
    gather_kv = [_gather(key_index, kv_stride, k_first + part * kv_heads, kv_heads) for part in (0, 1)]
    back_q, back_k = _back(query_place, rows, queries, heads), _back(key_place, rows, keys, kv_heads)
    back: tuple[NDArray[np.int64], ...]
    if picks is None:
        back = (_joined([back_q, back_k, back_k], [rows * queries * heads, rows * keys * kv_heads, rows * keys * kv_heads]),)
    else:
        back = (back_q, _joined([back_k, back_k], [rows * keys * kv_heads] * 2))

    def tensor(*parts: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(np.concatenate([part.reshape(-1) for part in parts])).to(device)

    return AttentionPlan(
        rows,
        queries,
        keys,
        gather_q=tensor(_gather(query_index, q_stride, 0, heads)),
        gather_kv=tensor(*gather_kv),
        back=tuple(tensor(part) for part in back),
        gather_out=tensor(_gather(query_index, heads, 0, heads)),
        back_out=tensor(back_q),
        is_query=None if is_query.all() else torch.from_numpy(is_query).to(device),
        mask=None if mask is None else torch.from_numpy(mask).to(device),
    )


def _gather(index: NDArray[np.int64], stride: int, first: int, heads: int) -> NDArray[np.int64]:
    """Return [rows, heads, places] flat numbers of the vectors of packed tokens `index` [rows, places]."""
    numbers: NDArray[np.int64] = index[:, None, :] * stride + first + np.arange(heads)[None, :, None]
    return numbers


def _back(place: NDArray[np.int64], rows: int, places: int, heads: int) -> NDArray[np.int64]:
    """Return [packed, heads] flat numbers of padded vectors, or one behind the end where no row holds the packed place."""
    numbers = (place[:, :1] * heads + np.arange(heads)) * places + place[:, 1:]
    return np.where(place[:, :1] < 0, rows * heads * places, numbers)


def _joined(parts: Sequence[NDArray[np.int64]], sizes: Sequence[int]) -> NDArray[np.int64]:
    """Return flat numbers [packed, heads of all] into padded tensors laid one behind the other."""
    starts = np.cumsum([0, *sizes])
    return np.concatenate(
        [np.where(part == size, starts[-1], part + start) for part, size, start in zip(parts, sizes, starts[:-1], strict=True)], axis=1
    )
