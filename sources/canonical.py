"""Canonical JSON and content hashes: the one way this project turns a value into an identity."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
from collections.abc import Mapping
from typing import Any

_SCALARS = (str, int, float, bool, type(None))
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
HASH_HEX_CHARS = 32  # 128 bits: collisions are out of reach for any number of rows


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys, no white space, floats as `repr`; dataclasses and enums become plain values.

    Raises:
        ValueError: a float is not finite (NaN has no canonical form).
        TypeError: a value has no JSON form.
    """
    return _ENCODER.encode(_plain(value))


def content_hash(value: Any) -> str:
    """Return the 128-bit BLAKE2b hex digest of a value's canonical JSON."""
    return hash_bytes(canonical_json(value).encode("utf-8", "surrogatepass"))


def plain_hash(value: Any) -> str:
    """Return `content_hash` of what is JSON already (lists, dicts with string keys, strings, numbers), faster."""
    return hash_bytes(_ENCODER.encode(value).encode("utf-8", "surrogatepass"))


def hash_bytes(*chunks: bytes) -> str:
    """Return the 128-bit BLAKE2b hex digest of the chunks, each framed by its length so that borders count."""
    digest = hashlib.blake2b(digest_size=HASH_HEX_CHARS // 2)
    for chunk in chunks:
        digest.update(len(chunk).to_bytes(8, "little"))
        digest.update(chunk)
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    if type(value) in _SCALARS:  # most values: looked at first because this runs for every row of a source
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (set, frozenset)):
        return sorted(_plain(v) for v in value)
    return value
