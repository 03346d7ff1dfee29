"""Mixtures scored without training: weighted sums of the proxy's adapters of single sources, as the tool's search reads them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

import decisions_study as ask
import numpy as np
from decisions_full_scale import PROXY
from decisions_runs import MERGED, Lab, Run
from numpy.typing import NDArray

from db.values import SPLIT_CODES
from probe.decide.levels import Combination
from probe.decide.surrogates import MergedScores
from probe.decide.swarm import SAME, swarm_mixtures
from probe.study.items import split_items
from probe.study.merging import FEWEST_ITEMS, FILLING, ITEMS
from proxy_training.jobs import EvalSet
from proxy_training.merging import MergedAdapters
from sources.benchmark import Split
from sources.mixture import Mixture

Asked = list[tuple[Mixture, Sequence[int]]]


def with_filling(lab: Lab, trained: Sequence[Mixture]) -> Asked:
    """Return the trained mixtures in every seed, and mixtures far from these in one seed each, in turn."""
    names, own = lab.world.sources, ask.seeds(lab.sizes.seeds)
    distinct = list(dict.fromkeys(trained))
    weights = ask.weights_of(distinct, names)
    points = swarm_mixtures(names, len(distinct) + FILLING, 0, np.full(len(names), 1 / len(names)), existing=weights)
    shares = [np.array(point.shares) for point in points]
    new = [Mixture.of(dict(zip(names, row.tolist(), strict=True))) for row in shares if np.abs(weights - row).max(axis=1).min() > SAME]
    return [*((mixture, own) for mixture in distinct), *((mixture, [k % len(own)]) for k, mixture in enumerate(new))]


def score_merged(lab: Lab, asked: Asked) -> None:
    """Score merged adapters where that is not done yet, on as many selection items as the tool takes."""
    todo = lab.missing(MERGED, [Run(mixture, seed) for mixture, own in asked for seed in own])
    if not todo:
        return
    (lab.folder / MERGED).mkdir(exist_ok=True)
    proxy, engine = lab.engines.of(PROXY)
    kept = [_some_items(eval_set, len(lab.world.tasks)) for eval_set in lab.eval_sets()]
    for seed in sorted({run.seed for run in todo}):
        adapters = MergedAdapters([lab.adapter(Run(single, seed)) for single in ask.solo(lab.world).values()], proxy.recipe)
        for run in (one for one in todo if one.seed == seed):
            shares = ask.weights_of([run.mixture], lab.world.sources)[0]
            scores = engine.score_merged(adapters, (shares / shares.sum()).tolist(), [part for part, _ in kept])
            whole = []
            for one, (_, items) in zip(scores, kept, strict=True):
                values = np.full((one.values.shape[0], lab.sizes.items), np.nan, np.float32)
                values[:, items] = one.values
                whole.append(replace(one, values=values, n_items=lab.sizes.items))
            lab.keep(MERGED, run, whole, [0.0, 0.0, 0.0])
        print(f"world {lab.world.seed}, merged adapters: seed {seed} done", file=sys.stderr, flush=True)


def merged_scores(lab: Lab, asked: Asked, objective: Combination) -> MergedScores:
    """Return what merging says of mixtures, in the objective's targets, a seed's common effect taken out.

    Raises:
        FileNotFoundError: they are not scored yet.
    """
    seen = ask.observed(lab, asked, MERGED)
    found = ask.targets(seen, objective)
    return MergedScores(seen.weights, found.values, found.noise)


def _some_items(eval_set: EvalSet, tasks: int) -> tuple[EvalSet, NDArray[np.intp]]:
    """Return some selection items of a benchmark as one of their own, with their places."""
    selection = np.flatnonzero(split_items(eval_set.items)[1] == SPLIT_CODES[Split.SELECTION])
    most = min(max(FEWEST_ITEMS, ITEMS // tasks), len(selection))
    chosen = np.sort(np.random.default_rng(0).choice(selection, most, replace=False))
    return replace(eval_set, items=tuple(eval_set.items[k] for k in chosen), fingerprint=f"{eval_set.fingerprint}-merged"), chosen
