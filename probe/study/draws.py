"""From an arm and a seed to the rows it trains on. The planner and the workers draw alike, so identities agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from db.values import BudgetUnit, StudyRecord
from proxy_training.image_text import token_counter
from proxy_training.jobs import Stage, Training
from sources.mixture import Curriculum
from sources.problems import RowError
from sources.sample import Sample
from sources.sampling import SourcePool, draw_mixture, training_order
from sources.spec import SourceSpec


@dataclass(frozen=True, slots=True)
class Drawn:
    """What one probe trains on: the training, its rows and tokens, and the share of rows that another seed's draw holds too."""

    training: Training
    rows: int
    tokens: int
    overlap: float


class Draws:
    """Opened sources of one study; each is indexed once and each row's tokens are counted once."""

    def __init__(self, study: StudyRecord, find: Callable[[str], SourceSpec], cache_dir: Path | None) -> None:
        self.study = study
        self._find = find
        self._cache_dir = cache_dir
        self._pools: dict[str, SourcePool] = {}
        self._count = token_counter(Path(study.proxy.path))
        self._tokens: dict[Sample, float] = {}

    def pool(self, slug: str, progress: Callable[[int, int], None] | None = None) -> SourcePool:
        """Return a source's pool, opened on first use."""
        if slug not in self._pools:
            self._pools[slug] = SourcePool.open(self._find(slug), self._cache_dir, progress)
        return self._pools[slug]

    def pools(self, slugs: tuple[str, ...]) -> Mapping[str, SourcePool]:
        """Return several sources' pools."""
        return {slug: self.pool(slug) for slug in slugs}

    def draw(self, curriculum: Curriculum, seed: int) -> Drawn:
        """Draw one probe's rows: the study's budget, shared over phases and sources."""
        stages, rows, tokens, shared = [], 0, 0, 0.0
        for phase in curriculum.phases:
            pools = self.pools(tuple(slug for slug, _ in phase.mixture.shares))
            drawn = draw_mixture(pools, phase.mixture, self.study.budget * phase.share, seed, self._cost)
            ordered = training_order(drawn.rows, seed)
            stages.append(Stage(tuple(ordered)))
            rows += len(ordered)
            tokens += int(sum(self._tokens_of(row.sample) for row in ordered))
            shared += drawn.overlap * len(ordered)
        return Drawn(Training(self.study.proxy, self.study.recipe, tuple(stages), seed), rows, tokens, shared / max(1, rows))

    def _cost(self, sample: Sample) -> float:
        """Return what a row takes from the budget; NaN for one that is too long for the recipe."""
        tokens = self._tokens_of(sample)
        if not tokens <= self.study.recipe.max_length:
            return math.nan
        return tokens if self.study.budget_unit is BudgetUnit.TOKENS else 1.0

    def _tokens_of(self, sample: Sample) -> float:
        if sample not in self._tokens:
            try:
                self._tokens[sample] = float(self._count(sample))
            except RowError:
                self._tokens[sample] = math.nan
        return self._tokens[sample]
