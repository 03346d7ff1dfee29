"""Simulated studies of known truth; `benchmarks/calibration.py` makes its table with the same worlds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from db.values import ArmRole, Design
from probe.decide.effects import Effects, contrasts, effects, family_prior
from probe.decide.multiplicity import holm
from probe.decide.panel import benchmark_panel
from probe.decide.study_scores import BenchmarkArrays, StudyArm, StudyScores


@dataclass(frozen=True)
class World:
    """Deviations of the random parts; `unequal` is the log-deviation of the arms' seed noise, `heavy` draws it from t with 4 df."""

    clusters: int = 60
    cluster_size: int = 3
    seed: float = 0.05
    shared_seed: float = 0.05
    cluster: float = 0.3
    arm_by_cluster: float = 0.09
    interaction: float = 0.06
    noise: float = 0.15
    unequal: float = 0.0
    heavy: bool = False

    def groups(self) -> NDArray[np.int64]:
        return np.repeat(np.arange(self.clusters), self.cluster_size)

    def scores(
        self,
        rng: np.random.Generator,
        arms: int,
        repeats: int,
        truth: NDArray[np.float64] | float = 0.0,
        deviations: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """Return `scores[arm, repeat, item]` of arms with the true means `truth`; seed `deviations[arm]` are drawn if not given."""
        c = self.clusters
        draws = rng.standard_t(4, (arms, repeats)) / np.sqrt(2) if self.heavy else rng.standard_normal((arms, repeats))
        own = self.deviations(rng, arms) if deviations is None else deviations
        seeds = draws * own[:, None] + rng.normal(0, self.shared_seed, repeats)
        clusters = rng.normal(0, self.cluster, c) + rng.normal(0, self.arm_by_cluster, (arms, c))
        mean = seeds[:, :, None] + clusters[:, None, :] + rng.normal(0, self.interaction, (arms, repeats, c))
        items = np.repeat(mean, self.cluster_size, axis=2)
        return items + rng.normal(0, self.noise, items.shape) + np.broadcast_to(truth, arms)[:, None, None]

    def deviations(self, rng: np.random.Generator, arms: int) -> NDArray[np.float64]:
        """Draw the arms' seed deviations."""
        return self.seed * np.exp(rng.normal(0, self.unequal, arms))

    def pair_variance(self, one: NDArray[np.float64], other: NDArray[np.float64], repeats: int) -> NDArray[np.float64]:
        """Return the true variance of the difference of two arms' means, given their seed deviations; what they share cancels."""
        once = self.arm_by_cluster**2 + (self.interaction**2 + self.noise**2 / self.cluster_size) / repeats
        return (one**2 + other**2) / repeats + 2 * once / self.clusters

    def untrained(self, rng: np.random.Generator, repeats: int) -> NDArray[np.float64]:
        """Return the one run of the untrained proxy, the other repeats missing."""
        run = np.repeat(rng.normal(0, self.arm_by_cluster, self.clusters), self.cluster_size)
        return np.where(np.arange(repeats)[:, None] == 0, run, np.nan)[None]


@dataclass(frozen=True)
class Measured:
    """One simulated null study: arms against the base, against the untrained proxy, and all pairs of arms."""

    base: Effects
    untrained: Effects
    pairs: Effects


def null_studies(world: World, sources: int, repeats: int, studies: int, seed: int = 0) -> Iterator[Measured]:
    rng = np.random.default_rng(seed)
    for _ in range(studies):
        scores = np.concatenate([world.scores(rng, sources + 1, repeats), world.untrained(rng, repeats)])
        panel = benchmark_panel(scores, world.groups(), one_run=[sources + 1])
        arms = range(1, sources + 1)
        prior = family_prior(panel, [0, *arms])
        yield Measured(
            effects(contrasts(panel, [(a, 0) for a in arms]), prior),
            effects(contrasts(panel, [(a, sources + 1) for a in arms]), family_prior(panel, list(arms), sources + 1)),
            effects(contrasts(panel, [(a, b) for a in arms for b in arms if a < b]), prior),
        )


def calibration(world: World, sources: int, repeats: int, studies: int, seed: int = 0) -> dict[str, float]:
    """Return coverage of the 90 % intervals and how often a study of null arms has any false decision at .05."""
    rows = [
        (
            float((np.abs(one.base.value) < one.base.half_width(0.9)).mean()),
            float((np.abs(one.untrained.value) < one.untrained.half_width(0.9)).mean()),
            bool((holm(one.base.p_two_sided()) <= 0.05).any()),
            bool((holm(one.pairs.p_two_sided()) <= 0.05).any()),
        )
        for one in null_studies(world, sources, repeats, studies, seed)
    ]
    mean = np.mean(np.array(rows, dtype=np.float64), axis=0).tolist()
    return dict(zip(("cover_base", "cover_untrained", "false_verdict", "false_tier"), mean, strict=True))


def paired_effects(
    scores: NDArray[np.float64], groups: NDArray[np.int64], pairs: Sequence[tuple[int, int]], *, one_run: Sequence[int] = ()
) -> Effects:
    """Return the paired differences of one benchmark, variances moderated over all trained arms; `pairs` are (arm, other)."""
    panel = benchmark_panel(scores, groups, one_run=one_run)
    untrained = {b for _, b in pairs if b in one_run}
    trained = [a for a in range(panel.means.shape[0]) if a not in one_run]
    return effects(contrasts(panel, pairs), family_prior(panel, trained, untrained.pop() if untrained else None))


def study(
    scores: dict[str, NDArray[np.float64]],
    names: list[str],
    groups: NDArray[np.int64],
    *,
    design: Design = Design.SOLO,
    capabilities: dict[str, str] | None = None,
    free_text: tuple[str, ...] = (),
    pool: str = "",
) -> StudyScores:
    """Wrap `scores[benchmark][arm, repeat, item]` as a study; the first name is the reference of `design`."""
    role = ArmRole.UNTRAINED if design is Design.SOLO else ArmRole.BASE
    arms = (StudyArm(names[0], role), *(StudyArm(name, ArmRole.SOURCE, design, name) for name in names[1:]))
    benchmarks = []
    for name, values in scores.items():
        metrics = np.full((4, *values.shape), np.nan)
        metrics[3 if name in free_text else 0] = -values if name in free_text else values
        metrics[2] = values > 0.5
        metrics[2][~np.isfinite(values)] = np.nan
        benchmarks.append(BenchmarkArrays(name, (capabilities or {}).get(name, name), metrics, groups, pool=pool))
    return StudyScores("main", 3, "tiny", False, arms, tuple(benchmarks))
