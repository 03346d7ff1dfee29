"""Padded batches of encoded conversations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from proxy_training.chat import Encoded


@dataclass(frozen=True, slots=True)
class Example:
    """An encoded conversation and the content keys of its images, in order."""

    encoded: Encoded
    images: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows padded on the right. Position i of `targets` is what follows hidden state `predictors[i]` (row, token)."""

    input_ids: Tensor  # [rows, tokens]
    images: tuple[str, ...]  # of all rows, in order
    predictors: Tensor  # [labels] indices into rows * tokens
    targets: Tensor  # [labels]
    tokens: int  # without padding
    allowed: Tensor | None = None  # [rows, 1, tokens, tokens] what sees what, where that is not causal


def collate(examples: Sequence[Example], pad_token_id: int, device: torch.device) -> Batch:
    """Pad a step's examples; padding sits behind every label, so causal attention never sees it."""
    width = max(len(example.encoded.input_ids) for example in examples)
    ids = np.full((len(examples), width), pad_token_id, np.int64)
    labels = np.zeros((len(examples), width), bool)
    for i, example in enumerate(examples):
        n = len(example.encoded.input_ids)
        ids[i, :n] = example.encoded.input_ids
        labels[i, 1:n] = example.encoded.is_label[1:]  # nothing predicts a row's first token
    places = np.flatnonzero(labels)
    prompts = [example.encoded.both_ways for example in examples]
    return Batch(
        input_ids=torch.from_numpy(ids).to(device),
        images=tuple(key for example in examples for key in example.images),
        predictors=torch.from_numpy(places - 1).to(device),
        targets=torch.from_numpy(ids.reshape(-1)[places]).to(device),
        tokens=sum(len(example.encoded.input_ids) for example in examples),
        allowed=prefix_mask(prompts, width, device) if any(prompts) else None,
    )


def prefix_mask(prompts: Sequence[int], width: int, device: torch.device) -> Tensor:
    """Return what sees what [rows, 1, width, width]: each row's prompt of so many tokens all of itself, all else what is before it."""
    numbers = torch.arange(width)
    in_prompt = numbers < torch.tensor(prompts)[:, None]
    return ((numbers[:, None] >= numbers) | in_prompt[:, None])[:, None].to(device)
