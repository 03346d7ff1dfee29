"""Answers by greedy generation, from kept image features: slower than scoring the choices, and what a user of the model sees.

Prompts are those of the scores (`proxy_training.evaluation`), so the two differ in how an answer is found and in nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from proxy_training.batches import prefix_mask
from proxy_training.evaluation import ItemRow
from proxy_training.families.base import LoadedBase
from proxy_training.jobs import EvalSet
from proxy_training.preparation import Preparation

TOKENS_PER_BATCH = 8192


def generated_texts(
    base: LoadedBase, preparation: Preparation, image_features: Callable[[Sequence[str]], Tensor], benchmark: EvalSet, most: int
) -> dict[int, str]:
    """Return what a model, its adapter in place, answers to each item that has its images, in at most `most` tokens."""
    base.model.eval()
    return decoded(preparation, generate(base, image_features, preparation.question_rows(benchmark), most))


def decoded(preparation: Preparation, found: Mapping[int, NDArray[np.int32]]) -> dict[int, str]:
    """Return generated tokens as texts, by item."""
    decode = preparation.encoder.tokenizer.decode
    return {item: decode(tokens.tolist()) for item, tokens in found.items()}


@torch.no_grad()
def generate(
    base: LoadedBase, image_features: Callable[[Sequence[str]], Tensor], rows: Sequence[ItemRow], most: int
) -> dict[int, NDArray[np.int32]]:
    """Return for each row's item the greedily generated tokens, without the end token.

    Args:
        base: the model, with the adapter in place.
        image_features: keys -> features of all images in order [tokens, width].
        rows: encoded items.
        most: tokens of an answer.
    """
    found = {}
    for chunk in _batches(rows, equal=bool(base.not_plain)):
        for row, tokens in zip(chunk, _greedy(base, image_features, chunk, most), strict=True):
            found[row.item] = tokens
    return found


def _batches(rows: Sequence[ItemRow], equal: bool) -> Iterator[list[ItemRow]]:
    """Cut rows, sorted by length, into batches; `equal` ones where padding in front would be more than what nobody looks at."""
    chunk: list[ItemRow] = []
    for row in sorted(rows, key=lambda r: (len(r.prompt), r.item)):
        other = equal and chunk and len(chunk[0].prompt) != len(row.prompt)
        if chunk and (other or (len(chunk) + 1) * len(row.prompt) > TOKENS_PER_BATCH):
            yield chunk
            chunk = []
        chunk.append(row)
    if chunk:
        yield chunk


def _greedy(
    base: LoadedBase, image_features: Callable[[Sequence[str]], Tensor], rows: Sequence[ItemRow], most: int
) -> list[NDArray[np.int32]]:
    width = max(len(row.prompt) for row in rows)
    ids = torch.full((len(rows), width), base.pad_token_id)
    seen = torch.zeros(len(rows), width, dtype=torch.long)
    for r, row in enumerate(rows):  # padded on the left, so that every prompt ends where the answer begins
        ids[r, width - len(row.prompt) :] = torch.from_numpy(row.prompt.astype(np.int64))
        seen[r, width - len(row.prompt) :] = 1
    ids, seen = ids.to(base.device), seen.to(base.device)
    ends = torch.tensor([int(row.candidates[0][-1]) for row in rows], device=base.device)
    language = base.model.get_submodule(base.language_prefix())
    embed = language.get_input_embeddings()
    features = image_features([key for row in rows for key in row.images])
    numbers = (seen.cumsum(1) - 1).clamp_min(0)
    inputs, shift = base.language_inputs(ids, features, numbers)
    positions = numbers[:, -1:] + shift[:, None]
    cache, mask = None, None
    if base.not_plain:  # rows of one length, without padding
        mask = base.attention(ids, prefix_mask([width] * len(rows), width, base.device) if rows[0].both_ways else None, None)
    running = torch.ones(len(rows), dtype=torch.bool, device=base.device)
    steps: list[Tensor] = []
    while len(steps) < most and bool(running.any()):
        out = language(**inputs, attention_mask=seen if mask is None else mask, past_key_values=cache, use_cache=True)
        cache, mask = out.past_key_values, None
        token = base.logits(out.last_hidden_state[:, -1].to(base.device)).argmax(-1)
        running &= token != ends
        steps.append(torch.where(running, token, -1))
        positions = positions + 1
        inputs = {"inputs_embeds": embed(token[:, None]), "position_ids": positions}
        seen = torch.cat([seen, seen.new_ones(len(rows), 1)], 1)
    found = torch.stack(steps, 1).cpu().numpy().astype(np.int32) if steps else np.zeros((len(rows), 0), np.int32)
    return [tokens[tokens >= 0] for tokens in found]
