"""Scores of adapters on items laid out once: the same rows as the reference's, without padding, scored tokens alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from proxy_training.evaluation import ItemRow
from proxy_training.families.base import LoadedBase
from proxy_training.peft_backend import ImageFeatures
from proxy_training.stack.decoder import Decoder
from proxy_training.stack.packing import Packed, Row, pack
from proxy_training.stack.passes import BlockAdapters, forward
from proxy_training.stack.training import embed

TOKENS_PER_BATCH = 1024


@dataclass(frozen=True, slots=True)
class ScoreBatch:
    """Packed rows; entry i scores `targets[i]` behind picked token `predictors[i]` for candidate `owners[i]`."""

    packed: Packed
    predictors: Tensor
    targets: Tensor
    owners: Tensor


def lay_out_packed(rows: Sequence[ItemRow], starts: NDArray[np.int64], base: LoadedBase, decoder: Decoder) -> tuple[ScoreBatch, ...]:
    """Cut item rows, sorted by width, into packed batches; a function of the items alone."""
    batches, chunk, tokens = [], list[ItemRow](), 0
    for row in sorted(rows, key=lambda r: (r.width(), r.item)):
        if chunk and tokens + row.width() > TOKENS_PER_BATCH:
            batches.append(_batch(chunk, starts, base, decoder))
            chunk, tokens = [], 0
        chunk.append(row)
        tokens += row.width()
    if chunk:
        batches.append(_batch(chunk, starts, base, decoder))
    return tuple(batches)


def _batch(rows: Sequence[ItemRow], starts: NDArray[np.int64], base: LoadedBase, decoder: Decoder) -> ScoreBatch:
    packed_rows = []
    predictors, targets, owners = list[int](), list[int](), list[int]()
    picks = 0
    for row in rows:
        p, width = len(row.prompt), row.width()
        fed = [len(candidate) - 1 for candidate in row.candidates]
        allowed = np.zeros((width, width), bool)
        allowed[:p, :p] = np.tri(p, dtype=bool)
        positions = np.arange(width)
        at, pick = p, picks + 1
        for c, candidate in enumerate(row.candidates):
            stop = at + fed[c]
            positions[at:stop] = p + np.arange(fed[c])
            allowed[at:stop, :p] = True
            allowed[at:stop, at:stop] = np.tri(fed[c], dtype=bool)
            predictors += [picks, *range(pick, pick + fed[c])]
            targets += candidate.tolist()
            owners += [int(starts[row.item]) + c] * len(candidate)
            at, pick = stop, pick + fed[c]
        ids = np.concatenate([row.prompt, *(candidate[:-1] for candidate in row.candidates)]).astype(np.int32)
        picked = np.arange(p - 1, width)
        picks += len(picked)
        packed_rows.append(Row(ids, picked, row.images, positions, None if sum(fed) == 0 or len(row.candidates) == 1 else allowed))
    device = base.device
    return ScoreBatch(
        pack([packed_rows], base.image_token_id, decoder.heads, decoder.kv_heads, device),
        torch.tensor(predictors, device=device),
        torch.tensor(targets, device=device),
        torch.tensor(owners, device=device),
    )


@torch.no_grad()
def candidate_log_probabilities(
    image_features: ImageFeatures,
    decoder: Decoder,
    adapters: list[BlockAdapters] | None,
    batches: Sequence[ScoreBatch],
    n: int,
    device: torch.device,
) -> NDArray[np.float64]:
    """Return for each of `n` candidates the summed log-probability of its tokens and the end token, in nats."""
    sums = torch.zeros(n, dtype=torch.float64, device=device)
    for batch in batches:
        hidden, _ = forward(decoder, adapters, batch.packed, embed(image_features, decoder, batch.packed), keep=False)
        logits = F.linear(hidden, decoder.head, decoder.head_bias).float()
        norms = logits.logsumexp(-1)
        picked = logits[batch.predictors, batch.targets] - norms[batch.predictors]
        sums.index_add_(0, batch.owners, picked.double())
    return sums.cpu().numpy()
