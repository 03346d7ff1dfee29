"""Losses of training rows: held to the model's own forward, whatever else is in the batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from proxy_training.engine import Engine
from proxy_training.jobs import Stage
from proxy_training.row_losses import row_losses
from sources.images import load_image
from sources.problems import Problem
from sources.sample import ImageRef, Role, Turn
from sources.sampling import DrawnRow

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def plain_loss(engine: Engine, row: DrawnRow) -> float:
    """Mean cross-entropy of the learned tokens by the model's own uncached forward on one row."""
    images = [engine.base.process_image(load_image(ref)) for ref in row.sample.images]
    encoded = engine.encoder.encode(row.sample.turns, [image.expansion for image in images])
    ids = torch.tensor(encoded.input_ids[None], dtype=torch.long)
    pixels = torch.cat([image.pixels for image in images])[None] if images else None
    with torch.no_grad():
        logits = engine.base.model(input_ids=ids, pixel_values=pixels).logits[0, :-1]
    terms = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none")
    return float(terms[torch.tensor(encoded.is_label[1:])].mean())


def talk(stage: Stage) -> list[DrawnRow]:
    """Rows of several lengths: short answers, a long one, two answered turns, an answer without loss, and none about an image."""
    drawn = list(stage.rows[:6])
    first = drawn[0].sample
    long = (*first.turns[:1], Turn(Role.ASSISTANT, ("a red square on the left of a large green circle that is below a star",)))
    twice = (*first.turns, Turn(Role.USER, ("sure?",)), Turn(Role.ASSISTANT, ("yes",)))
    silent = (first.turns[0], Turn(Role.ASSISTANT, ("red",), has_loss=False), Turn(Role.USER, ("and?",)), Turn(Role.ASSISTANT, ("green",)))
    text = (Turn(Role.USER, ("say hello",)), Turn(Role.ASSISTANT, ("hello there",)))
    for turns, images_of in ((long, first.images), (twice, first.images), (silent, first.images), (text, ())):
        drawn.append(replace(drawn[0], sample=replace(first, turns=turns, images=images_of)))
    return drawn


def test_losses_are_those_of_one_plain_forward_a_row(reference: Engine, stage: Stage) -> None:
    drawn = talk(stage)
    found = row_losses(reference, drawn)
    assert found == pytest.approx([plain_loss(reference, row) for row in drawn], rel=1e-4)
    assert row_losses(reference, drawn[::-1])[::-1] == pytest.approx(found, rel=1e-5)


def test_rows_without_a_loss_say_why(reference: Engine, stage: Stage, images: Path) -> None:
    first = stage.rows[0]
    too_long = (first.sample.turns[0], Turn(Role.ASSISTANT, ("red " * 600,)))
    unlearned = (first.sample.turns[0], Turn(Role.ASSISTANT, ("red",), has_loss=False))
    gone = (ImageRef(path="nowhere.png", root=str(images)),)
    samples = (
        replace(first.sample, turns=too_long),
        replace(first.sample, images=gone),
        replace(first.sample, turns=unlearned),
        first.sample,
    )
    *problems, loss = row_losses(reference, [replace(first, sample=sample) for sample in samples])
    assert problems == [Problem.TOO_LONG, Problem.MISSING_IMAGE, Problem.NO_ANSWER]
    assert isinstance(loss, float)
