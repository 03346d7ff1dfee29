"""A model of a family that has no module here: its own processor and forward, LoRA where the structure says, and refusals in words."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from PIL import Image
from tiny_models import LLAVA_TEMPLATE, build
from transformers import AutoModelForImageTextToText, AutoProcessor, Idefics2ImageProcessorPil, Idefics2Processor

from proxy_training import peft_backend
from proxy_training.engine import Engine
from proxy_training.families.generic import language_prefix
from proxy_training.families.generic_processor import load_processor
from proxy_training.families.registry import GENERIC, ProxyError
from proxy_training.image_text import token_counter
from proxy_training.jobs import Backend, EngineSettings, EvalSet, Job, Recipe, Scope, Stage, Training
from proxy_training.proxies import BUNDLED, proxy_spec
from proxy_training.stack.decoder import Unsupported
from sources.images import load_image
from sources.sample import ImageRef, Role, Sample, Turn
from sources.sampling import DrawnRow

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

TALK = (
    Turn(Role.USER, (0, "Which colour?")),
    Turn(Role.ASSISTANT, ("red",)),
    Turn(Role.USER, ("Sure, or like ", 1, "?")),
    Turn(Role.ASSISTANT, ("yes",)),
)
TEXT = (Turn(Role.SYSTEM, ("Be brief.",)), Turn(Role.USER, ("How are you?",)), Turn(Role.ASSISTANT, ("Well.",)))
ONE = (Turn(Role.USER, (0, "Which colour?")), Turn(Role.ASSISTANT, ("red",)))


@pytest.fixture(scope="module", params=["llava_next", "aya_vision"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = build(request.param, tmp_path_factory.mktemp(request.param))
    return Engine(proxy_spec(str(folder)), Recipe(), tmp_path_factory.mktemp("features"), EngineSettings("cpu"))


def messages(turns: tuple[Turn, ...]) -> list[dict[str, object]]:
    return [
        {"role": turn.role.value, "content": [{"type": "image"} if isinstance(p, int) else {"type": "text", "text": p} for p in turn.parts]}
        for turn in turns
    ]


def drawn(turns: tuple[Turn, ...], images: tuple[ImageRef, ...], name: str) -> DrawnRow:
    return DrawnRow("s", 0, Sample(name, images, turns), name)


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[ImageRef, ...]:
    for number, size in enumerate(((70, 40), (33, 90))):
        Image.effect_noise(size, 80).convert("RGB").save(tmp_path / f"{number}.png")
    return tuple(ImageRef(f"{number}.png", str(tmp_path)) for number in range(2))


def by_transformers(engine: Engine, turns: tuple[Turn, ...], images: tuple[ImageRef, ...], model: object = None) -> tuple[object, object]:
    """A row's ids and logits by processor and model alone."""
    processor = AutoProcessor.from_pretrained(engine.proxy.path)
    text = processor.apply_chat_template(messages(turns), tokenize=False)
    loaded = [[load_image(ref) for ref in images]] if images else None
    inputs = processor(text=[text], images=loaded, return_tensors="pt")
    with torch.no_grad():
        return inputs["input_ids"][0], (model or engine.base.model)(**inputs).logits[0].float()  # type: ignore[operator]


@pytest.mark.parametrize(("turns", "n"), [(TALK, 2), (TEXT, 0), (ONE, 1)], ids=["two", "text", "one"])
def test_losses_are_those_of_processor_and_model(engine: Engine, pictures: tuple[ImageRef, ...], turns: tuple[Turn, ...], n: int) -> None:
    row = drawn(turns, pictures[:n], f"{engine.proxy.name}-{n}-{pictures[0].root}")
    assert engine.proxy.family == GENERIC
    found = next(iter(engine.run([Job(Training(engine.proxy, Recipe(), (Stage((row,)),), 0), ())])))
    assert (found.failure, found.cost.backend) == ("", "reference")
    assert "has no module here" in found.cost.why
    ids, logits = by_transformers(engine, turns, pictures[:n])
    encoded = engine.preparation.stages((Stage((row,)),), Recipe())[0][0].encoded
    np.testing.assert_array_equal(encoded.input_ids, ids)
    assert token_counter(Path(engine.proxy.path))(row.sample) == len(ids)
    places = np.flatnonzero(encoded.is_label)
    terms = -torch.log_softmax(logits, -1)[places - 1, ids[places]]
    assert found.losses[0] == pytest.approx(float(terms.mean()), rel=1e-4)
    tokenizer = engine.encoder.tokenizer
    answers = "".join(str(turn.parts[0]) for turn in turns if turn.role is Role.ASSISTANT)
    assert tokenizer.decode(encoded.input_ids[encoded.is_label].tolist(), skip_special_tokens=True).replace(" ", "") == answers


def test_lora_is_on_the_language_models_linear_layers_alone(engine: Engine) -> None:
    vision = {name for name, _ in engine.base.model.named_modules() if "vision" in name or "projector" in name}
    with peft_backend.lora(engine.base, Recipe(), 0) as model:
        trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    paths = {name.removeprefix("base_model.model.").partition(".lora_")[0] for name in trained}
    assert len(paths) == 7 * engine.base.model.config.text_config.num_hidden_layers
    assert not paths & vision


def test_scores_answers_and_an_adapter_are_those_of_transformers_and_peft(
    engine: Engine, stage: Stage, benchmark_set: EvalSet, tmp_path: Path
) -> None:
    items = (benchmark_set.items[0], next(item for item in benchmark_set.items if item.id == "t2"))
    bench = EvalSet(benchmark_set.spec, "two", items)
    training = Training(engine.proxy, Recipe(batch_size=4), (Stage(stage.rows[:16]),), 0)
    job = Job(training, (bench,), save_to=tmp_path / "a")
    result = next(iter(engine.run([job])))
    assert result.failure == ""
    assert result.scores[0].unscored == (1,), "its image is not there"
    plain = AutoModelForImageTextToText.from_pretrained(engine.proxy.path)
    model = PeftModel.from_pretrained(plain, tmp_path / "a").eval()
    logs = []
    for choice in items[0].choices:
        turns = (Turn(Role.USER, (0, items[0].question)), Turn(Role.ASSISTANT, (choice,)))
        ids, logits = by_transformers(engine, turns, items[0].images, model)
        row = drawn(turns, items[0].images, f"{engine.proxy.name}-{choice}")
        places = np.flatnonzero(engine.preparation.stages((Stage((row,)),), Recipe())[0][0].encoded.is_label)
        logs.append(float(torch.log_softmax(logits, -1)[places - 1, ids[places]].sum()))
    chances = np.exp(np.array(logs) - max(logs))
    right = chances[items[0].choices.index(items[0].answer)] / chances.sum()
    assert result.scores[0].values[0, 0] == pytest.approx(right, rel=1e-3)
    again = next(iter(engine.run([dataclasses.replace(job, adapter=tmp_path / "a", save_to=None)])))
    np.testing.assert_allclose(again.scores[0].values, result.scores[0].values, atol=1e-5)
    answers = engine.reference.generate(dataclasses.replace(job, adapter=tmp_path / "a"), bench, 6)
    assert answers.keys() == {0}


def test_the_stack_is_refused_and_all_of_the_model_can_be_trained(engine: Engine, stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="has no module here"):
        Engine(engine.proxy, Recipe(), tmp_path, EngineSettings("cpu", Backend.STACK))
    recipe = Recipe(scope=Scope.LORA_ALL, batch_size=4)
    losses = next(iter(engine.run([Job(Training(engine.proxy, recipe, (Stage(stage.rows[:4] * 4),), 0), ())]))).losses
    assert losses[-1] < losses[0]


def test_spelled_special_tokens_in_data_stay_text(engine: Engine, pictures: tuple[ImageRef, ...]) -> None:
    mark = engine.encoder.image_token
    hostile = (Turn(Role.USER, (0, f"what is {mark}?")), Turn(Role.ASSISTANT, ("a tag",)))
    clean = (Turn(Role.USER, (0, "what is it?")), Turn(Role.ASSISTANT, ("a tag",)))
    rows = tuple(drawn(turns, pictures[:1], f"{engine.proxy.name}{i}") for i, turns in enumerate((hostile, clean)))
    examples = engine.preparation
    examples.ensure_images(Job(Training(engine.proxy, Recipe(), (Stage(rows),), 0), ()))
    one, two = (example.encoded.input_ids for example in examples.stages((Stage(rows),), Recipe())[0])
    assert (one == engine.base.image_token_id).sum() == (two == engine.base.image_token_id).sum()
    assert next(iter(engine.run([Job(Training(engine.proxy, Recipe(), (Stage(rows),), 0), ())]))).failure == ""


def test_a_processor_that_does_not_say_what_it_does_is_refused(tmp_path: Path) -> None:
    tokenizer = AutoProcessor.from_pretrained(BUNDLED).tokenizer
    Idefics2Processor(Idefics2ImageProcessorPil(), tokenizer, chat_template=LLAVA_TEMPLATE).save_pretrained(tmp_path)
    with pytest.raises(ProxyError, match=r"^Idefics2Processor does not say which text .* family that `probe proxies list` shows\.$"):
        load_processor(tmp_path)


def test_a_language_model_that_holds_the_tower_is_refused(engine: Engine) -> None:
    model = engine.base.model
    inner = model.get_submodule(language_prefix(model))
    inner.add_module("eyes", torch.nn.Conv2d(3, 4, 2))
    try:
        with pytest.raises(ProxyError, match="no language model apart from the vision tower"):
            language_prefix(model)
    finally:
        del inner._modules["eyes"]
