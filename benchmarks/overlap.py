#!/usr/bin/env python3
"""Recall on planted copies, false alarms among images that are no copies, and memory and time at a million images.

    python benchmarks/overlap.py [--quick] [--json] [--images DIR] [--only recall,alarms,memory] [--out cells.jsonl]

Images are made from seeds (`overlap_images.py`): scenes, mosaics of the photographs that scikit-learn brings (or of DIR's), pages, charts;
easy-VQA's and the generated world's drawings are as they are. Shares come with exact 95 % intervals. A false alarm is a source image
taken for one that shows something else. Of the generated world it is known what is shown: two drawings with the same shapes, word or bars
at the same places in colours of the same names are one scene in other paint; they are counted apart as `same_scene`, not as alarms.
With --out, finished cells are kept and the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from overlap_images import COPIES, chart, like_easy, mosaic, page, rng_of, scene
from PIL import Image
from scipy.stats import binomtest

from sources.canonical import hash_bytes
from sources.easy_vqa import data_folder
from sources.overlap.bands import BandedIndex
from sources.overlap.gallery import Gallery, shared
from sources.overlap.look import WINDOWS, Look, look_at
from sources.world import make_row, parse_options
from sources.world.drawing import scene_image
from sources.world.scene import Scene

Make = Callable[[int], Image.Image]


def easy(split: str, number: int) -> Image.Image:
    with Image.open(data_folder() / split / "images" / f"{number}.png") as image:
        return image.convert("RGB")


def world_scene(seed: int, number: int) -> Scene:
    return make_row(parse_options((("rows", "100000"), ("seed", str(seed)), ("skill", "all"))), number).shown


def world(seed: int, number: int) -> Image.Image:
    return scene_image(world_scene(seed, number))


def shows(scene: Scene) -> tuple[Any, ...]:
    """What a scene shows: shapes, word and bars with their places and the names of their colours, whatever the very paint."""
    things = sorted((thing.shape, thing.colour, thing.x, thing.y, thing.radius) for thing in scene.things)
    word = (scene.word.text, scene.word.x, scene.word.y) if scene.word else None
    return tuple(things), word, tuple((bar.colour, bar.height) for bar in scene.bars)


def gallery(images: Iterator[tuple[str, Image.Image]]) -> Gallery:
    """Names stand for the bytes, so that no pair is found by its bytes."""
    names, looks = [], []
    for name, image in images:
        names.append(hash_bytes(name.encode()))
        looks.append(look_at(image))
    return Gallery.of(names, looks)


def share(hits: int, n: int) -> dict[str, Any]:
    interval = binomtest(hits, n).proportion_ci(0.95, method="exact")
    return {"value": hits / n, "low": float(interval.low), "high": float(interval.high), "n": n}


@dataclass(frozen=True)
class Cells:
    """Finished parts of the measurement, by name, in a file where there is one."""

    file: Path | None

    def of(self, name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return a part: what is kept of it, else what measuring it now gives."""
        kept = (json.loads(line) for line in self.file.read_text().splitlines()) if self.file and self.file.exists() else ()
        held: dict[str, Any] | None = next((one["found"] for one in kept if one["name"] == name), None)
        if held is None:
            began = time.process_time()
            held = measure()
            held["cpu_s"] = time.process_time() - began
            if self.file:
                with self.file.open("a") as out:
                    out.write(json.dumps({"name": name, "found": held}) + "\n")
        print(name, json.dumps(held), file=sys.stderr, flush=True)
        return held


def recall(cells: Cells, kinds: dict[str, tuple[Make, int]]) -> dict[str, Any]:
    """Share of planted copies that are found, by kind of image and of copy. What is exact here has other bytes: only pixels count."""
    return {kind: cells.of(f"recall {kind} {n}", partial(_recall, kind, make, n)) for kind, (make, n) in kinds.items()}


def _recall(kind: str, make: Make, n: int) -> dict[str, Any]:
    originals = [make(seed) for seed in range(n)]
    one = gallery((f"{kind} {seed}", image) for seed, image in enumerate(originals))
    found: dict[str, Any] = {}
    for name, copy in COPIES.items():
        copies = gallery((f"{name} {kind} {seed}", copy(image, rng_of(9, seed))) for seed, image in enumerate(originals))
        a, b = shared(copies, one)
        found[name] = share(len(set(a[a == b].tolist())), n)
    return found


def alarms(cells: Cells, sources: dict[str, tuple[Make, int]], benchmarks: dict[str, tuple[Make, int]]) -> dict[str, Any]:
    """Share of source images that are taken for one of all benchmark images that shows something else."""
    places = [(kind, n) for kind, (_, count) in benchmarks.items() for n in range(count)]

    @cache
    def other() -> Gallery:
        return gallery((f"benchmark {kind} {n}", benchmarks[kind][0](n)) for kind, n in places)

    def measure(kind: str, make: Make, count: int) -> dict[str, Any]:
        one = gallery((f"source {kind} {n}", make(n)) for n in range(count))
        pairs = [(a, *places[b]) for a, b in zip(*map(np.ndarray.tolist, shared(one, other())), strict=True)]
        same = {pair for pair in pairs if kind == pair[1] == "world" and shows(world_scene(0, pair[0])) == shows(world_scene(7, pair[2]))}
        wrong = [pair for pair in pairs if pair not in same]
        return share(len({a for a, _, _ in wrong}), count) | {"same_scene": len({a for a, _, _ in same}), "pairs": wrong[:20]}

    found = {kind: cells.of(f"alarms {kind} {n} {len(places)}", partial(measure, kind, make, n)) for kind, (make, n) in sources.items()}
    hits, total = (sum(round(one["value"] * one["n"]) for one in found.values()), sum(one["n"] for one in found.values()))
    return {"benchmark_images": len(places), "by_kind": found, "all": share(hits, total)}


def memory(images: int, queries: int) -> dict[str, Any]:
    """Index hashes of whole images, look for every window of `queries` others, a hundredth of them planted 6 bits away."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 1 << 63, images, dtype=np.uint64)
    asked = rng.integers(0, 1 << 63, queries * len(WINDOWS), dtype=np.uint64)
    planted = np.arange(0, len(asked), 100)
    for place in planted:
        flips = rng.choice(63, 6, replace=False)
        asked[place] = hashes[place % images] ^ np.uint64(sum(1 << int(bit) for bit in flips))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    index = BandedIndex(hashes)
    built = time.perf_counter()
    query, _ = index.near(asked)
    done = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "images": images,
        "queries": len(asked),
        "planted_found": len(set(query.tolist()) & set(planted.tolist())) / len(planted),
        "index_s": built - began,
        "query_s": done - built,
        "peak_gb": peak / 1e6,
        "over_hashes_gb": (peak - before) / 1e6,
        "kept_bytes_an_image": _bytes_an_image(),
    }


def _bytes_an_image() -> int:
    one = Gallery.of(["0" * 32], [_blank()])
    return sum(getattr(one, name).nbytes for name in Gallery.__slots__)


def _blank() -> Look:
    return look_at(Image.new("RGB", (64, 64)))


def in_a_process(images: int, queries: int) -> dict[str, Any]:
    code = f"import json, overlap; print(json.dumps(overlap.memory({images}, {queries})))"
    out = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, check=True).stdout
    measured: dict[str, Any] = json.loads(out)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="A tenth of everything.")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--images", default="", help="A folder of photographs.")
    parser.add_argument("--only", default="recall,alarms,memory")
    parser.add_argument("--out", type=Path, default=None, help="JSON lines of finished cells; the same command goes on.")
    wanted = parser.parse_args()
    of, cells = 10 if wanted.quick else 1, Cells(wanted.out)
    photos = partial(mosaic, folder=wanted.images)
    easy_train, easy_test = partial(easy, "train"), partial(easy, "test")
    parts: dict[str, Callable[[], Any]] = {
        "recall": lambda: recall(
            cells,
            {
                "scene": (scene, 300 // of),
                "mosaic": (photos, 600 // of),
                "page": (page, 300 // of),
                "chart": (chart, 300 // of),
                "easy-vqa": (easy_train, 300 // of),
                "world": (partial(world, 0), 300 // of),
            },
        ),
        "alarms": lambda: alarms(
            cells,
            {
                "easy-vqa": (easy_train, 4000 // of),
                "like easy-vqa": (like_easy, 120_000 // of),
                "world": (partial(world, 0), 48_000 // of),
                "mosaic": (photos, 4000 // of),
                "chart": (chart, 4000 // of),
                "page": (page, 2000 // of),
            },
            {
                "easy-vqa": (easy_test, 1000 // of),
                "world": (partial(world, 7), 5000 // of),
                "mosaic": (lambda n: photos(10**6 + n), 2000 // of),
                "chart": (lambda n: chart(10**6 + n), 1000 // of),
                "page": (lambda n: page(10**6 + n), 1000 // of),
            },
        ),
        "memory": lambda: cells.of(f"memory {1_000_000 // of}", lambda: in_a_process(1_000_000 // of, 10_000 // of)),
    }
    found = {}
    for name in wanted.only.split(","):
        began = time.perf_counter()
        found[name] = parts[name]() | {"seconds": time.perf_counter() - began}
    print(json.dumps(found, indent=None if wanted.json else 2))


if __name__ == "__main__":
    main()
