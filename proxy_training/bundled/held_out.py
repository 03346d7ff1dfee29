"""What a bundled model knows: accuracy per skill on held-out scenes, by the normalised probability of the choices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import Idefics3ForConditionalGeneration

from proxy_training.bundled.forward import image_features, label_log_probs
from proxy_training.bundled.packing import IGNORED, Packer, Talk
from sources.world.drawing import scene_array
from sources.world.questions import Skill
from sources.world.streams import HELD_OUT, generator, scene_with_question

_ROW_LENGTH = 320  # tokens: thirteen choices, each with its question before it
_ROWS_AT_ONCE = 10
Asked = tuple[NDArray[np.uint8], str, Sequence[str], str]  # image [64, 64, 3], question, choices, answer


def held_out_accuracy(model: Idefics3ForConditionalGeneration, packer: Packer, seed: int, items: int) -> dict[str, float]:
    """Return the accuracy per skill over `items` held-out questions each."""
    return {
        skill.value: round(float(np.mean(chosen_right(model, packer, [_held_out(seed, number, skill) for number in range(items)]))), 4)
        for skill in Skill
    }


def chosen_right(model: Idefics3ForConditionalGeneration, packer: Packer, asked: Sequence[Asked]) -> NDArray[np.bool_]:
    """Say for every question whether its right choice has the highest log-probability, all tokens and the end token summed."""
    probabilities = choice_probabilities(model, packer, asked)
    right = [int(np.argmax(p)) == list(choices).index(answer) for p, (_, _, choices, answer) in zip(probabilities, asked, strict=True)]
    return np.array(right, dtype=np.bool_)


@torch.inference_mode()
def choice_probabilities(model: Idefics3ForConditionalGeneration, packer: Packer, asked: Sequence[Asked]) -> list[NDArray[np.float64]]:
    """Return each question's probabilities over its choices, in order; they sum to 1."""
    wide = Packer(packer.tokenizer, packer.image_tokens, _ROW_LENGTH)
    found: list[NDArray[np.float64]] = []
    for start in range(0, len(asked), _ROWS_AT_ONCE):
        found += _scored(model, wide, asked[start : start + _ROWS_AT_ONCE])
    return found


def _scored(model: Idefics3ForConditionalGeneration, packer: Packer, asked: Sequence[Asked]) -> Iterator[NDArray[np.float64]]:
    talks = [[Talk(question, choice) for choice in choices] for _, question, choices, _ in asked]
    rows = packer.pack(talks, [False] * len(talks))
    features = image_features(model, np.stack([image for image, *_ in asked]))
    logs = label_log_probs(model, features, rows).double().cpu().numpy()
    sums = np.zeros((len(asked), max(len(row) for row in talks) + 1))
    row, place = np.nonzero(rows.labels[:, 1:] != IGNORED)
    np.add.at(sums, (row, rows.blocks[row, place + 1]), logs)
    for number, choices in enumerate(talks):
        if not set(range(1, len(choices) + 1)) <= set(rows.blocks[number].tolist()):
            raise ValueError(f"{len(choices)} choices do not fit into a row of {packer.length} tokens")
        yield _softmax(sums[number, 1 : len(choices) + 1])


def _softmax(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    odds = np.exp(logs - logs.max())
    normalised: NDArray[np.float64] = odds / odds.sum()
    return normalised


def _held_out(seed: int, number: int, skill: Skill) -> Asked:
    scene, question = scene_with_question(generator(HELD_OUT, seed, number, skill.value), skill)
    return scene_array(scene), question.text, question.choices, question.answer
