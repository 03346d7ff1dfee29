"""From an arm and a seed to the rows it trains on. The planner and the workers draw alike, so identities agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from db.values import BudgetUnit, StudyRecord
from proxy_training.image_text import token_counter
from proxy_training.jobs import Stage, Training
from sources.mixture import Curriculum, largest_remainder
from sources.problems import RowError
from sources.sampling import DrawnRow, SourcePool, draw_mixture, training_order
from sources.spec import SourceSpec

Clean = Callable[[SourcePool], SourcePool]  # leaves rows out that are not to be drawn


@dataclass(frozen=True, slots=True)
class Drawn:
    """What one probe trains on: the training, its rows and tokens, and the share of rows that another seed's draw holds too."""

    training: Training
    rows: int
    tokens: int
    overlap: float


class Draws:
    """Opened sources of one study; each is indexed once and each row's tokens are counted once."""

    def __init__(self, study: StudyRecord, find: Callable[[str], SourceSpec], cache_dir: Path | None, clean: Clean | None = None) -> None:
        self.study = study
        self._clean = clean
        self._find = find
        self._cache_dir = cache_dir
        self._pools: dict[str, SourcePool] = {}
        self._count = token_counter(Path(study.proxy.path), study.proxy.image_limit)
        self._tokens: dict[bytes, float] = {}  # by the row's digest, so that no row is held

    def pool(self, slug: str, progress: Callable[[int, int], None] | None = None) -> SourcePool:
        """Return a source's pool, opened on first use."""
        if slug not in self._pools:
            pool = SourcePool.open(self._find(slug), self._cache_dir, progress)
            self._pools[slug] = self._clean(pool) if self._clean else pool
        return self._pools[slug]

    def pools(self, slugs: tuple[str, ...]) -> Mapping[str, SourcePool]:
        """Return several sources' pools."""
        return {slug: self.pool(slug) for slug in slugs}

    def draw(self, curriculum: Curriculum, seed: int) -> Drawn:
        """Draw one probe's rows: its own budget or the study's, shared over phases and sources."""
        stages, rows, tokens, shared = [], 0, 0, 0.0
        in_tokens = self.study.budget_unit is BudgetUnit.TOKENS
        for budget, phase in zip(self._budgets(curriculum), curriculum.phases, strict=True):
            pools = self.pools(tuple(slug for slug, _ in phase.mixture.shares))
            drawn = draw_mixture(pools, phase.mixture, budget, seed, self.tokens_of if in_tokens else None, self._fits)
            ordered = training_order(drawn.rows, seed)
            stages.append(Stage(tuple(ordered)))
            rows += len(ordered)
            tokens += int(sum(self.tokens_of(row) for row in ordered))
            shared += drawn.overlap * len(ordered)
        return Drawn(Training(self.study.proxy, self.study.recipe, tuple(stages), seed), rows, tokens, shared / max(1, rows))

    def _budgets(self, curriculum: Curriculum) -> list[float]:
        """Return each phase's budget; in samples whole rows that sum to the budget exactly."""
        shares, budget = [phase.share for phase in curriculum.phases], curriculum.budget or self.study.budget
        if self.study.budget_unit is BudgetUnit.TOKENS or not shares:
            return [budget * share for share in shares]
        rows = largest_remainder(budget, {f"{number:06d}": share for number, share in enumerate(shares)})
        return [float(rows[number]) for number in sorted(rows)]

    def _fits(self, row: DrawnRow) -> bool:
        return self.tokens_of(row) <= self.study.recipe.max_length

    def tokens_of(self, row: DrawnRow) -> float:
        """Return a row's tokens, images included; NaN where an image cannot be loaded."""
        key = bytes.fromhex(row.digest)
        if key not in self._tokens:
            try:
                self._tokens[key] = float(self._count(row.sample))
            except RowError:
                self._tokens[key] = math.nan
        return self._tokens[key]
