"""Search of the simplex for the best mixture, with intervals of its weights and its predicted gain against every baseline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probe.decide.posterior import posterior_draws
from probe.decide.region import Region
from probe.decide.simplex import ShareBounds, divergence, from_exponentials, sobol_mixtures, to_exponentials
from probe.decide.surrogates import Objective
from sources.estimate import Estimate

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]
SMALL_SHARE = 0.01
NO_LOSS = 0.01  # of the spread between baselines: far below what any confirmation could measure
PLAUSIBLE, NEAR = 600, 900  # mixtures among which the best of a drawn surface is looked for


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How to search.

    `caution` subtracts so many posterior deviations (0: the mean, 1: a lower bound). `trust` is the price of one nat of divergence from
    the prior, in deviations of the surface over the simplex: unregularised optima are degenerate (Olmix, arXiv 2602.12237, keeps a KL
    term to the prior for that reason). `draws` is the number of surfaces that the weights' intervals rest on. `storage` is an Optuna
    storage URL; None keeps the trials in memory.
    """

    trials: int = 150
    seed: int = 0
    caution: float = 0.0
    trust: float = 0.05
    points: int = 4096
    draws: int = 256
    level: float = 0.90
    storage: str | None = None
    study: str = "mixture"


@dataclass(frozen=True, slots=True, eq=False)
class Optimum:
    """The chosen mixture: `weights` by source with intervals, predicted gains by baseline, and the baselines' own weights."""

    sources: tuple[str, ...]
    weights: Mapping[str, Estimate]
    predicted: Estimate
    predicted_gain: Mapping[str, Estimate]
    baselines: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def shares(self) -> dict[str, float]:
        """Return the shares that are not zero."""
        return {name: weight.value for name, weight in self.weights.items() if weight.value > 0}


class _Surface:
    """The objective less the price of distance; a mixture outside the region counts as worse than all others, by how far it is out."""

    def __init__(self, objective: Objective, prior: Floats, region: Region, settings: SearchSettings, grid: Floats) -> None:
        self.objective, self.prior, self.region, self.caution = objective, prior, region, settings.caution
        mean = objective.predict(grid)[0]
        self.spread = float(np.std(mean))
        self.price = settings.trust * self.spread
        self.worst = float(mean.min()) - 10 * self.spread

    def __call__(self, points: ArrayLike) -> Floats:
        if not self.region.floors:  # whatever else is asked for, projected points keep
            return self.inside(points)
        short = self.region.shortfall(points)
        return np.where(short > 0, self.worst - short, self.inside(points))

    def inside(self, points: ArrayLike) -> Floats:
        """Return the value of points that are known to be in the region."""
        mean, deviation = self.objective.predict(points)
        return mean - self.caution * deviation - self.price * divergence(points, self.prior)


def baseline_mixtures(sources: Sequence[str], base: ArrayLike, usable: Sequence[float] | None, objective: Objective) -> dict[str, Floats]:
    """Return what every candidate is compared with: base, uniform, proportional to usable rows, and the single source predicted best."""
    count = len(sources)
    singles = np.eye(count)
    best = int(np.argmax(objective.predict(singles)[0]))
    given = np.asarray(base, dtype=np.float64)
    rows = np.asarray(usable, dtype=np.float64) if usable is not None else np.ones(count)
    return {
        "base": given / given.sum(),
        "uniform": np.full(count, 1 / count),
        "proportional": rows / rows.sum(),
        "best_single": singles[best],
    }


def search_mixture(
    objective: Objective,
    sources: Sequence[str],
    base: ArrayLike,
    bounds: ShareBounds | Region,
    *,
    prior: ArrayLike | None = None,
    usable: Sequence[float] | None = None,
    observed: ArrayLike | None = None,
    settings: SearchSettings | None = None,
    n: int = 0,
    progress: Progress | None = None,
) -> Optimum:
    """Find the mixture with the greatest predicted objective within `bounds`, and say how well it is known.

    `prior` is what distance is priced from; by default the base. Candidates always include base, uniform, proportional, every single
    source and the `observed` mixtures ([run, source]), all brought within the bounds; Optuna's TPE (Bergstra et al. 2011) goes on from
    them and a local refinement ends it. Deterministic in the seed. Shares below 1 % are dropped where that costs nothing measurable.
    Weight intervals are percentiles over the best mixtures of surfaces drawn from the posterior; gains are the posterior's, at
    `settings.level`. `n` is the number of selection items, for the estimates.

    Raises:
        ValueError: no mixture was found that keeps the region's floors.
    """
    settings = settings or SearchSettings()
    region = bounds if isinstance(bounds, Region) else Region(bounds)
    named = baseline_mixtures(sources, base, usable, objective)
    grid = region.project(sobol_mixtures(settings.points, len(sources), settings.seed))
    away_from = named["base"] if prior is None else np.asarray(prior, dtype=np.float64)
    surface = _Surface(objective, away_from, region, settings, grid)
    runs = np.atleast_2d(np.asarray(observed, dtype=np.float64)) if observed is not None else np.empty((0, len(sources)))
    starts = region.project(np.vstack([*named.values(), np.eye(len(sources)), runs]))
    tried = _optuna(surface, starts, settings, progress)
    candidates = np.vstack([tried, starts, grid])
    found = _dropped(surface, _best(surface, candidates, surface(candidates), settings.seed))
    if region.shortfall(found)[0] > 0:
        raise ValueError("no mixture was found that keeps all constraints")
    spread = _best_of_draws(surface, np.vstack([starts, grid]), found, settings)
    return _optimum(objective, tuple(sources), found, spread, named, settings.level, n)


def _optuna(surface: _Surface, starts: Floats, settings: SearchSettings, progress: Progress | None) -> Floats:
    """Run the trials and return every mixture tried."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    names = [f"x{k}" for k in range(starts.shape[1])]
    study = optuna.create_study(
        storage=settings.storage,
        study_name=settings.study if settings.storage else None,
        sampler=optuna.samplers.TPESampler(seed=settings.seed),
        direction="maximize",
        load_if_exists=True,
    )
    best = starts[np.argsort(-surface(starts), kind="stable")[: max(1, settings.trials // 2)]]
    for point in to_exponentials(best):
        study.enqueue_trial(dict(zip(names, point.tolist(), strict=True)))
    tried: list[Floats] = []

    def score(trial: optuna.Trial) -> float:
        point = surface.region.project(from_exponentials([trial.suggest_float(name, 1e-6, 1 - 1e-6) for name in names]))
        tried.append(point[0])
        return float(surface(point)[0])

    def report(_study: optuna.Study, _trial: optuna.trial.FrozenTrial) -> None:
        if progress is not None:
            progress(len(tried), settings.trials)

    study.optimize(score, n_trials=settings.trials, callbacks=[report])
    return np.array(tried)


def _best(surface: _Surface, candidates: Floats, values: Floats, seed: int, *, rounds: int = 12, moves: int = 64) -> Floats:
    """Return the best candidate by `values` after local refinement: shrinking random moves, all kept within the region."""
    rng = np.random.default_rng(seed)
    best: Floats = candidates[int(np.argmax(values))]
    value = float(values.max())
    for step in np.geomspace(0.2, 0.005, rounds):
        near = surface.region.project(best + step * rng.standard_normal((moves, candidates.shape[1])))
        values = surface(near)
        if values.max() > value:
            best, value = near[int(np.argmax(values))], float(values.max())
    return best


def _dropped(surface: _Surface, found: Floats) -> Floats:
    """Drop shares below 1 %, smallest first, while the objective loses less than can be measured."""
    allowed = NO_LOSS * surface.spread
    start, kept = float(surface(found[None])[0]), found
    gone: list[int] = []
    for k in np.argsort(found, kind="stable").tolist():
        if found[k] >= SMALL_SHARE:
            break
        rest = surface.region.without([*gone, k])
        if rest is None:
            continue
        trial = rest.project(np.where(np.isin(np.arange(len(found)), [*gone, k]), 0.0, kept))[0]
        if float(surface(trial[None])[0]) >= start - allowed:
            gone, kept = [*gone, k], trial
    return kept


def _best_of_draws(surface: _Surface, wide: Floats, found: Floats, settings: SearchSettings) -> Floats:
    """Return the best mixture `[draw, source]` of each of the surfaces drawn from the posterior: where the optimum may be.

    Each is looked for among those of the `wide` mixtures that may be best, near them, and near the one that was found (the posterior of
    the maximiser; Hennig & Schuler 2012, JMLR 13, 1809-1837). Refits to redrawn runs, a parametric bootstrap, were measured too
    (`benchmarks/mixtures.py`): they smooth twice, and their intervals held .79 of the true shares instead of .90.
    """
    if not settings.draws:
        return np.empty((0, len(found)))
    rng, region = np.random.default_rng(settings.seed + 1), surface.region
    mean, deviation = surface.objective.predict(wide)
    price = surface.price * divergence(wide, surface.prior)
    plausible = wide[np.argsort(-(mean + 2 * deviation - price), kind="stable")[:PLAUSIBLE]]
    centres = np.vstack([plausible[rng.integers(0, min(100, len(plausible)), 2 * NEAR // 3)], np.tile(found, (NEAR // 3, 1))])
    steps = rng.choice([0.02, 0.05, 0.1], (len(centres), 1))
    near = region.project(centres + steps * rng.standard_normal(centres.shape))
    pool = np.vstack([found, plausible, near])
    pool = pool[region.shortfall(pool) == 0]
    drawn = posterior_draws(surface.objective, pool, settings.draws, settings.seed)
    cautious = drawn - surface.caution * surface.objective.predict(pool)[1] - surface.price * divergence(pool, surface.prior)
    return np.asarray(pool[np.argmax(cautious, axis=1)])


def _optimum(
    objective: Objective, sources: tuple[str, ...], found: Floats, spread: Floats, named: Mapping[str, Floats], level: float, n: int
) -> Optimum:
    from scipy.special import ndtri

    z = float(ndtri(0.5 + level / 2))
    mean, deviation = (float(part[0]) for part in objective.predict(found[None]))
    gains = {name: _normal(*objective.difference(found, weights), z, n) for name, weights in named.items()}
    return Optimum(
        sources=sources,
        weights={name: _percentiles(float(found[k]), spread[:, k], level) for k, name in enumerate(sources)},
        predicted=_normal(mean, deviation, z, n),
        predicted_gain=gains,
        baselines={name: dict(zip(sources, weights.tolist(), strict=True)) for name, weights in named.items()},
    )


def _normal(value: float, deviation: float, z: float, n: int) -> Estimate:
    return Estimate(value, deviation, value - z * deviation, value + z * deviation, n)


def _percentiles(value: float, drawn: Floats, level: float) -> Estimate:
    """Return a weight with its percentile interval, widened where needed to hold the weight itself; n counts the draws."""
    if not len(drawn):
        return Estimate(value, float("nan"), value, value, 0)
    low, high = np.quantile(drawn, [0.5 - level / 2, 0.5 + level / 2]).tolist()
    return Estimate(value, float(drawn.std(ddof=min(1, len(drawn) - 1))), min(low, value), max(high, value), len(drawn))
