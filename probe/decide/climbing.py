"""Search by moves: many starts at once, each going uphill by its own score and never out of what is allowed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
STEPS = (0.2, 0.003)


def climb(
    score: Callable[[Floats], Floats],
    allowed: Callable[[Floats], Bools],
    project: Callable[[Floats], Floats],
    starts: Floats,
    seed: int,
    *,
    rounds: int = 16,
    moves: int = 32,
) -> Floats:
    """Return the best point that each start reached, `[start, source]`.

    `score` takes `[start, move, source]` and returns `[start, move]`; `project` and `allowed` take `[point, source]`. Moves are normal
    with shrinking steps, a half of them among two sources alone. A start that is not allowed is where the search stays until a move is.
    """
    rng = np.random.default_rng(seed)
    best, count = starts.copy(), starts.shape[1]
    value = np.where(allowed(best), score(best[:, None])[:, 0], -np.inf)
    for step in np.geomspace(*STEPS, rounds):
        away = rng.standard_normal((len(best), moves, count))
        away[:, ::2] = _pairs(away[:, ::2], rng)
        near = project((best[:, None] + step * away).reshape(-1, count))
        tried = np.where(allowed(near).reshape(len(best), moves), score(near.reshape(len(best), moves, count)), -np.inf)
        chosen = tried.argmax(axis=1)
        better = tried[np.arange(len(best)), chosen] > value
        best = np.where(better[:, None], near.reshape(len(best), moves, count)[np.arange(len(best)), chosen], best)
        value = np.maximum(value, tried.max(axis=1))
    return best


def _pairs(away: Floats, rng: np.random.Generator) -> Floats:
    """Return moves from one source to one other."""
    first, second = rng.integers(0, away.shape[2], (2, *away.shape[:2]))
    size = np.abs(away[..., 0])[..., None] * 2
    places = np.arange(away.shape[2])
    return np.asarray(size * ((places == first[..., None]) * 1.0 - (places == second[..., None]) * 1.0), dtype=np.float64)
