"""From an arm and a seed to the rows it trains on. The planner and the workers draw alike, so identities agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from pathlib import Path

from db.values import BudgetUnit, StudyRecord
from proxy_training.image_text import token_counter
from proxy_training.jobs import Stage, Training
from sources.mixture import Curriculum, Mixture, largest_remainder
from sources.mixture_draw import Taken, draw_mixture, training_order
from sources.problems import RowError
from sources.sampling import Draw, DrawnRow, SourcePool
from sources.spec import SourceSpec

ROUNDING = 1e-6  # of budgets in tokens, which are whole numbers times shares
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
        """Draw one probe's rows: its own budget or the study's, shared over phases and sources.

        A source that several phases use goes on where it was left, so the order of the phases changes no row. Phases of one mixture in
        a row are drawn and ordered as one, and then cut: they are that mixture's own rows in its own order. Arms that share a seed and
        differ in budget draw prefixes of the same orders.
        """
        stages: list[Stage] = []
        rows, tokens, shared = 0, 0, 0.0
        taken: dict[str, Taken] | None = {} if len(curriculum.phases) > 1 else None
        for mixture, budgets in _runs(curriculum, self._budgets(curriculum)):
            drawn = self._draw_run(mixture, math.fsum(budgets), seed, taken)
            ordered = training_order(drawn.rows, seed)
            stages += [Stage(part) for part in self._cut(ordered, budgets)]
            rows += len(ordered)
            tokens += int(sum(self.tokens_of(row) for row in ordered))
            shared += drawn.overlap * len(ordered)
        training = Training(self.study.proxy, self.study.recipe, tuple(stages), seed, curriculum.restarts)
        return Drawn(training, rows, tokens, shared / max(1, rows))

    def _draw_run(self, mixture: Mixture, budget: float, seed: int, taken: dict[str, Taken] | None) -> Draw:
        pools = self.pools(tuple(slug for slug, _ in mixture.shares))
        return draw_mixture(pools, mixture, budget, seed, self.tokens_of if self._in_tokens() else None, self._fits, taken)

    def _cut(self, rows: Sequence[DrawnRow], budgets: Sequence[float]) -> list[tuple[DrawnRow, ...]]:
        """Cut rows in order where what they cost first reaches each budget; the last part takes what is left."""
        parts: list[list[DrawnRow]] = [[]]
        ends, spent = list(accumulate(budgets))[:-1], 0.0
        for row in rows:
            while len(parts) <= len(ends) and spent >= ends[len(parts) - 1] - ROUNDING:
                parts.append([])
            parts[-1].append(row)
            spent += self.tokens_of(row) if self._in_tokens() else 1.0
        return [tuple(part) for part in parts]

    def _in_tokens(self) -> bool:
        return self.study.budget_unit is BudgetUnit.TOKENS

    def _budgets(self, curriculum: Curriculum) -> list[float]:
        """Return each phase's budget; in samples whole rows that sum to the budget exactly."""
        shares, budget = [phase.share for phase in curriculum.phases], curriculum.budget or self.study.budget
        if self._in_tokens() or not shares:
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


def _runs(curriculum: Curriculum, budgets: Sequence[float]) -> Iterator[tuple[Mixture, list[float]]]:
    """Yield each run of phases with one mixture, with the budgets of its phases."""
    for mixture, phases in groupby(zip(curriculum.phases, budgets, strict=True), key=lambda pair: pair[0].mixture):
        yield mixture, [budget for _, budget in phases]
