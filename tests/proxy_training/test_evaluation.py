"""Scores: one row with all choices equals one forward a choice; metrics by their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from proxy_training import peft_backend
from proxy_training.chat import ChatEncoder
from proxy_training.engine import Engine
from proxy_training.evaluation import candidate_log_probabilities, encode_item, item_turns, lay_out
from proxy_training.jobs import METRICS, EvalSet, Job, Recipe, Training
from proxy_training.proxies import proxy_spec
from sources.benchmark import BenchmarkSpec, Item, PromptForm
from sources.images import load_image
from sources.sample import Role, Turn

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def untrained(engine: Engine, benchmark: EvalSet) -> np.ndarray:
    result = next(iter(engine.run([Job(Training(proxy_spec("tiny"), Recipe(), (), 0), (benchmark,))])))
    return result.scores[0].values


def naive_log_probability(engine: Engine, item: Item, answer: str) -> float:
    """Sum of log-probabilities of the answer's tokens and the end token, by the model's own uncached forward."""
    image = engine.base.process_image(load_image(item.images[0])) if item.images else None
    turns = (Turn(Role.USER, (*range(len(item.images)), item.question)), Turn(Role.ASSISTANT, (answer,)))
    encoded = engine.encoder.encode(turns, [image.expansion] if image else [])
    ids = torch.tensor(encoded.input_ids[None], dtype=torch.long)
    with torch.no_grad():
        logits = engine.base.model(input_ids=ids, pixel_values=image.pixels[None] if image else None).logits[0, :-1]
    picked = logits.log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]
    return float(picked[torch.tensor(encoded.is_label[1:])].double().sum())


def test_choices_in_one_row_score_as_one_forward_a_choice(engine: Engine, benchmark_set: EvalSet) -> None:
    values = untrained(engine, benchmark_set)
    for i, item in enumerate(benchmark_set.items[:5]):
        logs = np.array([naive_log_probability(engine, item, choice) for choice in item.choices])
        right = item.choices.index(item.answer)
        assert values[0, i] == pytest.approx(np.exp(logs[right]) / np.exp(logs).sum(), rel=1e-4)
        assert values[2, i] == float(logs.argmax() == right)
    free = benchmark_set.items[12]
    bits = -naive_log_probability(engine, free, free.answer) / np.log(2) / len(free.answer.encode())
    assert values[METRICS.index("bits_per_byte"), 12] == pytest.approx(bits, rel=1e-4)


def test_metrics_that_do_not_apply_are_nan_and_lost_images_are_named(engine: Engine, benchmark_set: EvalSet) -> None:
    values = untrained(engine, benchmark_set)
    assert np.isfinite(values[:3, :12]).all()
    assert np.isnan(values[3, :12]).all()
    assert np.isnan(values[:3, 12]).all()
    assert np.isnan(values[:, 13]).all()
    result = next(iter(engine.run([Job(Training(proxy_spec("tiny"), Recipe(), (), 0), (benchmark_set,))])))
    assert result.scores[0].unscored == (13,)


def test_scores_do_not_depend_on_what_an_item_is_batched_with(engine: Engine, benchmark_set: EvalSet) -> None:
    alone = EvalSet(benchmark_set.spec, "alone", benchmark_set.items[3:4])
    np.testing.assert_allclose(untrained(engine, alone)[0, 0], untrained(engine, benchmark_set)[0, 3], rtol=1e-4)


def test_prompt_forms(engine: Engine) -> None:
    item = Item("a", (), "Which?", ("left", "right"), "right")
    turn, answers = item_turns(BenchmarkSpec("b", "c", prompt_form=PromptForm.LETTER), item)
    assert answers == ("A", "B")
    assert turn.text == "Which?\nA. left\nB. right\nAnswer with the option's letter from the given choices directly."
    turn, answers = item_turns(BenchmarkSpec("b", "c"), item)
    assert (turn.text, answers) == ("Which?", ("left", "right"))


def test_choice_that_begins_like_another_is_told_apart(engine: Engine) -> None:
    items = tuple(Item(str(i), (), "Pick.", ("dark blue", "dark", "dark blue green"), a) for i, a in enumerate(("dark", "dark blue green")))
    benchmark = EvalSet(BenchmarkSpec("b", "c"), "prefixes", items)
    values = untrained(engine, benchmark)
    logs = np.array([naive_log_probability(engine, items[0], choice) for choice in items[0].choices])
    p = np.exp(logs) / np.exp(logs).sum()
    np.testing.assert_allclose(values[0], [p[1], p[2]], rtol=1e-4)


def test_empty_benchmark_is_no_error(engine: Engine) -> None:
    layout = lay_out([], 0, engine.base)
    assert len(candidate_log_probabilities(engine.base, engine.features.gather, layout)) == 0


def test_adapter_changes_scores_in_the_batched_path_too(engine: Engine, benchmark_set: EvalSet) -> None:
    before = untrained(engine, benchmark_set)
    with peft_backend.lora(engine.base, Recipe(), 0) as model:
        with torch.no_grad():
            for name, p in model.named_parameters():
                if "lora_B" in name:
                    p.normal_(0, 0.05, generator=torch.Generator().manual_seed(1))
        item = benchmark_set.items[0]
        row = encode_item(
            ChatEncoder(engine.encoder.folder),
            benchmark_set.spec,
            0,
            item,
            [engine.preparation.image_key(item.images[0])],
            [engine.features.expansion(engine.preparation.image_key(item.images[0]))],
        )
        logs = candidate_log_probabilities(engine.base, engine.features.gather, lay_out([row], 1, engine.base))
        naive = [naive_log_probability(engine, item, choice) for choice in item.choices]
    np.testing.assert_allclose(logs, naive, rtol=1e-4)
    assert abs(np.exp(logs[0]) - before[0, 0]) > 1e-6
