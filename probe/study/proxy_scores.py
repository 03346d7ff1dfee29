"""What a study's proxy says of mixtures: from their trainings, or from the surrogate fitted to what was trained."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from db.values import ArmRole, Split, StudyRecord
from probe.decide.fidelity import Differences
from probe.decide.levels import combination
from probe.errors import ProbeError
from probe.study.mixture_search import MIN_RUNS
from probe.study.observations import Observations, observations, targets
from probe.study.outcome_scores import Compared, FullScale, same_curriculum
from probe.study.ranking import study_scores
from sources.mixture import Curriculum

if TYPE_CHECKING:
    from db.store import Store
    from probe.decide.study_scores import StudyScores
    from probe.decide.surrogates import Objective

Floats = NDArray[np.float64]
TRAINED = (ArmRole.SOURCE, ArmRole.BASE, ArmRole.MIXTURE, ArmRole.CONFIRM)


class ProxyScores:
    """What the proxy says of mixtures: from their trainings, or from the surrogate, which is fitted when it is first asked."""

    def __init__(self, store: Store, study: StudyRecord, level: float) -> None:
        self.store, self.study, self.level = store, study, level
        self.scores: StudyScores = study_scores(store, study, TRAINED, Split.SELECTION)
        self.arms = {arm.name: arm for arm in store.arms(study.name)}
        self._surfaces: dict[tuple[str, ...], Objective | None] = {}

    def differences(self, one: Compared, full: Sequence[FullScale]) -> Differences:
        """Return the differences between the compared mixtures on the comparison's benchmarks."""
        count = len(one.mixtures)
        value, apart = np.full((count, count), np.nan), np.zeros((count, count), dtype=bool)
        self._trained(one, full, value, apart)
        self._predicted(one, full, value, apart)
        return Differences(value, apart)

    def _trained(self, one: Compared, full: Sequence[FullScale], value: Floats, apart: NDArray[np.bool_]) -> None:
        from probe.decide.effects import contrasts, effects, family_prior

        owned = [
            (m, place)
            for m, mixture in enumerate(one.mixtures)
            for place, arm in enumerate(self.scores.arms)
            if same_curriculum(self.arms[arm.name].curriculum, full[mixture].curriculum)
        ]
        benchmarks = [b for b in self.scores.benchmarks if b.name in one.benchmarks and b.scored()]
        if len({m for m, _ in owned}) < 2 or not benchmarks:
            return
        places = [place for _, place in owned]
        try:
            parts = [benchmark.panel(places, []) for benchmark in benchmarks]
        except ValueError:  # no two images that all of them scored
            return
        panel = combination(parts, range(len(places))).panel(parts)
        done = np.isfinite(panel.means)
        shared = done.astype(int) @ done.T.astype(int)
        best: dict[tuple[int, int], tuple[int, int]] = {}
        for i, (a, _) in enumerate(owned):
            for j, (b, _) in enumerate(owned):
                if a < b and shared[i, j] > (shared[best[a, b]] if (a, b) in best else 0):
                    best[a, b] = (i, j)
        if not best:
            return
        found = effects(contrasts(panel, list(best.values())), family_prior(panel, list(range(len(places)))))
        for (a, b), gain, p in zip(best, found.value.tolist(), found.p_two_sided().tolist(), strict=True):
            value[a, b], value[b, a] = gain, -gain
            apart[a, b] = apart[b, a] = p <= 1 - self.level

    def _predicted(self, one: Compared, full: Sequence[FullScale], value: Floats, apart: NDArray[np.bool_]) -> None:
        from scipy.special import ndtri

        missing = [(a, b) for a in range(len(value)) for b in range(a) if not np.isfinite(value[a, b])]
        seen = self._seen if missing else None
        points = [None if seen is None else _point(full[m].curriculum, seen) for m in one.mixtures]
        if seen is None or not any(points[a] is not None and points[b] is not None for a, b in missing):
            return
        if one.benchmarks not in self._surfaces:
            self._surfaces[one.benchmarks] = _surface(seen, one.benchmarks, self.level)
        surface = self._surfaces[one.benchmarks]
        for a, b in missing:
            first, second = points[a], points[b]
            if first is None or second is None or surface is None:
                continue
            mean, deviation = surface.difference(first, second)
            value[a, b], value[b, a] = mean, -mean
            apart[a, b] = apart[b, a] = abs(mean) > float(ndtri(0.5 + self.level / 2)) * deviation

    @cached_property
    def _seen(self) -> Observations | None:
        """The trained mixtures; None where they are too few to fit a surrogate to."""
        try:
            seen = observations(self.store, self.study)
        except ProbeError:
            return None
        return seen if len(seen.arms) >= max(MIN_RUNS, len(seen.sources) + 2) else None


def _point(curriculum: Curriculum, seen: Observations) -> Floats | None:
    """Return a static mixture's shares over the surrogate's sources; None for a curriculum or another source."""
    if len(curriculum.phases) != 1 or not set(curriculum.sources()) <= set(seen.sources):
        return None
    weights = curriculum.phases[0].mixture.weights()
    return np.array([weights.get(slug, 0.0) for slug in seen.sources])


def _surface(seen: Observations, benchmarks: Sequence[str], level: float) -> Objective | None:
    from probe.decide.surrogates import fit_objective

    parts = [part for part in seen.parts if part.name in benchmarks]
    if not parts:
        return None
    fitted = targets(seen, combination(parts, range(len(seen.arms))))
    return fit_objective(seen.weights, fitted.values, fitted.noise, fitted.weights, seed=0, level=level)[0]
