"""The forward pass over packed rows: log-probabilities of the label tokens only."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import Idefics3ForConditionalGeneration

from proxy_training.bundled.packing import IGNORED, PackedRows


def label_log_probs(model: Idefics3ForConditionalGeneration, features: Tensor, rows: PackedRows) -> Tensor:
    """Return the log-probability of every label token, in row order, [labels]; `features` [rows, image tokens, width] are the images."""
    device = model.device
    ids, labels = torch.from_numpy(rows.ids).to(device), torch.from_numpy(rows.labels).to(device)
    words = model.get_input_embeddings()(ids)
    embeds = words.masked_scatter((ids == model.config.image_token_id)[..., None], features.to(words.dtype))
    hidden = model.model.text_model(
        inputs_embeds=embeds,
        attention_mask=torch.from_numpy(visible(rows)).to(device),
        position_ids=torch.from_numpy(rows.positions).to(device),
        use_cache=False,
    ).last_hidden_state
    asked = labels[:, 1:] != IGNORED
    logits = model.lm_head(hidden[:, :-1][asked]).float()
    return torch.log_softmax(logits, -1).gather(-1, labels[:, 1:][asked][:, None])[:, 0]


def image_features(model: Idefics3ForConditionalGeneration, images: NDArray[np.uint8]) -> Tensor:
    """Return the connector's output for images [rows, side, side, 3] of bytes, [rows, tokens, width]."""
    pixels = torch.tensor(images).to(model.device).permute(0, 3, 1, 2).float() / 127.5 - 1
    side = images.shape[1] // model.config.vision_config.patch_size
    patches = torch.ones(len(images), side, side, dtype=torch.bool, device=model.device)
    seen = model.model.vision_model(pixel_values=pixels, patch_attention_mask=patches).last_hidden_state
    features: Tensor = model.model.connector(seen)
    return features


def visible(rows: PackedRows) -> NDArray[np.bool_]:
    """Return which token sees which, [rows, 1, length, length]: earlier ones of the image, of the same block, or of a chained row."""
    seer, seen = rows.blocks[:, :, None], rows.blocks[:, None, :]
    earlier = np.tri(rows.blocks.shape[1], dtype=np.bool_)
    allowed: NDArray[np.bool_] = (earlier & ((seen == 0) | (seen == seer) | rows.chained[:, None, None]))[:, None]
    return allowed
