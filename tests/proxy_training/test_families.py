"""Every family: cached features give the model's own forward, counted tokens are the real ones, and the stack equals PEFT."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import build

from proxy_training.engine import Engine
from proxy_training.families.base import LoadedBase, ProcessedImage
from proxy_training.families.registry import family_of
from proxy_training.image_text import IMAGE_TEXTS, token_counter
from proxy_training.jobs import Backend, EngineSettings, EvalSet, Job, Recipe, Stage, Training
from proxy_training.proxies import proxy_spec
from proxy_training.stack.decoder import Unsupported
from sources.images import load_image
from sources.sample import Role, Turn

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


FAMILIES = ["gemma3", "internvl", "smolvlm", "llava", "llava-qwen3", "llava_onevision", "qwen2_vl", "qwen2_5_vl", "qwen3_vl"]


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


def own_inputs(base: LoadedBase, images: Sequence[ProcessedImage], ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """What the model's own forward takes of images beside the ids."""
    if base.family == "llava_onevision":
        most = max(len(image.pixels) for image in images)  # the batch is padded with tiles that nobody looks at
        padded = [torch.cat([image.pixels, image.pixels.new_zeros(most - len(image.pixels), *image.pixels.shape[1:])]) for image in images]
        sizes = [image.grid[1:] for image in images if image.grid]
        return {"pixel_values": torch.stack(padded), "image_sizes": torch.tensor(sizes)}
    if images[0].grid is not None:
        grids = torch.tensor([image.grid for image in images])
        pixels = torch.cat([image.pixels for image in images])
        return {"pixel_values": pixels, "image_grid_thw": grids, "mm_token_type_ids": (ids == base.image_token_id).int()}
    if base.family == "gemma3":
        return {"pixel_values": torch.cat([image.pixels for image in images]), "token_type_ids": (ids == base.image_token_id).int()}
    if base.family in ("llava", "internvl"):
        return {"pixel_values": torch.cat([image.pixels for image in images])}
    return {"pixel_values": torch.cat([image.pixels for image in images])[None]}


def test_two_images_of_different_shapes_among_text(engines: tuple[Engine, Engine]) -> None:
    engine, _ = engines
    base = engine.base
    images = [base.process_image(Image.effect_noise(size, 80).convert("RGB")) for size in ((70, 40), (33, 90))]
    turns = (Turn(Role.USER, ("One ", 0, " or ", 1, " then?")), Turn(Role.ASSISTANT, ("The first.",)))
    ids = torch.tensor(engine.encoder.encode(turns, [image.expansion for image in images]).input_ids[None], dtype=torch.long)
    with torch.no_grad():
        ours = base.logits(base.hidden(ids, torch.cat(base.encode_images(images))))
        theirs = base.model(input_ids=ids, **own_inputs(base, images, ids)).logits
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


SIZES = [(32, 32), (64, 64), (70, 40), (33, 90), (200, 20), (20, 200), (500, 333), (1, 1), (97, 96), (640, 64)]


def test_the_text_of_an_image_has_as_many_tokens_as_its_features(folder: Path, engines: tuple[Engine, Engine]) -> None:
    base, family = engines[0].base, family_of(folder)
    text = IMAGE_TEXTS[family](folder)
    for size in SIZES:
        image = base.process_image(Image.new("RGB", size, (200, 30, 90)))
        assert text.expansion(*size) == image.expansion, size
        with torch.no_grad():
            token = base.processor.tokenizer.convert_ids_to_tokens(base.image_token_id)
            assert image.expansion.count(token) == len(base.encode_images([image])[0]), size


def test_choices_behind_one_prompt_score_as_each_alone(engines: tuple[Engine, Engine], benchmark_set: EvalSet) -> None:
    engine, _ = engines
    item = benchmark_set.items[0]
    job = Job(Training(engine.proxy, Recipe(), (), 0), (EvalSet(benchmark_set.spec, "one", (item,)),))
    found = next(iter(engine.run([job]))).scores[0].values[0, 0]
    image = engine.base.process_image(load_image(item.images[0]))
    logs = []
    for choice in item.choices:
        turns = (Turn(Role.USER, (0, item.question)), Turn(Role.ASSISTANT, (choice,)))
        encoded = engine.encoder.encode(turns, [image.expansion])
        ids = torch.tensor(encoded.input_ids[None], dtype=torch.long)
        with torch.no_grad():
            logits = engine.base.model(input_ids=ids, **own_inputs(engine.base, [image], ids)).logits[0].float()
        places = np.flatnonzero(encoded.is_label)
        logs.append(float(torch.log_softmax(logits, -1)[places - 1, ids[0, places]].sum()))
    chances = np.exp(np.array(logs) - max(logs))
    assert found == pytest.approx(chances[item.choices.index(item.answer)] / chances.sum(), rel=1e-3)


def test_cached_features_give_the_uncached_forward_and_tokens_are_counted_right(
    folder: Path, engines: tuple[Engine, Engine], stage: Stage
) -> None:
    engine, _ = engines
    base, count = engine.base, token_counter(folder)
    for row in stage.rows[:3]:
        image = base.process_image(load_image(row.sample.images[0]))
        encoded = engine.encoder.encode(row.sample.turns, [image.expansion])
        ids = torch.tensor(encoded.input_ids[None], dtype=torch.long)
        assert count(row.sample) == ids.shape[1]
        with torch.no_grad():
            features = torch.cat(base.encode_images([image]))
            ours = base.logits(base.hidden(ids, features))
            theirs = base.model(input_ids=ids, **own_inputs(base, [image], ids)).logits
            blind = base.logits(base.hidden(ids, torch.zeros_like(features)))
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
        assert (ours - blind).abs().max() > 1e-2, "the image must matter in this test"


def test_only_the_answer_and_its_end_carry_loss(engines: tuple[Engine, Engine], stage: Stage) -> None:
    engine, _ = engines
    row = stage.rows[0]
    image = engine.base.process_image(load_image(row.sample.images[0]))
    encoded = engine.encoder.encode(row.sample.turns, [image.expansion])
    text = engine.encoder.tokenizer.decode(encoded.input_ids[encoded.is_label].tolist(), skip_special_tokens=True)
    assert text.strip() == row.sample.turns[1].parts[0]


def test_stack_equals_peft(engines: tuple[Engine, Engine], stage: Stage, benchmark_set: EvalSet, tmp_path: Path) -> None:
    reference, stack = engines
    jobs = []
    for i in range(8):
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
    job = jobs[5]
    again = next(iter(reference.run([dataclasses.replace(job, adapter=job.save_to, save_to=None)])))
    np.testing.assert_allclose(again.scores[0].values, found[job.training.training_id()].scores[0].values, atol=1e-4)


def test_adapter_folder_has_no_key_that_peft_does_not_expect(engines: tuple[Engine, Engine], stage: Stage, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    _, stack = engines
    next(iter(stack.run([Job(Training(stack.proxy, Recipe(batch_size=8), (stage,), 0), (), save_to=tmp_path / "a")])))
    model = AutoModelForImageTextToText.from_pretrained(stack.proxy.path)
    peft = PeftModel.from_pretrained(model, tmp_path / "a")
    load = peft.load_adapter(tmp_path / "a", "again")
    assert load.unexpected_keys == []
    assert not [key for key in load.missing_keys if "again" in key]


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
