"""Weighted sums of trained adapters as one model, without training: each weight changes by the weighted sum of their changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from proxy_training.jobs import Recipe, Scope, why_not_merged
from proxy_training.peft_backend import FULL_WEIGHTS

WEIGHTS = "adapter_model.safetensors"
NEAR_ONE = 1e-6


class MergedAdapters:
    """Adapters that one recipe trained on one base, loaded once, and their weighted sums.

    Of LoRA, the change of a weight is the product B A times alpha / rank. Ranks are laid one behind the other (A stacked, B stacked and
    scaled), so that the sum is exact: sum_k w_k B_k A_k. Means of A and of B would be another model (Huang et al. 2023, LoraHub, arXiv
    2307.13269, merge them so). Of fully trained language models the weights themselves are summed (Wortsman et al. 2022, arXiv 2203.05482).
    """

    def __init__(self, folders: Sequence[Path], recipe: Recipe) -> None:
        """Load the adapters.

        Raises:
            ValueError: what the recipe trains has no weighted sum that this can score, or an adapter is not of this recipe.
        """
        from safetensors.torch import load_file

        if reason := why_not_merged(recipe):
            raise ValueError(reason)
        self.recipe, self.folders = recipe, tuple(folders)
        self.full = recipe.scope is Scope.FULL_LANGUAGE
        self._weights = [load_file(folder / (FULL_WEIGHTS if self.full else WEIGHTS)) for folder in folders]
        for folder, weights in zip(folders, self._weights, strict=True):
            self._check(folder, weights)

    def _check(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        if weights.keys() != self._weights[0].keys():
            raise ValueError(f"{folder} holds other weights than {self.folders[0]}")
        ranks = {value.shape[0] for name, value in weights.items() if name.endswith("lora_A.weight")}
        if not self.full and ranks != {self.recipe.rank}:
            raise ValueError(f"{folder} is not of rank {self.recipe.rank}")

    def merged(self, shares: Sequence[float]) -> tuple[Recipe, dict[str, Tensor]]:
        """Return the weighted sum by names as they are saved, and the recipe that it is an adapter of.

        Raises:
            ValueError: `shares` (one an adapter) are negative or do not sum to 1.
        """
        if len(shares) != len(self._weights) or min(shares) < 0 or abs(sum(shares) - 1) > NEAR_ONE:
            raise ValueError(f"shares of {len(self._weights)} adapters are 0 or more and sum to 1, got {list(shares)}")
        used = [(share, weights) for share, weights in zip(shares, self._weights, strict=True) if share > 0]
        if self.full:
            return self.recipe, {name: _summed([share * weights[name].float() for share, weights in used]) for name in used[0][1]}
        rank, scale = self.recipe.rank * len(used), self.recipe.alpha / self.recipe.rank
        found = {}
        for name in used[0][1]:
            if name.endswith("lora_A.weight"):
                found[name] = torch.cat([weights[name] for _, weights in used])
            else:
                found[name] = torch.cat([share * scale * weights[name] for share, weights in used], dim=1)
        return replace(self.recipe, rank=rank, alpha=float(rank)), found

    def save(self, folder: Path, shares: Sequence[float]) -> None:
        """Write the weighted sum as any adapter is saved."""
        from safetensors.torch import save_file

        recipe, weights = self.merged(shares)
        if not self.full:
            from peft import LoraConfig

            config = LoraConfig.from_pretrained(str(self.folders[0]))
            config.r, config.lora_alpha = recipe.rank, int(recipe.alpha)
            config.save_pretrained(str(folder))
        save_file(weights, folder / (FULL_WEIGHTS if self.full else WEIGHTS), metadata={"format": "pt"})


def _summed(terms: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(terms)).sum(dim=0)
