"""Generated answers equal those of transformers' own `generate`."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_models
import torch
from own_forward import own_inputs, processed
from PIL import Image
from transformers import AutoTokenizer

from proxy_training.engine import Engine
from proxy_training.jobs import EngineSettings, EvalSet, Job, Training
from proxy_training.proxies import proxy_spec
from sources.benchmark import BenchmarkSpec, Item
from sources.images import load_image
from sources.sample import ImageRef

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def items(folder: Path) -> tuple[Item, ...]:
    questions = ("What colour is it?", "Is there a circle, and how large is it?", "Shape?", "How many things are there in all?")
    found = []
    for number, question in enumerate(questions):
        Image.new("RGB", (32, 32), (60 * number, 255 - 60 * number, 90)).save(folder / f"{number}.png")
        images = () if number == 2 else (ImageRef(f"{number}.png", folder),)
        found.append(Item(str(number), images, question, ("red", "blue"), "red"))
    return tuple(found)


FAMILIES = [
    "tiny",
    "gemma3",
    "internvl",
    "llava_onevision",
    "smolvlm",
    "llava",
    "llava-qwen3",
    "paligemma",
    "paligemma2",
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen3_vl",
]


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_are_those_of_transformers(family: str, tmp_path: Path) -> None:
    name = "tiny" if family == "tiny" else str(tiny_models.build(family, tmp_path / "model"))
    spec = proxy_spec(name)
    engine = Engine(spec, spec.recipe, tmp_path / "features", EngineSettings("cpu"))
    bench = EvalSet(BenchmarkSpec("b", "c"), "b", items(tmp_path))
    job = Job(Training(spec, spec.recipe, (), 0), (bench,))
    answers = engine.reference.generate(job, bench, 12)
    tokenizer = engine.base.processor.tokenizer
    for row in engine.preparation.question_rows(bench):
        inputs = {"input_ids": torch.from_numpy(row.prompt.astype("int64"))[None]}
        images = processed(engine.base, [load_image(ref) for ref in bench.items[row.item].images])
        inputs |= own_inputs(engine.base, images, inputs["input_ids"], len(row.prompt))
        end = int(row.candidates[0][-1])
        out = engine.base.model.generate(
            **inputs,
            max_new_tokens=12,
            do_sample=False,
            eos_token_id=end,
            pad_token_id=end,
            attention_mask=torch.ones_like(inputs["input_ids"]),
        )
        new = [token for token in out[0, len(row.prompt) :].tolist() if token != end]
        assert answers[row.item] == tokenizer.decode(new, skip_special_tokens=True), row.item


def test_the_prompt_does_not_depend_on_the_answer(tmp_path: Path) -> None:
    """` red` may be one token and `40` two, with the space before: a prompt cut by the answer would tell which it is."""
    spec = proxy_spec("tiny")
    engine = Engine(spec, spec.recipe, tmp_path / "features", EngineSettings("cpu"))
    asked = [Item(str(n), (), "How many corners?", (), answer) for n, answer in enumerate(("red", "40", "?", "A", "3.5%"))]
    rows = engine.preparation.question_rows(EvalSet(BenchmarkSpec("b", "c"), "b", tuple(asked)))
    assert len({tuple(row.prompt.tolist()) for row in rows}) == 1
    template = AutoTokenizer.from_pretrained(spec.path).apply_chat_template
    messages = [{"role": "user", "content": [{"type": "text", "text": "How many corners?"}]}]
    assert engine.encoder.tokenizer.decode(rows[0].prompt.tolist(), skip_special_tokens=False) == template(
        messages, add_generation_prompt=True, tokenize=False
    )
