"""The families of surrogates by name, each fitted to many targets at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from probe.decide.surrogates.base import Floats, Surrogate
from probe.decide.surrogates.kernel_surrogates import GaussianProcess, Ridge
from probe.decide.surrogates.mixing_law import MixingLaw
from probe.decide.surrogates.trees import QUICK_REPLICATES, REPLICATES, Trees

Family = Callable[[Floats, Floats, Floats], Sequence[Surrogate]]
GAUSSIAN_PROCESS, RIDGE, MIXING_LAW, TREES = "gaussian-process", "ridge", "log-linear-law", "lightgbm"


def _laws(weights: Floats, values: Floats, noise: Floats) -> Sequence[Surrogate]:
    return [MixingLaw().fit(weights, y, known) for y, known in zip(values.T, noise.T, strict=True)]


def _trees(weights: Floats, values: Floats, noise: Floats, replicates: int = REPLICATES) -> Sequence[Surrogate]:
    pairs = zip(values.T, noise.T, strict=True)
    return [Trees(seed=k, replicates=replicates).fit(weights, y, known) for k, (y, known) in enumerate(pairs)]


# Each takes `weights[run, source]`, `values[run, target]` and `noise[run, target]`, and returns one fitted surrogate a target.
FAMILIES: Mapping[str, Family] = {
    GAUSSIAN_PROCESS: GaussianProcess.fit_all,
    RIDGE: Ridge.fit_all,
    MIXING_LAW: _laws,
    TREES: _trees,
}
QUICK_FAMILIES: Mapping[str, Family] = {**FAMILIES, TREES: partial(_trees, replicates=QUICK_REPLICATES)}  # for cross-validation
