"""Real sources of very different sizes, with one, two and no images, and manifests over them."""

import json
import struct
from pathlib import Path

from probe.manifest.example import example_manifest
from sources.images import IMAGE_POLICY
from sources.sampling import SourcePool
from sources.spec import SourceSpec

SIZES = {"big/web": 400, "mid/chart": 60, "tiny/ocr": 7, "text/chat": 30}
PHASES = ({"big/web": 150, "mid/chart": 90, "tiny/ocr": 33, "text/chat": 27}, {"big/web": 20, "mid/chart": 200, "tiny/ocr": 1})
TOTALS = {slug: sum(phase.get(slug, 0) for phase in PHASES) for slug in SIZES}
TEXT_ONLY = {"open-instruct"}  # trainers of language models: tested on sources without images
HOSTILE = "no: [*yes*] $(touch pwned) `x` \"q\" 'a', {#}\n/é😀"


def bitmap(colour, side=4):
    """A bitmap file written by hand, so that its bytes are the same with every version of every library."""
    pixels = bytes(reversed(colour)) * side * side  # rows of 4 pixels are whole words
    header = b"BM" + struct.pack("<IHHI", 54 + len(pixels), 0, 0, 54)
    return header + struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, 0, len(pixels), 2835, 2835, 0, 0) + pixels


def conversation(number, slug, images):
    first = "<image>\n" * images if number % 2 else "Look: <image> " * images
    return [
        {"from": "human", "value": f"{first}What is {number} in {slug}? é😀"},
        {"from": "gpt", "value": f"Answer {number}.\nTwo lines."},
        *([{"from": "human", "value": "And then?"}, {"from": "gpt", "value": "Nothing."}] if number % 3 == 0 else []),
    ]


def write_source(root: Path, slug: str, size: int, poison=(), folder_name=None) -> SourceSpec:
    folder = root / (folder_name or slug.replace("/", "-"))
    (folder / "img").mkdir(parents=True)
    rows = []
    for number in range(size):
        images = 0 if slug.startswith("text") or (slug.startswith("big") and number % 10 < 3) else 2 if number % 7 == 3 else 1
        names = [f"img/{number}-{place}.bmp" for place in range(images)]
        for place, name in enumerate(names):
            (folder / name).write_bytes(bitmap((number % 256, place * 100, len(slug))))
        row = {"id": f"{slug}:{number}", "conversations": conversation(number, slug, images)}
        row |= {"image": names if images > 1 else names[0]} if images else {}
        if number in poison:
            row["conversations"][1]["value"] = poison[number]
        rows.append(row)
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return SourceSpec(slug, "llava", str(folder / "data.jsonl"), str(folder))


def open_pools(specs):
    return {spec.slug: SourcePool.open(spec) for spec in specs}


def manifest_for(pools, phases=PHASES):
    usable = {slug: pool.usable for slug, pool in pools.items()}
    return example_manifest(phases, usable, {slug: pool.fingerprint for slug, pool in pools.items()}, IMAGE_POLICY)
