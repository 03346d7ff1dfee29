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
    """How packed tokens become padded rows and back; entries of `back` that no row holds point behind the last one."""

    rows: int
    queries: int  # of a row, padded
    keys: int
    query_index: Tensor  # [rows * queries] packed query numbers
    key_index: Tensor  # [rows * keys] packed token numbers
    query_back: Tensor  # [packed queries] places in rows * queries
    key_back: Tensor  # [packed tokens] places in rows * keys
    mask: Tensor | None  # additive [rows or 1, queries, keys] fp32; None: causal with queries == keys


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


def pack(slots: Sequence[Sequence[Row]], image_token_id: int, device: torch.device) -> Packed:
    """Lay out the rows of each slot.

    Args:
        slots: for each slot its rows; a slot may have none.
        image_token_id: the id whose places take image features.
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
        full=_plan(places, len(slots) * n, None, device),
        last=_plan(places, len(slots) * n, len(slots) * p, device),
        tokens=sum(len(row.ids) for row, _, _ in places),
    )


def _plan(places: Sequence[tuple[Row, int, int]], tokens: int, picks: int | None, device: torch.device) -> AttentionPlan:
    """Plan attention of all tokens, or with `picks` given of the picked ones alone."""
    rows = len(places)
    keys = max((len(row.ids) for row, _, _ in places), default=1)
    queries = keys if picks is None else max((len(row.picked) for row, _, _ in places), default=1)
    key_index = np.zeros((rows, keys), np.int64)
    query_index = np.zeros((rows, queries), np.int64)
    key_back = np.full(tokens, rows * keys)
    query_back = np.full(tokens if picks is None else picks, rows * queries)
    causal = picks is None and all(row.allowed is None for row, _, _ in places)
    mask = None if causal else np.full((rows, queries, keys), MASKED, np.float32)
    for r, (row, token, pick) in enumerate(places):
        t = len(row.ids)
        first, asked = (token, np.arange(t)) if picks is None else (pick, row.picked)
        key_index[r], query_index[r] = token, first  # padding repeats its own row: a slot's NaN stays in its rows
        key_index[r, :t] = np.arange(token, token + t)
        key_back[token : token + t] = r * keys + np.arange(t)
        query_index[r, : len(asked)] = np.arange(first, first + len(asked))
        query_back[first : first + len(asked)] = r * queries + np.arange(len(asked))
        if mask is not None:
            seen = np.arange(t) <= asked[:, None] if row.allowed is None else row.allowed[asked]
            mask[r, : len(asked), :t][seen] = 0.0
    return AttentionPlan(
        rows,
        queries,
        keys,
        torch.from_numpy(query_index.reshape(-1)).to(device),
        torch.from_numpy(key_index.reshape(-1)).to(device),
        torch.from_numpy(query_back).to(device),
        torch.from_numpy(key_back).to(device),
        None if mask is None else torch.from_numpy(mask).to(device),
    )
