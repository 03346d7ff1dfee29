"""The bundled proxy is an ordinary small folder that loads offline, and its tokenizer, template and card hold what they promise."""

import string

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, Idefics3ForConditionalGeneration

from proxy_training.bundled import TINY_FOLDER
from proxy_training.bundled.architecture import MOST_PARAMETERS
from proxy_training.bundled.folder import MOST_BYTES, read_card, weights_hash
from proxy_training.bundled.forward import image_features, label_log_probs
from proxy_training.bundled.packing import Packer, Talk

PROCESSOR = AutoProcessor.from_pretrained(TINY_FOLDER)
TOKENIZER = PROCESSOR.tokenizer


@pytest.fixture(scope="module")
def model() -> Idefics3ForConditionalGeneration:
    loaded = AutoModelForImageTextToText.from_pretrained(TINY_FOLDER, dtype=torch.float32)
    assert isinstance(loaded, Idefics3ForConditionalGeneration)
    return loaded.eval()


def chat(question: str, answer: str | None) -> str:
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]
    if answer is not None:
        messages.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
    text = PROCESSOR.apply_chat_template(messages, add_generation_prompt=answer is None)
    assert isinstance(text, str)
    return text


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8))


def test_it_is_small(model: Idefics3ForConditionalGeneration) -> None:
    assert sum(weight.numel() for weight in model.parameters()) <= MOST_PARAMETERS
    assert sum(file.stat().st_size for file in TINY_FOLDER.iterdir()) <= MOST_BYTES
    assert (TINY_FOLDER / "model.safetensors").exists()


def test_the_card_tells_of_these_very_weights(model: Idefics3ForConditionalGeneration) -> None:
    card = read_card(TINY_FOLDER)
    assert card["weights"] == weights_hash(TINY_FOLDER)
    assert card["parameters"] == sum(weight.numel() for weight in model.parameters())
    assert card["steps"] > 0
    assert set(card["held_out_accuracy"]) == {"colour", "shape", "size", "count", "relation", "presence", "word", "chart"}


def test_an_image_is_sixteen_tokens_and_never_split() -> None:
    inputs = PROCESSOR(text=chat("which shape?", None), images=[picture(0)], return_tensors="pt")
    assert int((inputs["input_ids"] == TOKENIZER.convert_tokens_to_ids("<image>")).sum()) == 16
    assert inputs["pixel_values"].shape == (1, 1, 3, 64, 64)
    assert inputs["input_ids"].shape[1] <= 16 + 3 + 2 + len(TOKENIZER(" which shape?")["input_ids"])


def test_the_template_ends_the_assistants_turns_and_the_prompt_is_their_beginning() -> None:
    whole, prompt = chat("which shape?", "circle"), chat("which shape?", None)
    assert whole == prompt + " circle<end_of_utterance>"
    assert whole.count("<end_of_utterance>") == 1
    assert TOKENIZER(whole)["input_ids"][-1] == TOKENIZER.eos_token_id
    assert TOKENIZER(whole)["input_ids"][: len(TOKENIZER(prompt)["input_ids"])] == TOKENIZER(prompt)["input_ids"]


def test_plain_text_content_and_system_turns_are_understood() -> None:
    messages = [{"role": "system", "content": "be short"}, {"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]
    text = PROCESSOR.apply_chat_template(messages)
    assert text == "<|system|> be short<|user|> hello<|assistant|> hi<end_of_utterance>"


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=40))
def test_every_string_can_be_encoded_and_comes_back(text: str) -> None:
    ids = TOKENIZER(text, split_special_tokens=True)["input_ids"]
    assert TOKENIZER.decode(ids) == text
    assert all(0 <= token < len(TOKENIZER) for token in ids)


def test_letters_cost_a_token_each_at_most() -> None:
    assert len(TOKENIZER(string.ascii_letters)["input_ids"]) <= len(string.ascii_letters)


@pytest.mark.parametrize("questions", [["what is red?", "any star?", "how many shapes are there?"]])
def test_packed_turns_are_scored_as_lone_conversations_through_the_processor(
    model: Idefics3ForConditionalGeneration, questions: list[str]
) -> None:
    packer = Packer(TOKENIZER, 16, 96)
    rows = packer.pack([[Talk(question, "a blue ring") for question in questions]], [False])
    image = picture(1)
    with torch.inference_mode():
        packed = label_log_probs(model, image_features(model, np.asarray(image)[None]), rows).reshape(len(questions), -1)
        for question, found in zip(questions, packed, strict=True):
            inputs = PROCESSOR(text=chat(question, "a blue ring"), images=[image], return_tensors="pt")
            logs = torch.log_softmax(model(**inputs).logits[0, :-1], -1)
            lone = logs.gather(-1, inputs["input_ids"][0, 1:, None])[-len(found) :, 0]
            torch.testing.assert_close(found, lone, atol=1e-4, rtol=1e-4)


def test_chained_turns_are_scored_as_the_template_writes_them(model: Idefics3ForConditionalGeneration) -> None:
    rows = Packer(TOKENIZER, 16, 96).pack([[Talk("what is red?", "a star"), Talk("any ring?", "no")]], [True])
    image = picture(2)
    messages = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what is red?"}]},
        {"role": "assistant", "content": "a star"},
        {"role": "user", "content": "any ring?"},
        {"role": "assistant", "content": "no"},
    ]
    inputs = PROCESSOR(text=PROCESSOR.apply_chat_template(messages), images=[image], return_tensors="pt")
    assert rows.ids[0, : inputs["input_ids"].shape[1]].tolist() == inputs["input_ids"][0].tolist()
    with torch.inference_mode():
        packed = label_log_probs(model, image_features(model, np.asarray(image)[None]), rows)
        logs = torch.log_softmax(model(**inputs).logits[0, :-1], -1).gather(-1, inputs["input_ids"][0, 1:, None])[:, 0]
    torch.testing.assert_close(packed[-2:], logs[-2:], atol=1e-4, rtol=1e-4)
