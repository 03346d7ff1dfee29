"""Proxies by name, folder or hub id, without torch: the bundled one, presets, and any `from_pretrained` folder."""

from __future__ import annotations

import hashlib
import json
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

from proxy_training.families.registry import GENERIC, GENERIC_WARNING, ProxyError, family_of
from proxy_training.jobs import ProxySpec, Recipe
from proxy_training.presets import Preset, presets
from sources.canonical import content_hash

BUNDLED = Path(__file__).parent / "bundled" / "tiny"
MODEL_TOKENS = 2_000_000  # about as many rows as `tiny` gets, at a thousand tokens a row with a tiled image


def proxy_names() -> tuple[str, ...]:
    """Return the proxies that are known by name."""
    return ("tiny", *presets())


def proxy_spec(name: str) -> ProxySpec:
    """Return the proxy of a name, of a model folder, or of a model on the hub (`hf:ORG/NAME`), which is downloaded.

    `PRESET@FOLDER` is a preset whose model lies in a folder.

    Raises:
        ProxyError: there is no such proxy, it cannot be downloaded, or it cannot be used.
    """
    if name == "tiny":
        return _of_folder("tiny", BUNDLED, Recipe(), illustration_only=True)
    known, _, place = name.partition("@")
    if known in presets():
        return _of_preset(presets()[known], place)
    recipe = Recipe(learning_rate=2e-4, max_length=2048)
    if name.startswith("hf:"):
        repo = name.removeprefix("hf:")
        return _of_folder(repo, hub_folder(repo), recipe, default_tokens=MODEL_TOKENS, illustration_only=False)
    folder = Path(name.removeprefix("path:")).expanduser()
    if not folder.is_dir():
        near = get_close_matches(known, proxy_names(), n=1)
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        raise ProxyError(
            f"there is no proxy {name!r}{meant}: give one of `probe proxies list`, the folder of a saved model, "
            "or hf:ORG/NAME for one of the hub."
        )
    return _of_folder(folder.name, folder.resolve(), recipe, default_tokens=MODEL_TOKENS, illustration_only=False)


def proxy_warning(spec: ProxySpec) -> str:
    """Return what is lost with a proxy, or nothing: one sentence for a model of an unknown family."""
    return GENERIC_WARNING.format(name=spec.name) if spec.family == GENERIC else ""


def _of_preset(preset: Preset, place: str) -> ProxySpec:
    """Return the proxy of a preset, from the hub or, where a place is given, from a folder."""
    folder = Path(place).expanduser().resolve() if place else hub_folder(preset.hub_id, f"--proxy {preset.name}@FOLDER")
    if place and not folder.is_dir():
        raise ProxyError(f"there is no folder {place}: give the one that holds {preset.hub_id}.")
    if (family := family_of(folder)) != preset.family:
        raise ProxyError(
            f"{place or preset.hub_id} is of the family {family}, and {preset.name} of {preset.family}; give it as --proxy {folder}."
        )
    return _of_folder(
        preset.name,
        folder,
        preset.recipe(),
        default_tokens=preset.default_tokens,
        illustration_only=False,
        image_limit=preset.image_limit,
    )


def cached_folder(repo: str) -> Path | None:
    """Return where a model of the hub lies in the user's cache, without a network; None where it does not."""
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(repo, "config.json")
    return Path(config).parent if isinstance(config, str) else None


def hub_folder(repo: str, instead: str = "--proxy FOLDER") -> Path:
    """Return where the weights and settings of a model of the hub lie in the user's cache, downloading what is missing.

    Endpoint, token, cache and offline mode are those of `huggingface_hub`. Nothing that could be code is fetched.

    Raises:
        ProxyError: there is no such model, or it cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

    elsewhere = f"give the folder of a saved model instead ({instead})"
    try:
        return Path(snapshot_download(repo, allow_patterns=["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]))
    except HFValidationError as error:
        raise ProxyError(f"hf:{repo} is no hub id; write it as hf:ORG/NAME.") from error
    except GatedRepoError as error:
        raise ProxyError(f"{repo} wants its terms accepted on the hub, and a token (`hf auth login`); or {elsewhere}.") from error
    except RepositoryNotFoundError as error:
        raise ProxyError(
            f"the hub has no model {repo} that you may see; check its name, log in with `hf auth login`, or {elsewhere}."
        ) from error
    except LocalEntryNotFoundError as error:
        raise ProxyError(
            f"{repo} is not in the cache and the hub cannot be reached from here: run `hf download {repo}` where it can, or {elsewhere}."
        ) from error
    except OSError as error:
        raise ProxyError(f"{repo} cannot be downloaded ({str(error).splitlines()[0][:100]}); try again, or {elsewhere}.") from error


def _of_folder(
    name: str, folder: Path, recipe: Recipe, *, default_tokens: int = 0, illustration_only: bool, image_limit: int = 0
) -> ProxySpec:
    weights = weights_hash(folder)
    return ProxySpec(
        name=name,
        path=str(folder),
        # What the processor makes of images is part of the folder, and a limit changes that.
        weights_hash=content_hash([weights, image_limit]) if image_limit else weights,
        family=family_of(folder),
        recipe=recipe,
        image_limit=image_limit,
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


__all__ = ["BUNDLED", "ProxyError", "proxy_names", "proxy_spec", "proxy_warning", "weights_hash"]
