"""Item scores of one evaluation as one blob.

    b"PSCR" | version u8 | header length u32 | header (JSON) | validity mask, bits packed | valid values
    header: {"crc": 2774613466, "dtype": "<f4", "metrics": ["right_probability", ...], "n": 900, "order": "4e5f..."}

`order` is the hash of the items in their order (the benchmark's fingerprint), `crc` the CRC-32 of what follows the header.
Only valid values are kept, so a metric that does not apply costs one bit an item.
"""

from __future__ import annotations

import json
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from db.errors import StoreError
from proxy_training.jobs import METRICS
from sources.canonical import canonical_json

MAGIC = b"PSCR"
VERSION = 1
_DTYPE = "<f4"
_PREFIX = struct.Struct("<4sBI")


def pack_scores(values: NDArray[np.float32], order: str) -> bytes:
    """Return the blob of `values[metric, item]`, metrics in the order of `METRICS`; NaN is invalid.

    Raises:
        StoreError: the array has another number of metrics.
    """
    if values.ndim != 2 or values.shape[0] != len(METRICS):
        raise StoreError(f"item scores must be [{len(METRICS)} metrics, items], got {list(values.shape)}")
    valid = ~np.isnan(values)
    payload = np.packbits(valid).tobytes() + values[valid].astype(_DTYPE).tobytes()
    header = {"metrics": METRICS, "dtype": _DTYPE, "n": values.shape[1], "order": order, "crc": zlib.crc32(payload)}
    text = canonical_json(header).encode()
    return _PREFIX.pack(MAGIC, VERSION, len(text)) + text + payload


def unpack_scores(blob: bytes, order: str) -> NDArray[np.float32]:
    """Return `values[metric, item]` in the order of `METRICS`; a metric that the blob lacks is NaN.

    Raises:
        StoreError: the blob is damaged, or its items are not those of `order`.
    """
    try:
        return _unpack(blob, order)
    except (ValueError, KeyError, TypeError, IndexError, struct.error) as error:
        raise StoreError(f"a blob of item scores is damaged ({error}): restore the store from a copy") from error


def _unpack(blob: bytes, order: str) -> NDArray[np.float32]:
    magic, version, length = _PREFIX.unpack_from(blob)
    if magic != MAGIC or version != VERSION:
        raise ValueError(f"it starts with {magic!r} version {version}")
    header = json.loads(blob[_PREFIX.size : _PREFIX.size + length])
    payload = blob[_PREFIX.size + length :]
    if header["order"] != order:
        raise StoreError(f"item scores belong to the items {header['order']}, not {order}: score the benchmark again")
    if zlib.crc32(payload) != header["crc"]:
        raise ValueError("its checksum is wrong")
    return _spread(payload, tuple(header["metrics"]), int(header["n"]), header["dtype"])


def _spread(payload: bytes, metrics: tuple[str, ...], n: int, dtype: str) -> NDArray[np.float32]:
    cells = len(metrics) * n
    mask_bytes = (cells + 7) // 8
    valid = np.unpackbits(np.frombuffer(payload[:mask_bytes], np.uint8), count=cells).astype(bool).reshape(len(metrics), n)
    stored = np.full((len(metrics), n), np.nan, np.float32)
    stored[valid] = np.frombuffer(payload[mask_bytes:], dtype)
    values = np.full((len(METRICS), n), np.nan, np.float32)
    for row, metric in enumerate(metrics):
        if metric in METRICS:
            values[METRICS.index(metric)] = stored[row]
    return values
