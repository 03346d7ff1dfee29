"""Benchmarks that ask for written answers: the same from both back ends, judged by their rule, beside unchanged likelihoods."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_models

from proxy_training.engine import Engine
from proxy_training.evaluation import item_turns
from proxy_training.jobs import METRICS, EngineSettings, EvalSet, ItemScores, Job, Recipe, Stage, Training
from proxy_training.proxies import proxy_spec
from sources.answer_rules.registry import RULES
from sources.benchmark import BenchmarkSpec, InHouseScorer, Item, PromptForm, Scoring

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
GENERATED, PARSED = METRICS.index("generated"), METRICS.index("parsed")


def written(benchmark: EvalSet, **changes: object) -> EvalSet:
    spec = replace(benchmark.spec, name="written", scoring=Scoring.GENERATE, answer_tokens=6, **changes)  # type: ignore[arg-type]
    return replace(benchmark, spec=spec, fingerprint=f"{benchmark.fingerprint}-written-{changes}")


def scores_of(engine: Engine, training: Training, benchmarks: tuple[EvalSet, ...], save_to: Path | None = None) -> tuple[ItemScores, ...]:
    (result,) = engine.run([Job(training, benchmarks, None, save_to)])
    assert not result.failure
    assert not result.unscored
    return result.scores


def test_an_adapter_is_judged_by_what_it_writes(engine: Engine, long_stage: Stage, recipe: Recipe, benchmark_set: EvalSet) -> None:
    """After training on colours it names them; before, it does not. The scores by likelihood are those without any generation."""
    training = Training(proxy_spec("tiny"), recipe, (long_stage,), 0)
    asked = written(benchmark_set, rule="exact-match")
    likely, judged = scores_of(engine, training, (benchmark_set, asked))
    assert np.isnan(likely.values[[GENERATED, PARSED]]).all()
    np.testing.assert_array_equal(judged.values[:GENERATED], likely.values[:GENERATED])
    assert judged.unscored == (13,)
    assert np.isnan(judged.values[GENERATED, 13])
    trained = judged.values[GENERATED, :12].mean()
    before = scores_of(engine, Training(proxy_spec("tiny"), recipe, (), 0), (asked,))[0].values[GENERATED, :12].mean()
    assert trained > max(0.9, before)
    assert scores_of(engine, training, (asked,))[0].values[GENERATED].tolist()[:13] == judged.values[GENERATED].tolist()[:13]


def test_both_back_ends_write_and_judge_alike(
    reference: Engine, stack_of_eight: Engine, stage: Stage, recipe: Recipe, benchmark_set: EvalSet, tmp_path: Path
) -> None:
    training = Training(proxy_spec("tiny"), recipe, (stage,), 3)
    asked = written(benchmark_set)
    (ours,) = scores_of(stack_of_eight, training, (asked,), tmp_path / "adapter")
    (theirs,) = next(iter(reference.run([Job(training, (asked,), tmp_path / "adapter")]))).scores
    (again,) = next(iter(stack_of_eight.run([Job(training, (asked,), tmp_path / "adapter")]))).scores
    np.testing.assert_array_equal(ours.values[[GENERATED, PARSED]], theirs.values[[GENERATED, PARSED]])
    np.testing.assert_array_equal(ours.values[[GENERATED, PARSED]], again.values[[GENERATED, PARSED]])
    assert 0 < np.nanmean(ours.values[PARSED]) <= 1


def test_writing_changes_nothing_for_a_neighbour(stack_of_eight: Engine, stage: Stage, recipe: Recipe, benchmark_set: EvalSet) -> None:
    asked = written(benchmark_set)
    short = Training(proxy_spec("tiny"), recipe, (Stage(stage.rows[:8]),), 1)
    long = Training(proxy_spec("tiny"), recipe, (stage,), 2)
    alone = next(iter(stack_of_eight.run([Job(long, (benchmark_set,))])))
    beside = {r.training_id: r for r in stack_of_eight.run([Job(long, (benchmark_set,)), Job(short, (asked,))])}
    np.testing.assert_array_equal(beside[long.training_id()].losses, alone.losses)
    np.testing.assert_allclose(beside[long.training_id()].scores[0].values, alone.scores[0].values, rtol=1e-5, atol=1e-6)


def test_a_scorer_that_fails_costs_its_own_benchmark(engine: Engine, benchmark_set: EvalSet, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def half(item, answer): return 0.5\ndef bad(item, answer): return 7\n")
    good = written(benchmark_set, scorer=InHouseScorer("own:half", folder=str(tmp_path)))
    bad = written(benchmark_set, scorer=InHouseScorer("own:bad", folder=str(tmp_path)))
    bad = replace(bad, spec=replace(bad.spec, name="bad"))
    (result,) = engine.run([Job(Training(proxy_spec("tiny"), Recipe(), (), 0), (bad, good))])
    assert [name for name, _ in result.unscored] == ["bad"]
    assert "a score is a number from 0 to 1" in result.unscored[0][1]
    assert [scores.benchmark for scores in result.scores] == ["written"]
    assert set(result.scores[0].values[GENERATED][:13]) == {0.5}


def test_the_instruction_ends_a_written_answers_question_alone() -> None:
    item, chosen = Item("1", (), "Who?", (), "x"), Item("2", (), "Who?", ("x", "y"), "x")
    spec = BenchmarkSpec("b", "c", instruction=RULES["vqa"].instruction)
    assert item_turns(spec, item)[0].text == "Who?"
    asked = replace(spec, scoring=Scoring.GENERATE)
    assert item_turns(asked, item)[0].text == "Who?\nAnswer the question using a single word or phrase."
    listed = item_turns(replace(asked, prompt_form=PromptForm.LETTER), chosen)[0].text
    assert listed == item_turns(replace(spec, prompt_form=PromptForm.LETTER), chosen)[0].text


TEXT_ONLY = tuple(Item(str(n), (), f"Is {n} a number? {'Really? ' * n}", ("yes", "no"), "yes") for n in range(4))


@pytest.mark.parametrize("family", ["tiny", "llava", "qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_questions_without_any_image_are_scored(family: str, tmp_path: Path) -> None:
    spec = proxy_spec("tiny" if family == "tiny" else str(tiny_models.build(family, tmp_path / "model")))
    engine = Engine(spec, spec.recipe, tmp_path / "features", EngineSettings("cpu"))
    plain = EvalSet(BenchmarkSpec("text", "text-only"), "text", TEXT_ONLY)
    asked = written(plain)
    likely, judged = scores_of(engine, Training(spec, spec.recipe, (), 0), (plain, asked))
    assert np.isfinite(likely.values[0]).all()
    assert np.isfinite(judged.values[[0, GENERATED, PARSED]]).all()
    ids = [row.prompt for row in engine.preparation.item_rows(plain)]
    assert all(engine.base.image_token_id not in prompt for prompt in ids)
