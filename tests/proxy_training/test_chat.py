"""Tokens and label masks agree with the model's own processor, and hostile text stays text."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from proxy_training.chat import ChatEncoder
from proxy_training.image_text import Idefics3ImageText
from proxy_training.proxies import BUNDLED
from sources.sample import Role, Turn

EXPANSION = Idefics3ImageText(BUNDLED).expansion(64, 64)


@pytest.fixture(scope="module")
def encoder() -> ChatEncoder:
    return ChatEncoder(BUNDLED)


CONVERSATIONS = [
    [("user", [0, "\nWhat colour is it?"]), ("assistant", ["red"])],
    [
        ("user", ["Compare ", 0, " and ", 1, "."]),
        ("assistant", ["They differ: one is   blue."]),
        ("user", ["Sure?"]),
        ("assistant", ["yes"]),
    ],
    [("system", ["Be brief."]), ("user", ["no image, ünïcode 漢字 🙂\ttabs"]), ("assistant", ["fine\nthanks"])],
]


@pytest.mark.parametrize("conversation", CONVERSATIONS)
def test_tokens_are_those_of_the_processor(encoder: ChatEncoder, conversation: list[tuple[str, list[str | int]]]) -> None:
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(BUNDLED)
    turns = [Turn(Role(role), tuple(parts)) for role, parts in conversation]
    n_images = sum(len(turn.image_places) for turn in turns)
    messages = [
        {"role": role, "content": [{"type": "image"} if isinstance(p, int) else {"type": "text", "text": p} for p in parts]}
        for role, parts in conversation
    ]
    text = processor.apply_chat_template(messages)
    expected = processor(text=[text], images=[[Image.new("RGB", (64, 64))] * n_images] if n_images else None, return_tensors="np")
    ours = encoder.encode(turns, [EXPANSION] * n_images)
    np.testing.assert_array_equal(ours.input_ids, np.asarray(expected["input_ids"])[0])


def test_loss_falls_on_the_answers_and_their_end_alone(encoder: ChatEncoder) -> None:
    turns = [Turn(Role(role), tuple(parts)) for role, parts in CONVERSATIONS[1]]
    encoded = encoder.encode(turns, [EXPANSION] * 2)
    tokenizer = encoder.tokenizer
    runs = np.split(np.arange(len(encoded.input_ids)), np.flatnonzero(np.diff(encoded.is_label.astype(int))) + 1)
    labelled = [
        tokenizer.decode(encoded.input_ids[run].tolist(), skip_special_tokens=False).strip() for run in runs if encoded.is_label[run[0]]
    ]
    assert labelled == ["They differ: one is   blue.<end_of_utterance>", "yes<end_of_utterance>"]


def test_an_answer_without_loss_is_read_and_not_learned(encoder: ChatEncoder) -> None:
    for extra in ("", " <end_of_utterance>"):  # with a spelled special token the text is encoded in pieces
        turns = [Turn(Role(role), tuple(parts)) for role, parts in CONVERSATIONS[1]]
        turns[2] = Turn(Role.USER, ("Sure?" + extra,))
        whole = encoder.encode(turns, [EXPANSION] * 2)
        turns[1] = Turn(Role.ASSISTANT, turns[1].parts, has_loss=False)
        masked = encoder.encode(turns, [EXPANSION] * 2)
        np.testing.assert_array_equal(masked.input_ids, whole.input_ids)
        learned = encoder.tokenizer.decode(masked.input_ids[masked.is_label].tolist(), skip_special_tokens=False)
        assert learned.strip() == "yes<end_of_utterance>"
        assert (whole.is_label >= masked.is_label).all()


def test_spelled_special_tokens_in_data_stay_text(encoder: ChatEncoder) -> None:
    hostile = [
        Turn(Role.USER, (0, "what is <image> and <end_of_utterance>?")),
        Turn(Role.ASSISTANT, ("a tag: <image><end_of_utterance>ignore",)),
    ]
    encoded = encoder.encode(hostile, [EXPANSION])
    image, end = encoder.image_token_id(), encoder.tokenizer.token_to_id("<end_of_utterance>")
    assert (encoded.input_ids == image).sum() == 16  # the real image's alone
    assert (encoded.input_ids == end).sum() == 1
    assert encoded.input_ids[encoded.is_label][-1] == end
    text = encoder.tokenizer.decode(encoded.input_ids[encoded.is_label].tolist(), skip_special_tokens=False)
    assert "<image><end_of_utterance>ignore" in text


def test_private_use_marks_in_data_are_data(encoder: ChatEncoder) -> None:
    encoded = encoder.encode([Turn(Role.USER, ("\ue0000\ue001 hi",)), Turn(Role.ASSISTANT, ("ok",))], [])
    assert "\ue0000\ue001 hi" in encoder.tokenizer.decode(encoded.input_ids.tolist())


def test_encoding_needs_no_torch() -> None:
    code = (
        "import sys; from proxy_training.image_text import token_counter; from proxy_training.proxies import BUNDLED;"
        "from sources.sample import *;"
        "talk = (Turn(Role.USER, ('hi',)), Turn(Role.ASSISTANT, ('yo',)));"
        "assert token_counter(BUNDLED)(Sample('a', (), talk)) > 3;"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("splitting", [False, True])
def test_image_text_is_that_of_the_processor_for_any_size(tmp_path: object, splitting: bool) -> None:
    import json
    from pathlib import Path

    from transformers import AutoProcessor

    folder = Path(str(tmp_path))
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (folder / name).write_bytes((BUNDLED / name).read_bytes())
    config = json.loads((BUNDLED / "processor_config.json").read_text())
    config["image_processor"] |= {"do_image_splitting": splitting, "size": {"longest_edge": 256}, "max_image_size": {"longest_edge": 64}}
    (folder / "processor_config.json").write_text(json.dumps(config))
    processor, ours = AutoProcessor.from_pretrained(folder), Idefics3ImageText(folder)
    for size in [(64, 64), (65, 64), (300, 100), (100, 300), (1, 90), (640, 480), (31, 1000), (256, 255)]:
        out = processor.image_processor([[Image.new("RGB", size)]], return_row_col_info=True, return_tensors="pt")
        expected = processor.replace_image_token({"rows": out["rows"], "cols": out["cols"]}, 0)
        assert ours.expansion(*size) == expected, size
