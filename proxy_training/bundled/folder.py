"""The folder of `tiny` on disk: written beside its place and renamed, with a card that tells where the weights came from."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import Idefics3ForConditionalGeneration
from transformers.models.idefics3.processing_idefics3 import Idefics3Processor

from sources.canonical import hash_bytes

WEIGHTS, CARD = "model.safetensors", "card.json"
MOST_BYTES = 12_000_000


def save_folder(out: Path, model: Idefics3ForConditionalGeneration, processor: Idefics3Processor, card: Mapping[str, Any]) -> None:
    """Replace `out` with an ordinary `from_pretrained` folder and its `card.json`; the files appear all at once, complete."""
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    model.save_pretrained(fresh)
    processor.save_pretrained(fresh)
    parameters = sum(weight.numel() for weight in model.parameters())
    full = {**card, "parameters": parameters, "dtype": str(model.dtype).removeprefix("torch."), "weights": weights_hash(fresh)}
    (fresh / CARD).write_text(json.dumps(full, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for file in fresh.iterdir():
        file.chmod(0o644)
    _swap(fresh, out)


def weights_hash(folder: Path) -> str:
    """Return the hash of a folder's weights file."""
    return hash_bytes((folder / WEIGHTS).read_bytes())


def read_card(folder: Path) -> dict[str, Any]:
    """Return what a folder's card says."""
    card: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
    return card


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a training state so that a reader sees the old one or the new one, never half of one."""
    unfinished = path.with_suffix(".unfinished")
    torch.save(dict(state), unfinished)
    os.replace(unfinished, path)


def _swap(fresh: Path, out: Path) -> None:
    fresh.chmod(0o755)
    if not out.exists():
        fresh.rename(out)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{out.name}-old-", dir=out.parent))
    out.rename(old / out.name)
    fresh.rename(out)
    shutil.rmtree(old)
