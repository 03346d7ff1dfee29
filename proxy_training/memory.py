"""What a probe's process holds in memory, worked out from the model's config and files before anything is loaded. Torch-free.

Counted are the tensors: the frozen weights, an adapter with its gradient and AdamW's two moments in fp32, and the largest training step's
activations, which are what backward keeps of each layer of the language model, and the logits of the label tokens.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy_training.jobs import Precision, Recipe, Scope

HEADER_LIMIT = 100_000_000  # bytes of a safetensors header
BYTES = {Precision.FP32: 4, Precision.BF16: 2}
ADAM_BYTES = 16  # a trained value, its gradient and two moments, each in fp32
LOGIT_COPIES = 3  # logits, what the softmax keeps, and their gradient
LAST_LAYER_SAVED = 0.6  # of a layer
LONGEST_PLAIN = 192  # keys up to which the stack keeps attention's probabilities on a CPU


@dataclass(frozen=True, slots=True)
class Step:
    """The largest step of a training: tokens with padding, the longest row, and label tokens."""

    tokens: int
    width: int
    labels: int


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """Bytes of one process."""

    weights: int
    adapters: int  # with gradients and the optimiser's moments
    activations: int

    @property
    def total(self) -> int:
        """Return all together."""
        return self.weights + self.adapters + self.activations


def memory_need(folder: Path, recipe: Recipe, step: Step, slots: int = 1, *, stacked: bool = False) -> MemoryNeed:
    """Work out what one process needs.

    Args:
        folder: of the model.
        recipe: scope, rank and precision.
        step: the largest step of one probe.
        slots: probes at once.
        stacked: whether the stack runs it, which computes of the last layer little more than keys and values.
    """
    shape = _Shape.read(folder)
    parameters = sum(math.prod(tensor) for tensor in tensor_shapes(folder).values())
    wide = BYTES[recipe.precision]
    trained = shape.language_weights() if recipe.scope is Scope.FULL_LANGUAGE else recipe.rank * shape.lora_rows()
    if recipe.scope is Scope.LORA_ALL:  # the tower is trained too, and its activations are kept: as many a token, to a first estimate
        trained *= 2
    factor = 2 if recipe.scope is Scope.LORA_ALL else 1
    layers = shape.layers - LAST_LAYER_SAVED if stacked else shape.layers
    kept = int(step.tokens * layers * shape.kept_bytes(recipe, step.width, stacked)) * factor
    passing = step.tokens * (2 * shape.inner + 2 * shape.width) * wide  # of the layer at work, and of the embeddings
    logits = step.labels * shape.vocabulary * 4 * LOGIT_COPIES
    return MemoryNeed(parameters * wide, trained * ADAM_BYTES * slots, (kept + passing + logits) * slots)


@dataclass(frozen=True, slots=True)
class _Shape:
    """Sizes of a language model."""

    layers: int
    width: int
    inner: int
    queries: int
    keys: int
    heads: int
    vocabulary: int
    capped: bool  # attention scores are capped, which no fused kernel does: scores, capped scores and probabilities are kept

    @classmethod
    def read(cls, folder: Path) -> _Shape:
        from transformers import AutoConfig  # fills in what a config leaves to its class

        text: Any = AutoConfig.from_pretrained(folder, trust_remote_code=False).get_text_config()
        width, heads = int(text.hidden_size), int(text.num_attention_heads)
        head = int(getattr(text, "head_dim", None) or width // heads)
        kv_heads = int(getattr(text, "num_key_value_heads", None) or heads)
        inner = int(getattr(text, "intermediate_size", None) or 4 * width)
        capped = bool(getattr(text, "attn_logit_softcapping", None))
        return cls(int(text.num_hidden_layers), width, inner, heads * head, kv_heads * head, heads, int(text.vocab_size), capped)

    def lora_rows(self) -> int:
        """Return the parameters of adapters of rank 1 on all seven linear layers."""
        attention = 2 * (self.width + self.queries) + 2 * (self.width + self.keys)
        return self.layers * (attention + 3 * (self.width + self.inner))

    def language_weights(self) -> int:
        """Return the weights of the layers and the embeddings."""
        a_layer = 2 * self.width * (self.queries + self.keys) + 3 * self.width * self.inner
        return self.layers * a_layer + self.vocabulary * self.width

    def kept_bytes(self, recipe: Recipe, row: int, stacked: bool) -> int:
        """Return what a layer keeps of a token for backward, for rows of so many tokens."""
        values = 4 * self.width + 4 * self.queries + 2 * self.keys + 4 * self.inner + 7 * recipe.rank
        if self.capped:
            values += 3 * self.heads * row
        elif stacked and row <= LONGEST_PLAIN:
            values += self.heads * row
        if recipe.precision is Precision.FP32:
            return 4 * values
        in_fp32 = 4 * self.width + self.queries + self.inner  # norms' and adapters' inputs
        return 2 * values + 4 * in_fp32


def tensor_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a folder's weights, from the files' headers alone.

    Raises:
        ValueError: a file is not in safetensors format.
    """
    found: dict[str, tuple[int, ...]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with open(path, "rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
            if length > HEADER_LIMIT:
                raise ValueError(f"{path.name} is no safetensors file")
            header = json.loads(handle.read(length))
        found |= {name: tuple(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}
    return found


def feature_bytes(folder: Path, precision: Precision, image_tokens: int) -> int:
    """Return what the features of so many image tokens take on disk."""
    return image_tokens * _Shape.read(folder).width * BYTES[precision]
