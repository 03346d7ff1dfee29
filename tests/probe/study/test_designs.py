"""The arms of each design: shares by arithmetic, rows by drawing them."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from db.values import Arm, BudgetUnit, Design, StudyRecord
from probe.errors import UsageError
from probe.study import designs
from probe.study.designs import Question, Unit
from probe.study.draws import Drawn, Draws
from probe.study.request import GroupBy, RunRequest
from probe.study.units import asked_units, base_with_parts, group_notes
from proxy_training.proxies import proxy_spec
from sources.mixture import Mixture, Phase
from sources.spec import SourceSpec

BASE = Mixture.of({"colour": 0.5, "shape": 0.3, "chart": 0.2})
EASY_TO_HARD = (Phase(Mixture.of({"colour": 0.8, "shape": 0.2}), 0.4), Phase(Mixture.of({"colour": 0.3, "chart": 0.7}), 0.6))


def find(slug: str) -> SourceSpec:
    return SourceSpec(slug, "world", options=(("rows", {"colour": "150", "shape": "100"}.get(slug, "50")), ("skill", slug)))


def study(unit: BudgetUnit = BudgetUnit.SAMPLES, budget: int = 97) -> StudyRecord:
    proxy = proxy_spec("tiny")
    return StudyRecord("s", proxy, proxy.recipe, BASE, True, unit, budget)


def ask(design: Design, *units: Unit | str, record: StudyRecord | None = None, **options: Any) -> dict[str, Arm]:
    asked = tuple(unit if isinstance(unit, Unit) else Unit(unit, Mixture.single(unit)) for unit in units)
    question = Question(record or study(), RunRequest(tuple(unit.name for unit in asked), **options), asked, BASE)
    return {one.arm.name: one.arm for one in designs.DESIGNS[design](question)}


def weights(arm: Arm) -> dict[str, float]:
    assert sum(share for _, share in arm.curriculum.phases[0].mixture.shares) == pytest.approx(1)
    return arm.curriculum.phases[0].mixture.weights()


def rows_of(drawn: Drawn) -> Counter[str]:
    return Counter(row.source for stage in drawn.training.stages for row in stage.rows)


def steps(drawn: Drawn) -> list[int]:
    return [-(-len(stage.rows) // drawn.training.recipe.batch_size) for stage in drawn.training.stages]


def test_leave_one_out_gives_the_rest_its_place_by_default_of_every_source_of_the_base() -> None:
    arms = ask(Design.LEAVE_ONE_OUT)
    assert list(arms) == ["untrained", "base", "-chart", "-colour", "-shape"]
    assert weights(arms["-colour"]) == pytest.approx({"shape": 0.6, "chart": 0.4})
    assert weights(arms["base"]) == pytest.approx(BASE.weights())
    assert {arms[name].source for name in ("-colour", "-shape")} == {"colour", "shape"}


def test_halving_moves_half_of_a_groups_share_to_the_rest_and_keeps_its_inside() -> None:
    group = Unit("seen", Mixture.of({"colour": 1, "shape": 5}))
    arms = ask(Design.HALVING, group, "chart", doubled=False)
    assert list(arms) == ["untrained", "base", "~seen", "~chart"]
    assert weights(arms["~seen"]) == pytest.approx({"colour": 0.25, "shape": 0.15, "chart": 0.6})
    doubled = ask(Design.HALVING, "chart", doubled=True)
    assert weights(doubled["~chart"]) == pytest.approx({"colour": 0.5625, "shape": 0.3375, "chart": 0.1})
    assert weights(doubled["^chart"]) == pytest.approx({"colour": 0.375, "shape": 0.225, "chart": 0.4})
    with pytest.raises(UsageError, match=r"colour has a share of 0.5, which cannot be doubled"):
        ask(Design.HALVING, "colour", doubled=True)


@pytest.mark.parametrize("design", [Design.LEAVE_ONE_OUT, Design.HALVING])
def test_what_is_asked_about_a_base_must_be_a_part_of_it(design: Design) -> None:
    with pytest.raises(UsageError, match=r"word has no share in the base mixture \(chart, colour, shape\)"):
        ask(design, "word")
    with pytest.raises(UsageError, match="all is the whole base mixture"):
        ask(design, Unit("all", BASE))


def test_a_group_is_added_and_trained_alone_as_its_mixture() -> None:
    group = Unit("new", Mixture.of({"word": 3, "count": 1}))
    assert weights(ask(Design.SOLO, group)["new"]) == {"word": 0.75, "count": 0.25}
    added = ask(Design.ADD_ONE, group)["+new"]
    assert weights(added) == pytest.approx({"colour": 0.4, "shape": 0.24, "chart": 0.16, "word": 0.15, "count": 0.05})
    assert (added.source, added.design) == ("new", Design.ADD_ONE)


def test_a_ladder_doubles_four_times_up_to_the_budget_and_its_draws_are_nested() -> None:
    arms = ask(Design.LADDER, "colour", record=study(budget=96))
    assert list(arms)[1:] == ["colour@6", "colour@12", "colour@24", "colour@48", "colour@96"]
    assert [arm.curriculum.budget for arm in arms.values()][1:] == [6, 12, 24, 48, 96]
    draws = Draws(study(budget=96), find, None)
    digests = [{row.digest for row in draws.draw(arm.curriculum, 3).training.stages[0].rows} for arm in list(arms.values())[1:]]
    assert all(small < large for small, large in itertools.pairwise(digests))
    solo = draws.draw(ask(Design.SOLO, "colour")["colour"].curriculum, 3)
    assert draws.draw(arms["colour@96"].curriculum, 3).training.training_id() == solo.training.training_id()  # trained once


def test_a_ladder_without_a_source_is_of_the_base_mixture() -> None:
    arms = ask(Design.LADDER, sizes=(80, 20, 40, 20))
    assert list(arms) == ["untrained", "base@20", "base@40", "base@80"]
    draws = Draws(study(), find, None)
    assert rows_of(draws.draw(arms["base@40"].curriculum, 0)) == {"colour": 20, "shape": 12, "chart": 8}
    with pytest.raises(UsageError, match="needs two sizes or more"):
        ask(Design.LADDER, "colour", sizes=(50,))


@pytest.mark.parametrize(("unit", "budget"), [(BudgetUnit.SAMPLES, 97), (BudgetUnit.SAMPLES, 50), (BudgetUnit.TOKENS, 2000)])
def test_orders_of_phases_train_on_the_very_same_rows_in_as_many_steps(unit: BudgetUnit, budget: int) -> None:
    record = study(unit, budget)
    arms = ask(Design.PHASES, record=record, phases=EASY_TO_HARD)
    names = ["phases/staged", "phases/reversed", "phases/mixed", "phases/mixed-restarts"]
    assert list(arms)[1:] == names
    draws = Draws(record, find, None)
    drawn = {name: draws.draw(arms[name].curriculum, 1) for name in names}
    rows = [sorted(row.digest for stage in one.training.stages for row in stage.rows) for one in drawn.values()]
    assert all(others == rows[0] for others in rows)
    assert len({one.tokens for one in drawn.values()}) == 1
    staged, mixed, restarted = (drawn[f"phases/{name}"] for name in ("staged", "mixed", "mixed-restarts"))
    if unit is BudgetUnit.SAMPLES:
        assert staged.rows == budget
        assert len({tuple(steps(one)) for one in (staged, mixed, restarted)}) == 1
    assert set(rows_of(replace(staged, training=replace(staged.training, stages=staged.training.stages[:1])))) == {"colour", "shape"}
    assert [one.training.restarts for one in drawn.values()] == [True, True, False, True]
    assert mixed.training.stages == restarted.training.stages  # nothing but the learning rate tells them apart
    assert mixed.training.training_id() != restarted.training.training_id()


def test_phases_by_size_and_without_restarts() -> None:
    arms = ask(Design.PHASES, phases=EASY_TO_HARD, sizes=(40, 80), restarts=False)
    assert list(arms)[1:4] == ["phases/staged-one-schedule@40", "phases/reversed-one-schedule@40", "phases/mixed@40"]
    assert not any(arm.curriculum.restarts for arm in arms.values())
    draws = Draws(study(), find, None)
    assert [draws.draw(arm.curriculum, 0).rows for arm in arms.values()] == [0, 40, 40, 40, 80, 80, 80]
    with pytest.raises(UsageError, match="two or more"):
        ask(Design.PHASES, phases=EASY_TO_HARD[:1])
    with pytest.raises(UsageError, match="2 rows are too few"):
        ask(Design.PHASES, phases=(*EASY_TO_HARD, EASY_TO_HARD[0]), sizes=(2,))


def test_a_source_of_two_phases_goes_on_where_it_was_left() -> None:
    draws = Draws(study(), find, None)
    twice = ask(Design.PHASES, phases=(Phase(Mixture.single("colour")), Phase(Mixture.of({"colour": 0.5, "shape": 0.5}))))
    first, second = draws.draw(twice["phases/staged"].curriculum, 0).training.stages
    assert not {row.digest for row in first.rows} & {row.digest for row in second.rows}


def test_gates_grow_the_base_by_what_was_accepted() -> None:
    arms = ask(Design.ADD_ONE, "word", "count", gates=(("word", "count"), ("count",)))
    assert list(arms) == ["untrained", "base", "+word+count", "+count"]
    assert weights(arms["+word+count"]) == pytest.approx({"colour": 0.32, "shape": 0.192, "chart": 0.128, "word": 0.16, "count": 0.2})


def test_units_of_a_run_are_named_groups_and_single_sources() -> None:
    draws = Draws(study(), find, None)
    request = RunRequest(("chart",), groups=(("seen", ("colour", "shape")),))
    units = asked_units(request, BASE, draws)
    assert [unit.name for unit in units] == ["seen", "chart"]
    assert units[0].mixture.weights() == pytest.approx({"colour": 0.6, "shape": 0.4})  # of 150 and 100 rows
    assert group_notes(units) == ["Group seen: colour 60%, shape 40%, in proportion to usable rows."]
    with pytest.raises(UsageError, match="two units are called 'chart'"):
        asked_units(replace(request, groups=(("chart", ("colour",)),)), BASE, draws)


def test_units_by_capability_and_by_the_form_of_answers() -> None:
    draws = Draws(study(), find, None)
    by_capability = asked_units(RunRequest((), by=GroupBy.CAPABILITY), BASE, draws)
    assert {unit.name: unit.slugs() for unit in by_capability} == {"recognition": {"colour", "shape"}, "charts": {"chart"}}
    by_format = asked_units(RunRequest((), by=GroupBy.FORMAT), BASE, draws)
    assert {unit.name for unit in by_format} == {"short"}  # the world's questions have answers of a word or two


def test_a_part_of_a_source_can_be_left_out_of_the_base() -> None:
    draws = Draws(replace(study(), base=Mixture.single("all")), lambda slug: SourceSpec(slug, "world", options=world_options(slug)), None)
    base = Mixture.of({"all": 0.6, "chart": 0.4})
    units = asked_units(RunRequest(("all",), by=GroupBy.SUBSOURCE), base, draws)
    assert len(units) > 2
    assert all(unit.name.startswith("all/") for unit in units)
    parts = base_with_parts(base, units, draws)
    assert parts.weights()["chart"] == pytest.approx(0.4)
    assert sum(share for slug, share in parts.shares if slug.startswith("all/")) == pytest.approx(0.6)
    usable = draws.pool("all").subsources
    ratio = parts.weights()[units[0].name] / parts.weights()[units[1].name]
    names = sorted(usable)
    assert ratio == pytest.approx(usable[names[0]] / usable[names[1]])


def world_options(slug: str) -> tuple[tuple[str, str], ...]:
    name, _, part = slug.partition("/")
    options = (("rows", "80"), ("skill", name))
    return (*options, ("subsource", part)) if part else options
