"""Arms of one study spend the same budget, and what is remembered of their rows does not hold the rows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from db.values import BudgetUnit, StudyRecord
from probe.study.draws import Draws
from proxy_training.proxies import proxy_spec
from sources.mixture import Curriculum, Mixture, Phase
from sources.spec import SourceSpec

SLUGS = ("colour", "shape", "chart")
MIXTURES = [
    Mixture.single("colour"),
    Mixture.of({"colour": 0.37, "shape": 0.35, "chart": 0.28}),
    Mixture.of({"colour": 1, "shape": 1, "chart": 1}),
    Mixture.of({"colour": 0.9991, "shape": 0.0009}),
]


def find(slug: str) -> SourceSpec:
    return SourceSpec(slug, "world", options=(("rows", "60"), ("skill", slug)))


def draws(unit: BudgetUnit, budget: int, max_length: int = 0) -> Draws:
    proxy = proxy_spec("tiny")
    recipe = replace(proxy.recipe, max_length=max_length or proxy.recipe.max_length)
    return Draws(StudyRecord("s", proxy, recipe, Mixture.single("colour"), False, unit, budget), find, None)


@pytest.mark.parametrize("budget", [50, 96, 97])
def test_every_mixture_draws_exactly_the_budget_in_samples(budget: int) -> None:
    found = draws(BudgetUnit.SAMPLES, budget)
    for mixture in MIXTURES:
        assert found.draw(Curriculum.static(mixture), 0).rows == budget
    phases = Curriculum(tuple(Phase(MIXTURES[i], share) for i, share in ((1, 1 / 3), (2, 1 / 3), (0, 1 / 3))))
    drawn = found.draw(phases, 0)
    assert drawn.rows == budget
    assert max(len(stage.rows) for stage in drawn.training.stages) - min(len(stage.rows) for stage in drawn.training.stages) <= 1


def test_too_long_rows_are_left_out_and_the_counts_stay() -> None:
    whole = draws(BudgetUnit.SAMPLES, 40)
    tokens = sorted(whole.tokens_of(row) for row in whole.pool("colour").draw(60, 0).rows)
    assert tokens[30] < tokens[-1], "some rows are longer"
    short = draws(BudgetUnit.SAMPLES, 40, max_length=int(tokens[30]))
    drawn = short.draw(Curriculum.static(MIXTURES[1]), 0)
    assert drawn.rows == 40
    assert all(short.tokens_of(row) <= tokens[30] for row in drawn.training.stages[0].rows)


def test_a_budget_in_tokens_is_reached_by_every_mixture() -> None:
    found = draws(BudgetUnit.TOKENS, 2000)
    for mixture in MIXTURES[:3]:
        drawn = found.draw(Curriculum.static(mixture), 0)
        assert 2000 <= drawn.tokens < 2000 + 3 * 120
    assert all(isinstance(key, bytes) and len(key) == 16 for key in found._tokens)
