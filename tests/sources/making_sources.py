"""Small data sets in every format, with known truth."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sources.spec import SourceSpec
from tests.writing_files import encoded, write


def png(seed: int, size: tuple[int, int] = (16, 12)) -> bytes:
    """A PNG whose pixels a seed decides."""
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    return encoded(Image.fromarray(pixels), "PNG")


def png_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file out of raw chunks, for what no encoder would write."""
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def pixel_bomb(side: int = 30_000) -> bytes:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return png_chunks((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b""))


def text_bomb(megabytes: int = 80) -> bytes:
    header = struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0)
    bomb = b"Comment\0\0" + zlib.compress(b"a" * megabytes * 1_000_000)
    return png_chunks((b"IHDR", header), (b"zTXt", bomb), (b"IDAT", zlib.compress((b"\0" + b"\x7f" * 12) * 4)), (b"IEND", b""))


def llava(image: Any, question: Any = "<image>\nWhat is it?", answer: Any = "A cat.", **more: Any) -> dict[str, Any]:
    record = {"conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": answer}], **more}
    return record if image is None else {"image": image, **record}


def pair(image: str, number: int, **more: Any) -> dict[str, Any]:
    return llava(image, f"<image>\nQuestion {number}?", f"Answer {number}", **more)


def data_url(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def good_rows(folder: Path, n_images: int = 12, per_image: int = 3) -> list[dict[str, Any]]:
    """LLaVA rows over images of two sub-sources, `coco` (two thirds) and `sam`, and one text row an image."""
    rows: list[dict[str, Any]] = []
    for image in range(n_images):
        name = f"{'sam' if image % 3 == 0 else 'coco'}/{image}.png"
        write(folder / name, png(image))
        rows += [pair(name, 100 * image + turn, id=f"{image}-{turn}") for turn in range(per_image)]
        rows.append(llava(None, f"Say {image}", f"{image}!"))
    return rows


def llava_source(path: Path, root: Path | None = None) -> SourceSpec:
    return SourceSpec("mine", "llava", str(path), str(root or path.parent))
