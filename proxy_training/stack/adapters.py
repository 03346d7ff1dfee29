"""K adapters in flat buffers [K, parameters]: where each matrix lies, how it starts, and standard PEFT folders out of it and in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from proxy_training.jobs import Recipe
from proxy_training.stack.decoder import Decoder, Group
from proxy_training.stack.passes import BlockAdapters, Pair

WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."  # of PEFT's names


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a group's matrices lie in a slot's flat row: `a` [members * rank, in] and `b` [out, members * rank]."""

    group: Group
    a: int
    b: int
    end: int


class AdapterLayout:
    """The flat layout of one adapter of `rank` on all linear layers of a decoder."""

    def __init__(self, decoder: Decoder, rank: int) -> None:
        self.decoder = decoder
        self.rank = rank
        self.places: list[_Place] = []
        at = 0
        for group in decoder.groups():
            ranks = rank * len(group.members)
            b = at + ranks * group.width_in
            end = b + ranks * group.width_out
            self.places.append(_Place(group, at, b, end))
            at = end
        self.size = at

    def pairs(self, flat: Tensor) -> list[BlockAdapters]:
        """Return views of flat [K, size] as each block's adapters."""
        slots = flat.shape[0]
        pairs = []
        for place in self.places:
            ranks = self.rank * len(place.group.members)
            a = flat[:, place.a : place.b].view(slots, ranks, place.group.width_in)
            b = flat[:, place.b : place.end].view(slots, place.group.width_out, ranks)
            pairs.append(Pair(a, b))
        return [(pairs[i], pairs[i + 1], pairs[i + 2], pairs[i + 3]) for i in range(0, len(pairs), 4)]

    def factor(self, rank: int, scale: float) -> Tensor:
        """Return what each stored value counts for [size]: `scale` in `b`, 1 in `a`, 0 between members and beyond `rank`."""
        factor = torch.zeros(1, self.size)
        for place, pair in zip(self.places, _flatten(self.pairs(factor)), strict=True):
            for member, (start, stop) in enumerate(place.group.bounds()):
                at = member * self.rank
                pair.a[0, at : at + rank] = 1.0
                pair.b[0, start:stop, at : at + rank] = scale
        return factor[0]

    def put(self, row: Tensor, weights: Mapping[str, Tensor]) -> None:
        """Write an adapter, by PEFT names, into a zeroed flat row [size].

        Raises:
            KeyError: a weight is missing.
        """
        for place, pair in zip(self.places, _flatten(self.pairs(row[None])), strict=True):
            for member, (name, (start, stop)) in enumerate(zip(place.group.members, place.group.bounds(), strict=True)):
                a, b = weights[f"{PREFIX}{name}.lora_A.weight"], weights[f"{PREFIX}{name}.lora_B.weight"]
                at = member * self.rank
                pair.a[0, at : at + a.shape[0]] = a.to(row)
                pair.b[0, start:stop, at : at + a.shape[0]] = b.to(row)

    def take(self, row: Tensor, rank: int) -> dict[str, Tensor]:
        """Return the adapter of a flat row [size] by PEFT names, on the CPU."""
        weights = {}
        for place, pair in zip(self.places, _flatten(self.pairs(row[None])), strict=True):
            for member, (name, (start, stop)) in enumerate(zip(place.group.members, place.group.bounds(), strict=True)):
                at = member * self.rank
                weights[f"{PREFIX}{name}.lora_A.weight"] = pair.a[0, at : at + rank].detach().cpu().clone()
                weights[f"{PREFIX}{name}.lora_B.weight"] = pair.b[0, start:stop, at : at + rank].detach().cpu().clone()
        return weights


def _flatten(blocks: list[BlockAdapters]) -> list[Pair]:
    return [pair for block in blocks for pair in block]


class Skeleton:
    """The linear layers' names and shapes without their weights, into which PEFT injects adapters as into the model itself.

    So a fresh adapter here equals PEFT's own for the same seed, whatever PEFT draws and in whatever order.
    """

    def __init__(self, model: nn.Module, targets: str, base_name: str) -> None:
        self._targets = targets
        self._base_name = base_name
        self._shapes = [
            (name, module.in_features, module.out_features) for name, module in model.named_modules() if isinstance(module, nn.Linear)
        ]

    @cached_property
    def _root(self) -> nn.Module:
        root = nn.Module()
        for name, width_in, width_out in self._shapes:
            *path, leaf = name.split(".")
            parent = root
            for part in path:
                if part not in parent._modules:
                    parent.add_module(part, nn.Module())
                parent = parent.get_submodule(part)
            parent.add_module(leaf, _weightless(width_in, width_out))
        return root

    def fresh(self, recipe: Recipe, seed: int) -> dict[str, Tensor]:
        """Return a new adapter by PEFT names: what the reference back end starts from with this seed."""
        from peft import inject_adapter_in_model

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            inject_adapter_in_model(self._config(recipe), self._root)
        try:
            return {
                f"{PREFIX}{name.replace('.default', '')}": value.detach().clone()
                for name, value in self._root.named_parameters()
                if "lora_" in name
            }
        finally:
            del self.__dict__["_root"]

    def save(self, folder: Path, recipe: Recipe, weights: Mapping[str, Tensor]) -> None:
        """Write a standard PEFT folder."""
        from safetensors.torch import save_file

        config = self._config(recipe)
        config.inference_mode = True
        config.base_model_name_or_path = self._base_name
        config.save_pretrained(folder)
        save_file(dict(weights), folder / WEIGHTS, metadata={"format": "pt"})

    def _config(self, recipe: Recipe) -> Any:
        from proxy_training.peft_backend import lora_config

        return lora_config(recipe, self._targets)


def _weightless(width_in: int, width_out: int) -> nn.Linear:
    with torch.device("meta"):
        linear = nn.Linear(width_in, width_out, bias=False)
    # One number seen as a matrix: PEFT asks for a device and a type, not for values.
    linear.weight = nn.Parameter(torch.zeros(1).expand(width_out, width_in), requires_grad=False)
    return linear


def load_adapter(folder: Path) -> dict[str, Tensor]:
    """Return the weights of a PEFT folder by PEFT names."""
    from safetensors.torch import load_file

    return load_file(folder / WEIGHTS)


MOST_MERGED = 256_000_000  # weights that may be copied to be merged


def merged(layout: AdapterLayout, weights: Mapping[str, Tensor], rank: int, alpha: float) -> Decoder | None:
    """Return the decoder with an adapter added to its weights; None in less than fp32, where that would round the adapter away.

    Scoring one adapter on many items is cheaper so. The frozen decoder stays as it is.
    """
    decoder = layout.decoder
    if decoder.embed.dtype is not torch.float32 or sum(group.weight.numel() for group in decoder.groups()) > MOST_MERGED:
        return None
    blocks = []
    for block, pairs in zip(decoder.blocks, single(layout, weights, rank, alpha, decoder.embed.device), strict=True):
        qkv, out, gate_up, down = (
            replace(group, weight=torch.addmm(group.weight, pair.b[0], pair.a[0]))
            for group, pair in zip(block.groups(), pairs, strict=True)
        )
        blocks.append(replace(block, qkv=qkv, out=out, gate_up=gate_up, down=down))
    return replace(decoder, blocks=tuple(blocks))


def single(layout: AdapterLayout, weights: Mapping[str, Tensor], rank: int, alpha: float, device: torch.device) -> list[BlockAdapters]:
    """Return one adapter, scaled, as the adapters of one slot."""
    row = torch.zeros(layout.size)
    layout.put(row, weights)
    row *= layout.factor(rank, alpha / rank)
    return layout.pairs(row[None].to(device=device, dtype=layout.decoder.embed.dtype))
