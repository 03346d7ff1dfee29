"""AdamW for K adapters at once, each with its own rate, step, clip and state: the arithmetic of `torch.optim.AdamW`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from proxy_training.jobs import Recipe

EPS = 1e-8


@dataclass(slots=True)
class StackedAdamW:
    """State of K slots of `size` parameters; rows of `parameters` are updated in place. Loshchilov and Hutter 2019.

    A slot whose loss or gradient norm is not finite stays as it was before that step, for ever, and `bad_step` says which.
    """

    parameters: Tensor  # [K, size] fp32
    grads: Tensor  # [K, size] fp32, of what counts in the model
    mean: Tensor
    square: Tensor
    factor: Tensor  # [K, size] what a stored value counts for in the model: 1, the adapter's scale, or 0 where no parameter is
    step: Tensor  # [K] steps taken
    bad_step: Tensor  # [K] first step that was not finite, from 1; 0: none

    @classmethod
    def empty(cls, slots: int, size: int, device: torch.device) -> StackedAdamW:
        """Return zeroed state."""

        def zeros() -> Tensor:
            return torch.zeros(slots, size, device=device)

        return cls(zeros(), zeros(), zeros(), zeros(), zeros(), torch.zeros(slots, device=device), torch.zeros(slots, device=device))

    def rows(self) -> list[Tensor]:
        """Return everything that has a row a slot."""
        return [self.parameters, self.grads, self.mean, self.square, self.factor, self.step, self.bad_step]

    def move(self, source: int, target: int) -> None:
        """Copy a slot's whole state over another's."""
        for tensor in self.rows():
            tensor[target] = tensor[source]

    def start(self, slot: int, parameters: Tensor, factor: Tensor) -> None:
        """Give a slot to a new adapter [size]."""
        for tensor in self.rows():
            tensor[slot] = 0
        self.parameters[slot], self.factor[slot] = parameters, factor

    @torch.no_grad()
    def update(self, slots: int, losses: Tensor, rates: Tensor, recipes: list[Recipe]) -> None:
        """Clip and step the first `slots` slots.

        Args:
            slots: how many slots are in use.
            losses: [slots], only to see whether they are finite.
            rates: [slots] learning rates.
            recipes: of each slot; betas, weight decay and clip.
        """
        p, g, m, v = (t[:slots] for t in (self.parameters, self.grads, self.mean, self.square))
        g.mul_(self.factor[:slots])
        norms = torch.linalg.vector_norm(g, dim=1)
        self.step[:slots] += 1
        fine = torch.isfinite(norms) & torch.isfinite(losses) & (self.bad_step[:slots] == 0)
        fresh_bad = ~fine & (self.bad_step[:slots] == 0)
        self.bad_step[:slots] = torch.where(fresh_bad, self.step[:slots], self.bad_step[:slots])
        first, second, decay, clip = _columns(recipes, p.device)
        scale = torch.clamp(clip.float() / (norms + 1e-6), max=1.0)
        g.mul_(scale[:, None])
        g.masked_fill_(~fine[:, None], 0.0)
        rates = torch.where(fine, rates, 0.0)
        m.lerp_(g, _column((1 - first) * fine))
        v.lerp_(g.square_(), _column((1 - second) * fine))
        steps = self.step[:slots].double()
        root = v.sqrt().div_(_column((1 - second.pow(steps)).sqrt())).add_(EPS)
        p.mul_(_column(1 - rates * decay))
        p.sub_(torch.div(m, root).mul_(_column(rates / (1 - first.pow(steps)))))


def _column(values: Tensor) -> Tensor:
    return values.float()[:, None]


def _columns(recipes: list[Recipe], device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return betas, weight decay and clip, in fp64: 1 - beta^t cancels in fp32."""
    table: Any = [(*r.adam_betas, r.weight_decay, r.max_grad_norm) for r in recipes]
    columns = torch.tensor(table, dtype=torch.float64).to(device)
    return columns[:, 0], columns[:, 1], columns[:, 2], columns[:, 3]
