#!/usr/bin/env python3
"""Train a pool of probes on the bundled proxy, from which `calibration.py --real POOL` draws real studies.

    python benchmarks/calibration_pool.py POOL [--repeats 34] [--steps 20] [--slots 8]

Eight arms times `--repeats` seeds (272 probes), and the untrained proxy. An arm's repeats share no row, nor do the two arms of a null
pair (`all` and `all-again`, `world` and `world-again`: the same source drawn twice; `half-a` and `half-b`: other images of the same kind).
Repeat r of every arm has training seed r, as in a study. Item scores are kept as POOL/ARM-REPEAT.npz; what is there is not trained again.
Needs `easy-vqa`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
BATCH = 16
# Arm: source, place among those that share the source's rows, how many share them.
ARMS = {
    "all": ("easy-vqa/all", 0, 2),
    "all-again": ("easy-vqa/all", 1, 2),
    "half-a": ("easy-vqa/half-a", 0, 1),
    "half-b": ("easy-vqa/half-b", 0, 1),
    "half-wrong": ("easy-vqa/half-wrong", 0, 1),
    "presence": ("easy-vqa/presence", 0, 1),
    "world": ("world/all", 0, 2),
    "world-again": ("world/all", 1, 2),
}
UNTRAINED = "untrained"
BENCHMARKS = {"easy-vqa/colour": 300, "easy-vqa/shape": 300, "easy-vqa/presence": 300}


def path_of(pool: Path, arm: str, repeat: int) -> Path:
    return pool / f"{arm}-{repeat:03d}.npz"


def specs() -> dict[str, Any]:
    from sources.easy_vqa import easy_vqa_source_specs
    from sources.world.catalogue import world_source_specs

    found = {spec.slug: spec for spec in easy_vqa_source_specs()}
    return found | {spec.slug: spec.with_option("rows", "30000") for spec in world_source_specs()}


def eval_sets() -> tuple[Any, ...]:
    from probe.study.items import read_eval_set
    from sources.easy_vqa import easy_vqa_benchmark_specs

    return tuple(read_eval_set(spec) for spec in easy_vqa_benchmark_specs(max(BENCHMARKS.values())))


def shares(pool: Any, rows: int, place: int, of: int) -> Iterator[tuple[Any, ...]]:
    """Yield each repeat's rows: disjoint stretches of one order of the source, never one that a sharing arm has."""
    order = pool.order(0)
    while stretch := tuple(islice(order, rows)):
        if place == 0:
            yield stretch
        place = (place - 1) % of


def jobs(folder: Path, repeats: int, rows: int, proxy: Any) -> Iterator[tuple[str, int, Any]]:
    """Yield what is still to be done, repeats first, so that a pool that was stopped early is complete up to some repeat."""
    from proxy_training.jobs import Job, Stage, Training
    from sources.mixture_draw import training_order
    from sources.sampling import SourcePool

    benchmarks, known = eval_sets(), specs()
    write_items(folder, benchmarks)
    if not path_of(folder, UNTRAINED, 0).exists():
        yield UNTRAINED, 0, Job(Training(proxy, proxy.recipe, (), 0), benchmarks)
    slugs = {slug for slug, _, _ in ARMS.values()}
    pools = {slug: SourcePool.open(known[slug], folder / "indexes") for slug in slugs}
    for slug, _, of in ARMS.values():
        if (usable := pools[slug].usable) < rows * of * repeats:
            raise SystemExit(f"{slug} has {usable:,} rows, {rows * of * repeats:,} are needed: fewer --repeats or --steps")
    drawn = {arm: shares(pools[slug], rows, place, of) for arm, (slug, place, of) in ARMS.items()}
    for repeat in range(repeats):
        for arm in ARMS:
            stretch = next(drawn[arm])
            if not path_of(folder, arm, repeat).exists():
                yield arm, repeat, Job(Training(proxy, proxy.recipe, (Stage(training_order(stretch, repeat)),), repeat), benchmarks)


def write_items(folder: Path, benchmarks: tuple[Any, ...]) -> None:
    """Keep each item's image cluster."""
    from probe.study.items import split_items

    write(folder / "items.npz", {eval_set.spec.name: split_items(eval_set.items)[0] for eval_set in benchmarks})


def write(path: Path, arrays: dict[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, **{name.replace("/", "|"): values for name, values in arrays.items()})
    os.replace(partial, path)


def settled(folder: Path, wanted: dict[str, Any]) -> None:
    """Keep what the pool was begun with, and refuse another."""
    path = folder / "pool.json"
    if path.exists() and json.loads(path.read_text()) != wanted:
        raise SystemExit(f"{folder} was begun with {path.read_text().strip()}; go on with these or take another folder")
    path.write_text(json.dumps(wanted) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pool", type=Path)
    parser.add_argument("--repeats", type=int, default=34)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--slots", type=int, default=8, help="probes at once")
    wanted = parser.parse_args()
    import torch

    from proxy_training.engine import Engine
    from proxy_training.jobs import EngineSettings
    from proxy_training.proxies import proxy_spec

    torch.set_num_threads(1)
    wanted.pool.mkdir(parents=True, exist_ok=True)
    settled(wanted.pool, {"repeats": wanted.repeats, "steps": wanted.steps, "arms": list(ARMS)})
    proxy = proxy_spec("tiny")
    engine = Engine(proxy, proxy.recipe, wanted.pool / "features", EngineSettings("cpu", slots=wanted.slots))
    names: dict[str, tuple[str, int]] = {}

    def queue() -> Iterator[Any]:
        for arm, repeat, job in jobs(wanted.pool, wanted.repeats, BATCH * wanted.steps, proxy):
            names[job.training.training_id()] = arm, repeat
            yield job

    began = time.monotonic()
    for done, result in enumerate(engine.run(queue()), 1):
        arm, repeat = names.pop(result.training_id)
        if result.failure:
            raise SystemExit(f"{arm} {repeat}: {result.failure}")
        write(path_of(wanted.pool, arm, repeat), {scores.benchmark: scores.values for scores in result.scores})
        kept = len(list(wanted.pool.glob("*-[0-9]*.npz")))
        print(
            f"{arm} {repeat}: {kept} of {1 + len(ARMS) * wanted.repeats}, {(time.monotonic() - began) / done:.1f} s each", file=sys.stderr
        )


if __name__ == "__main__":
    main()
