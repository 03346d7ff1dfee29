"""One contract for every family: template and labels, cached features, scope, the stack against PEFT, adapters by plain PEFT, any rows."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from own_forward import own_inputs, processed
from PIL import Image
from tiny_models import build

from proxy_training import peft_backend
from proxy_training.batches import Example
from proxy_training.chat import Encoded
from proxy_training.engine import Engine
from proxy_training.families.limits import UNITS
from proxy_training.families.registry import FAMILIES as KNOWN
from proxy_training.families.registry import family_of
from proxy_training.image_text import IMAGE_TEXTS, token_counter
from proxy_training.jobs import Backend, EngineSettings, EvalSet, Job, Recipe, Scope, Stage, Training
from proxy_training.proxies import proxy_spec
from proxy_training.stack.decoder import Unsupported
from sources.images import load_image
from sources.sample import ImageRef, Role, Sample, Turn
from sources.sampling import DrawnRow

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


FAMILIES = [
    "gemma3",
    "idefics3",
    "internvl",
    "smolvlm",
    "llava",
    "llava-qwen3",
    "llava_onevision",
    "paligemma",
    "paligemma2",
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen3_vl",
]
SYSTEM = Turn(Role.SYSTEM, ("Be brief.",))
TALK = (
    Turn(Role.USER, (0, "Which colour is it?")),
    Turn(Role.ASSISTANT, ("It is red.",)),
    Turn(Role.USER, ("And its shape, please?",)),
    Turn(Role.ASSISTANT, ("round",)),
)
TWO = (Turn(Role.USER, ("One ", 0, " or ", 1, " then?")), Turn(Role.ASSISTANT, ("The first.",)))
TEXT = (Turn(Role.USER, ("How are you?",)), Turn(Role.ASSISTANT, ("Well, thanks.",)))


def test_all_families_are_under_contract() -> None:
    assert {name.removesuffix("-qwen3").replace("paligemma2", "paligemma") for name in FAMILIES} == set(KNOWN)


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def engines(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Engine, Engine]:
    features = tmp_path_factory.mktemp("features")
    spec = proxy_spec(str(folder))
    return (
        Engine(spec, Recipe(), features, EngineSettings("cpu", Backend.REFERENCE)),
        Engine(spec, Recipe(), features, EngineSettings("cpu", Backend.AUTO, 4)),
    )


def noise(*sizes: tuple[int, int]) -> list[Image.Image]:
    return [Image.effect_noise(size, 80).convert("RGB") for size in sizes]


def end_token(engine: Engine) -> str:
    """What ends an answer in the tiny models' templates: the tokenizer's own end."""
    config = json.loads((Path(engine.proxy.path) / "tokenizer_config.json").read_text())
    return str(config["eos_token"])


@pytest.mark.parametrize("turns", [TALK, (SYSTEM, *TALK)], ids=["talk", "system"])
def test_only_answers_and_their_ends_carry_loss(engines: tuple[Engine, Engine], turns: tuple[Turn, ...]) -> None:
    engine, _ = engines
    image = engine.base.process_image(noise((48, 40))[0])
    encoded = engine.encoder.encode(turns, [image.expansion])
    runs = np.split(np.arange(len(encoded.input_ids)), np.flatnonzero(np.diff(encoded.is_label.astype(int))) + 1)
    learned = [encoded.input_ids[run].tolist() for run in runs if encoded.is_label[run[0]]]
    decoded = [engine.encoder.tokenizer.decode(run, skip_special_tokens=False).strip() for run in learned]
    assert decoded == [f"It is red.{end_token(engine)}", f"round{end_token(engine)}"]
    silent = [dataclasses.replace(turn, has_loss=turn is not turns[-3]) for turn in turns]  # the first answer is not learned
    masked = engine.encoder.encode(silent, [image.expansion])
    np.testing.assert_array_equal(masked.input_ids, encoded.input_ids)
    assert engine.encoder.tokenizer.decode(masked.input_ids[masked.is_label].tolist(), skip_special_tokens=False).strip() == decoded[1]


@pytest.mark.parametrize("turns", [TALK, (SYSTEM, *TALK), TEXT, TWO], ids=["talk", "system", "text", "two"])
def test_tokens_are_those_of_the_template(engines: tuple[Engine, Engine], turns: tuple[Turn, ...]) -> None:
    engine, _ = engines
    images = processed(engine.base, noise((70, 40), (33, 90))[: sum(len(turn.image_places) for turn in turns)])
    texts = [image.expansion for image in images]
    ours = engine.encoder.encode(turns, texts).input_ids
    if engine.base.family == "paligemma":
        np.testing.assert_array_equal(ours, paligemma_ids(engine, turns, texts))
        return
    messages = [
        {"role": turn.role.value, "content": [{"type": "image"} if isinstance(p, int) else {"type": "text", "text": p} for p in turn.parts]}
        for turn in turns
    ]
    processor = engine.base.processor
    template = None if processor.tokenizer.chat_template else processor.chat_template
    parts = processor.tokenizer.apply_chat_template(messages, tokenize=False, chat_template=template).split(engine.encoder.image_token)
    whole = parts[0] + "".join(text + part for text, part in zip(texts, parts[1:], strict=True))
    begins = bool(processor.tokenizer.bos_token and whole.startswith(processor.tokenizer.bos_token))
    np.testing.assert_array_equal(ours, processor.tokenizer(whole, add_special_tokens=not begins)["input_ids"])


def paligemma_ids(engine: Engine, turns: tuple[Turn, ...], texts: list[str]) -> np.ndarray[Any, Any]:
    """The processor's own ids for a prompt and an answer; for what it has no form for, the form that this project states."""
    from transformers import AutoTokenizer, PaliGemmaProcessor, SiglipImageProcessorPil

    folder = engine.proxy.path
    processor = PaliGemmaProcessor(SiglipImageProcessorPil.from_pretrained(folder), AutoTokenizer.from_pretrained(folder))
    if len(turns) == 2 and texts:
        prompt = "".join("<image>" if isinstance(part, int) else part for part in turns[0].parts)
        pictures = noise(*[(32, 32)] * len(texts))
        out = processor(images=[pictures], text=[prompt], suffix=["".join(map(str, turns[1].parts))], return_tensors="np")
        encoded = engine.encoder.encode(turns, texts)
        np.testing.assert_array_equal(out["labels"][0] != -100, encoded.is_label)
        np.testing.assert_array_equal(out["token_type_ids"][0] == 0, np.arange(len(encoded.input_ids)) < encoded.both_ways)
        return np.asarray(out["input_ids"][0])
    begin, end = processor.tokenizer.bos_token, processor.tokenizer.eos_token
    told = {Role.SYSTEM: "\n", Role.USER: "\n", Role.ASSISTANT: end}
    text = "".join("".join("" if isinstance(p, int) else p for p in turn.parts) + told[turn.role] for turn in turns)
    before, _, behind = text.partition("Which colour") if texts else ("", "", text)
    whole = before + "".join(texts) + begin + ("Which colour" if texts else "") + behind
    pieces = whole.replace("It is red.", "\0It is red.\0").replace("round", "\0round").split("\0")
    pieces = [part for piece in pieces for part in piece.replace("Well, thanks.", "\0Well, thanks.").split("\0")]
    return np.concatenate([np.asarray(processor.tokenizer(p, add_special_tokens=False)["input_ids"], int) for p in pieces if p])


def own_logits(engine: Engine, turns: tuple[Turn, ...], pictures: list[Image.Image], model: Any = None) -> tuple[torch.Tensor, Encoded]:
    """A row by the model's own forward [tokens, vocabulary]."""
    images = processed(engine.base, pictures)
    encoded = engine.encoder.encode(turns, [image.expansion for image in images])
    ids = torch.tensor(encoded.input_ids[None], dtype=torch.long)
    with torch.no_grad():
        out = (model or engine.base.model)(input_ids=ids, **own_inputs(engine.base, images, ids, encoded.both_ways))
    return out.logits[0].float(), encoded


def saved(folder: Path, pictures: list[Image.Image]) -> tuple[ImageRef, ...]:
    for number, picture in enumerate(pictures):
        picture.save(folder / f"{number}.png")
    return tuple(ImageRef(f"{number}.png", str(folder)) for number in range(len(pictures)))


def test_a_batch_of_rows_of_all_kinds_has_the_loss_of_the_models_own_forward(engines: tuple[Engine, Engine], tmp_path: Path) -> None:
    """Several images, one, none, and several turns in one step, from kept features."""
    engine, _ = engines
    pictures = noise((70, 40), (33, 90))
    refs = saved(tmp_path, pictures)
    rows = [(TWO, 2), (TEXT, 0), (TALK, 1), ((SYSTEM, *TALK), 1)]
    drawn = tuple(DrawnRow("s", i, Sample(str(i), refs[:n], turns), f"{engine.proxy.name}-{i}") for i, (turns, n) in enumerate(rows))
    training = Training(engine.proxy, Recipe(batch_size=4), (Stage(drawn),), 0)
    found = next(iter(engine.run([Job(training, ())]))).losses
    terms = []
    for turns, n in rows:
        logits, encoded = own_logits(engine, turns, pictures[:n])
        places = np.flatnonzero(encoded.is_label)
        targets = torch.tensor(encoded.input_ids[places], dtype=torch.long)
        terms.append(-torch.log_softmax(logits, -1)[places - 1, targets])
    assert found[0] == pytest.approx(float(torch.cat(terms).mean()), rel=1e-4)


def test_two_images_of_different_shapes_among_text(engines: tuple[Engine, Engine]) -> None:
    engine, _ = engines
    base, pictures = engine.base, noise((70, 40), (33, 90))
    images = processed(base, pictures)
    theirs, encoded = own_logits(engine, TWO, pictures)
    ids = torch.tensor(encoded.input_ids[None], dtype=torch.long)
    with torch.no_grad():
        ours = base.logits(base.hidden(ids, torch.cat(base.encode_images(images)), allowed(encoded)))[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=2e-5)


def allowed(encoded: Encoded) -> torch.Tensor | None:
    batch = peft_backend.collate([Example(encoded, ())], 0, torch.device("cpu"))
    return batch.allowed


@pytest.mark.parametrize("scope", [Scope.LORA_LANGUAGE, Scope.LORA_ALL])
def test_lora_touches_exactly_its_scope(engines: tuple[Engine, Engine], stage: Stage, scope: Scope) -> None:
    engine, _ = engines
    base = engine.base
    before = {name: weight.clone() for name, weight in base.model.state_dict().items()}
    head = base.model.get_output_embeddings()
    linear = {name for name, module in base.model.named_modules() if isinstance(module, torch.nn.Linear) and module is not head}
    if scope is Scope.LORA_LANGUAGE:
        linear = {name for name in linear if name.startswith(base.language_prefix() + ".")}
        assert len(linear) == 7 * base.model.config.text_config.num_hidden_layers
    with peft_backend.lora(base, Recipe(scope=scope), 0) as model:
        trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained == {f"base_model.model.{name}.lora_{kind}.default.weight" for name in linear for kind in "AB"}
    next(iter(engine.run([Job(Training(engine.proxy, Recipe(scope=scope, batch_size=4), (Stage(stage.rows[:8]),), 0), ())])))
    after = base.model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], weight) for name, weight in before.items())


LIMITS = {"idefics3": 32, "smolvlm": 32, "internvl": 2, "llava_onevision": 2, "qwen2_vl": 1100, "qwen2_5_vl": 1100, "qwen3_vl": 1100}


def test_a_limit_on_images_is_kept_and_counted(engines: tuple[Engine, Engine], tmp_path: Path) -> None:
    family = engines[0].base.family
    if family not in UNITS:
        pytest.skip("its images have one size")
    spec = dataclasses.replace(engines[0].proxy, image_limit=LIMITS[family])
    base = Engine(spec, Recipe(), tmp_path, EngineSettings("cpu")).base
    text = IMAGE_TEXTS[family](Path(spec.path), spec.image_limit)
    least = set()
    for size in SIZES:
        image = base.process_image(Image.new("RGB", size, (200, 30, 90)))
        assert text.expansion(*size) == image.expansion, size
        with torch.no_grad():
            assert len(base.encode_images([image])[0]) == image.expansion.count(token_of(base)), size
        whole = engines[0].base.process_image(Image.new("RGB", size, (200, 30, 90)))
        assert len(image.expansion) <= len(whole.expansion)
        least.add(len(image.expansion) < len(whole.expansion))
    assert True in least, "the limit must bind for some size"


def token_of(base: Any) -> str:
    return str(base.processor.tokenizer.convert_ids_to_tokens(base.image_token_id))


SIZES = [(32, 32), (64, 64), (70, 40), (33, 90), (200, 20), (20, 200), (500, 333), (1, 1), (97, 96), (640, 64)]


def test_the_text_of_an_image_has_as_many_tokens_as_its_features(folder: Path, engines: tuple[Engine, Engine]) -> None:
    base, family = engines[0].base, family_of(folder)
    text = IMAGE_TEXTS[family](folder)
    for size in SIZES:
        image = base.process_image(Image.new("RGB", size, (200, 30, 90)))
        assert text.expansion(*size) == image.expansion, size
        with torch.no_grad():
            assert image.expansion.count(token_of(base)) == len(base.encode_images([image])[0]), size
            crowded = base.process_crowded(Image.new("RGB", size, (200, 30, 90)))
            assert (text.crowd or image.expansion) == crowded.expansion, size
            assert crowded.expansion.count(token_of(base)) == len(base.encode_images([crowded])[0]), size


def right_probability(engine: Engine, item: Any, model: Any = None) -> float:
    """The normalised probability of the right choice, each choice by the model's own forward."""
    logs = []
    for choice in item.choices:
        turns = (Turn(Role.USER, (0, item.question)), Turn(Role.ASSISTANT, (choice,)))
        logits, encoded = own_logits(engine, turns, [load_image(item.images[0])], model)
        places = np.flatnonzero(encoded.is_label)
        targets = torch.tensor(encoded.input_ids[places], dtype=torch.long)
        logs.append(float(torch.log_softmax(logits, -1)[places - 1, targets].sum()))
    chances = np.exp(np.array(logs) - max(logs))
    return float(chances[item.choices.index(item.answer)] / chances.sum())


def test_choices_behind_one_prompt_score_as_each_alone(engines: tuple[Engine, Engine], benchmark_set: EvalSet) -> None:
    engine, _ = engines
    item = benchmark_set.items[0]
    job = Job(Training(engine.proxy, Recipe(), (), 0), (EvalSet(benchmark_set.spec, "one", (item,)),))
    found = next(iter(engine.run([job]))).scores[0].values[0, 0]
    assert found == pytest.approx(right_probability(engine, item), rel=1e-3)


def test_cached_features_give_the_uncached_forward_and_tokens_are_counted_right(
    folder: Path, engines: tuple[Engine, Engine], stage: Stage
) -> None:
    engine, _ = engines
    base, count = engine.base, token_counter(folder)
    for row in stage.rows[:3]:
        picture = load_image(row.sample.images[0])
        theirs, encoded = own_logits(engine, row.sample.turns, [picture])
        ids = torch.tensor(encoded.input_ids[None], dtype=torch.long)
        assert count(row.sample) == ids.shape[1]
        two = Sample("two", (*row.sample.images, stage.rows[1].sample.images[0]), TWO)
        pictures = [picture, load_image(two.images[1])]
        assert count(two) == len(own_logits(engine, TWO, pictures)[1].input_ids)
        with torch.no_grad():
            features = torch.cat(base.encode_images([base.process_image(picture)]))
            ours = base.logits(base.hidden(ids, features, allowed(encoded)))[0]
            blind = base.logits(base.hidden(ids, torch.zeros_like(features), allowed(encoded)))[0]
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=2e-5)
        assert (ours - blind).abs().max() > 1e-2, "the image must matter in this test"


def test_stack_equals_peft(engines: tuple[Engine, Engine], stage: Stage, benchmark_set: EvalSet, tmp_path: Path) -> None:
    reference, stack = engines
    jobs = []
    for i in range(8 if stack.stack else 2):
        recipe = Recipe(batch_size=(8, 4)[i % 2], rank=(4, 8)[i // 4], learning_rate=2e-3)
        training = Training(stack.proxy, recipe, (Stage(stage.rows[i:36]),), i)
        jobs.append(Job(training, (benchmark_set,), save_to=tmp_path / str(i)))
    expected = {r.training_id: r for r in reference.run([dataclasses.replace(job, save_to=None) for job in jobs])}
    found = {r.training_id: r for r in stack.run(jobs)}
    assert found.keys() == expected.keys()
    for key, result in found.items():
        assert result.failure == ""
        assert result.cost.backend == ("reference" if stack.base.not_plain else "stack")
        np.testing.assert_allclose(result.losses, expected[key].losses, rtol=1e-5)
        np.testing.assert_allclose(result.scores[0].values, expected[key].scores[0].values, atol=1e-4)
    job = jobs[-1]
    again = next(iter(reference.run([dataclasses.replace(job, adapter=job.save_to, save_to=None)])))
    np.testing.assert_allclose(again.scores[0].values, found[job.training.training_id()].scores[0].values, atol=1e-4)


def test_an_adapter_scores_the_same_in_plain_peft(
    engines: tuple[Engine, Engine], stage: Stage, benchmark_set: EvalSet, tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    _, stack = engines
    bench = EvalSet(benchmark_set.spec, "one", benchmark_set.items[:1])
    job = Job(Training(stack.proxy, Recipe(batch_size=8), (stage,), 0), (bench,), save_to=tmp_path / "a")
    result = next(iter(stack.run([job])))
    model = AutoModelForImageTextToText.from_pretrained(stack.proxy.path, attn_implementation=attention_of(stack))
    untrained = right_probability(stack, bench.items[0], model)
    peft = PeftModel.from_pretrained(model, tmp_path / "a").eval()
    load = peft.load_adapter(tmp_path / "a", "again")
    assert load.unexpected_keys == []
    assert not [key for key in load.missing_keys if "again" in key]
    found = right_probability(stack, bench.items[0], peft)
    assert result.scores[0].values[0, 0] == pytest.approx(found, rel=1e-3)
    assert abs(found / untrained - 1) > 0.05, "training must matter in this test"


def attention_of(engine: Engine) -> Any:
    kind = getattr(engine.base, "attention_kind", None)
    return kind(Path(engine.proxy.path)) if kind else "sdpa"


def test_a_sharded_base_runs_on_the_reference(engines: tuple[Engine, Engine], stage: Stage, benchmark_set: EvalSet, tmp_path: Path) -> None:
    """Without GPUs accelerate puts all on the CPU: the way through is the same, the hooks between devices are not tried."""
    reference, _ = engines
    sharded = Engine(reference.proxy, Recipe(), tmp_path, EngineSettings("cpu", gpus_per_probe=2))
    job = Job(Training(reference.proxy, Recipe(batch_size=8), (Stage(stage.rows[:16]),), 0), (benchmark_set,))
    expected, found = (next(iter(engine.run([job]))) for engine in (reference, sharded))
    assert (found.cost.backend, found.cost.why) == ("reference", "the base is sharded over several GPUs")
    np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-5)
    np.testing.assert_allclose(found.scores[0].values, expected.scores[0].values, atol=1e-5)
    with pytest.raises(Unsupported, match="sharded"):
        Engine(reference.proxy, Recipe(), tmp_path, EngineSettings("cpu", Backend.STACK, gpus_per_probe=2))
