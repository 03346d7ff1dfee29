"""Named proxies of the hub, with what is asked of each by default and why: `presets.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from proxy_training.jobs import Recipe, Scope

PRESETS = Path(__file__).parent / "presets.toml"


@dataclass(frozen=True, slots=True)
class Preset:
    """A proxy by name; `why` has a reason in words for each of its settings."""

    name: str
    hub_id: str
    family: str
    billions: float  # parameters
    scope: Scope
    image_limit: int  # in the family's unit; 0: the model's own
    max_length: int
    rank: int
    learning_rate: float
    default_tokens: int
    why: tuple[tuple[str, str], ...]

    def recipe(self) -> Recipe:
        """Return how its probes train: the scale of an adapter is twice its rank, as PEFT's users have it."""
        return Recipe(scope=self.scope, rank=self.rank, alpha=2.0 * self.rank, learning_rate=self.learning_rate, max_length=self.max_length)


@lru_cache(maxsize=1)
def presets() -> dict[str, Preset]:
    """Return all presets by name, in the order of the file."""
    tables: dict[str, dict[str, Any]] = tomllib.loads(PRESETS.read_text("utf-8"))
    return {name: _preset(name, table) for name, table in tables.items()}


def _preset(name: str, table: dict[str, Any]) -> Preset:
    values = {key: value for key, value in table.items() if key not in ("scope", "why")}
    return Preset(name=name, scope=Scope(table["scope"]), why=tuple(table["why"].items()), **values)
