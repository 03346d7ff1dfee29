"""What the proxy decided against what full scale shows."""

from __future__ import annotations

from typing import Any

import decisions_study as ask
import numpy as np
from decisions_full_scale import FULL, PROXY
from decisions_runs import Lab

from db.values import Design
from sources.benchmark import Split
from sources.mixture import Mixture

_FOUND: dict[int, ask.Found] = {}


def proxy_ranking(lab: Lab) -> Any:
    own = ask.seeds(lab.sizes.seeds)
    return ask.ranking(lab, PROXY, Split.SELECTION, {Design.SOLO: own, Design.ADD_ONE: own})


def found_of(lab: Lab) -> ask.Found:
    """Return the search's result, worked out once: the same runs always give the same."""
    if lab.world.seed not in _FOUND:
        _FOUND[lab.world.seed] = ask.search(lab, proxy_ranking(lab))
    return _FOUND[lab.world.seed]


def score(lab: Lab, scale: str, mixture: Mixture, seeds: Any, split: Split) -> np.ndarray[Any, Any]:
    """Return a mixture's score by seed: right-choice probability, equal weights of tasks."""
    arrays = lab.arrays(scale, [(mixture, seeds)], split)
    return np.mean([np.nanmean(array.values[0, 0], axis=1) for array in arrays], axis=0)


def best_random(lab: Lab) -> list[Mixture]:
    mixtures = ask.random_mixtures(lab)
    scores = [score(lab, FULL, mixture, [0], Split.CONFIRMATION)[0] for mixture in mixtures]
    return [mixtures[k] for k in np.argsort(scores)[::-1][: lab.sizes.top]]


def judged(main: Lab, others: list[Lab]) -> dict[str, Any]:
    return {}


def table(found: dict[str, Any]) -> None:
    print(found)
