#!/usr/bin/env python3
"""Measure whether the tool's decisions are true: decide on small probes of a generated world, then train at full scale and compare.

    python benchmarks/decisions.py [--quick] [--world-seed 0] [--out DIR] [--report] [--json]

A world (`decisions_world.py`) has twelve sources with planted defects. The proxy ranks them alone (solo) and added to a base mixture, and
searches the mixture, all by the tool's own code. Full scale is another language model, trained whole on 20 times the rows
(`decisions_full_scale.py`): the sources, the chosen mixture and its baselines with fresh seeds, 64 random mixtures, the best 8 of them
again; and four more worlds with the sources, the chosen mixture and the baselines alone.

Each training's item scores are a file in DIR, so that the same command goes on where it was stopped. Stages are in the order of what
they tell; --report trains nothing and judges what is there. About 4 CPU-hours, 5 minutes with --quick (the same code on crumbs: its
figures say nothing). One core: OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from decisions_full_scale import FULL, PROXY, QUICK, Sizes, build_full, proxy_of
from decisions_runs import UNTRAINED, Engines, Lab, Run, runs
from decisions_world import WORLD_VERSION, make_world

LONG = 1000  # between the seeds of two worlds


def stages(main: Lab, others: list[Lab]) -> Iterator[tuple[Lab, str, list[Run], str]]:
    """Yield what is trained, in order: world, scale, runs, what they are for; later ones depend on what earlier ones found."""
    import decisions_study as ask
    from decisions_merged import score_merged
    from decisions_orders import merged_for_surrogate
    from decisions_search import merged_for_search

    labs = [main, *others]
    for lab in labs:
        yield lab, PROXY, [Run(UNTRAINED), *ask.search_runs(lab), *ask.verdict_runs(lab)], "ranking and search"
        score_merged(lab, merged_for_search(lab))
        yield lab, FULL, [Run(UNTRAINED), *confirmations(lab)], "the chosen mixture and its baselines"
    own = ask.seeds(main.sizes.seeds)
    yield main, FULL, runs([*ask.solo(main.world).values(), ask.base(), *ask.added(main.world).values()], own), "sources alone and added"
    for scale in (PROXY, FULL):
        yield main, scale, runs(list(ask.left_out().values()), own), "one left out"
    yield main, FULL, runs(ask.random_mixtures(main), [0]), "random mixtures"
    yield main, PROXY, list(surrogate_runs(main)), "random mixtures for the surrogate"
    score_merged(main, merged_for_surrogate(main))
    yield main, FULL, top_runs(main), "the best again"
    for lab in others:
        yield lab, FULL, runs(list(ask.solo(lab.world).values()), ask.seeds(lab.sizes.more_seeds)), "sources alone"


def confirmations(lab: Lab) -> list[Run]:
    """Return the chosen mixture and its baselines with fresh seeds."""
    from decisions_judge import found_of
    from decisions_study import FRESH, seeds

    return runs(list(dict.fromkeys(found_of(lab).arms.values())), seeds(lab.sizes.seeds, FRESH))


def surrogate_runs(lab: Lab) -> Iterator[Run]:
    """Yield the random mixtures that a surrogate is fitted to, once each, and those that it is judged on, with all seeds."""
    from decisions_study import random_mixtures, seeds

    mixtures = random_mixtures(lab)[: lab.sizes.fitted + lab.sizes.held_out]
    yield from runs(mixtures[: lab.sizes.fitted], [0])
    yield from runs(mixtures[lab.sizes.fitted :], seeds(lab.sizes.seeds))


def top_runs(lab: Lab) -> list[Run]:
    from decisions_judge import best_random
    from decisions_study import TOP, seeds

    return runs(best_random(lab), seeds(lab.sizes.seeds, TOP))


def settled(out: Path, wanted: dict[str, Any]) -> None:
    """Keep what the run was begun with, and refuse another."""
    path, wanted = out / "begun.json", json.loads(json.dumps(wanted))
    if path.exists() and json.loads(path.read_text()) != wanted:
        raise SystemExit(f"{out} was begun with {path.read_text().strip()}; go on with these or take another folder")
    path.write_text(json.dumps(wanted) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--world-seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None, help="default: decisions-SEED, or decisions-quick-SEED, in the current folder")
    parser.add_argument("--report", action="store_true", help="train nothing, judge what is there")
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    sizes = QUICK if wanted.quick else Sizes()
    out = wanted.out or Path(f"decisions-{'quick-' if wanted.quick else ''}{wanted.world_seed}")
    out.mkdir(parents=True, exist_ok=True)
    settled(
        out,
        {"world_seed": wanted.world_seed, "world_version": WORLD_VERSION, "recipe": asdict(proxy_of(PROXY, out).recipe), **asdict(sizes)},
    )
    engines = Engines(out, out / "full-scale-model")
    labs = [Lab(make_world(wanted.world_seed + LONG * k), sizes, out, engines) for k in range(1 + sizes.more_worlds)]
    if not wanted.report:
        build_full(engines.model, sizes.lessons)
        for lab, scale, asked, what in stages(labs[0], labs[1:]):
            lab.train(scale, asked, what)
    from decisions_judge import judged, table

    from probe.cli.output import print_json

    found = judged(labs[0], labs[1:])
    if wanted.json:
        print_json(found)
    else:
        table(found)


if __name__ == "__main__":
    main()
