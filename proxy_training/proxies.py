"""Proxies by name or folder, without torch: the bundled one, and any `from_pretrained` folder of a known family."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path

from proxy_training.families.registry import ProxyError, family_of
from proxy_training.jobs import ProxySpec, Recipe

BUNDLED = Path(__file__).parent / "bundled" / "tiny"
MODEL_TOKENS = 2_000_000  # about as many rows as `tiny` gets, at a thousand tokens a row with a tiled image


def proxy_names() -> tuple[str, ...]:
    """Return the proxies that are known by name."""
    return ("tiny",)


def proxy_spec(name: str) -> ProxySpec:
    """Return the proxy of a name or of a model folder.

    Raises:
        ProxyError: there is neither a proxy of that name nor a folder there, or it cannot be used.
    """
    if name == "tiny":
        return _of_folder("tiny", BUNDLED, Recipe(), illustration_only=True)
    folder = Path(name.removeprefix("path:")).expanduser()
    if not folder.is_dir():
        raise ProxyError(f"there is no proxy {name!r}: give one of {', '.join(proxy_names())}, or the folder of a saved model.")
    recipe = Recipe(learning_rate=2e-4, max_length=2048)
    return _of_folder(folder.name, folder.resolve(), recipe, default_tokens=MODEL_TOKENS, illustration_only=False)


def _of_folder(name: str, folder: Path, recipe: Recipe, *, default_tokens: int = 0, illustration_only: bool) -> ProxySpec:
    return ProxySpec(
        name=name,
        path=str(folder),
        weights_hash=weights_hash(folder),
        family=family_of(folder),
        recipe=recipe,
        default_tokens=default_tokens,
        fixed_precision=illustration_only,  # so that the tables of the bundled proxy are the same on every machine
        illustration_only=illustration_only,
    )


def weights_hash(folder: Path) -> str:
    """Return the hash of a model folder: its weights, config, tokenizer and chat template.

    Raises:
        ProxyError: there are no safetensors weights.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix in {".safetensors", ".json", ".jinja"} and path.name != "card.json")
    if not any(path.suffix == ".safetensors" for path in files):
        raise ProxyError(f"{folder} has no safetensors weights; save the model with `save_pretrained(..., safe_serialization=True)`.")
    return _hash_files(tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files))


@lru_cache(maxsize=16)
def _hash_files(files: tuple[tuple[str, int, int], ...]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name, size, _ in files:
        path = Path(name)
        digest.update(json.dumps([path.name, size]).encode())
        with open(path, "rb") as handle:
            while chunk := handle.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


__all__ = ["BUNDLED", "ProxyError", "proxy_names", "proxy_spec", "weights_hash"]
