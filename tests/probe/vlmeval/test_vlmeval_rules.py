"""VLMEvalKit and our own scorer give the same score to the same answer, item by item, on seven kinds of benchmark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from kit_tables import make_tables, needs_kit

from probe.study.items import read_eval_set
from probe.vlmeval.adding import own_table
from probe.vlmeval.scores import kit_scores_of
from probe.vlmeval.worker import Worker
from proxy_training.jobs import EvalSet
from sources.benchmark import Item

pytestmark = needs_kit
KINDS = ("MMStar", "MMBench_DEV_EN", "POPE", "TextVQA_VAL", "DocVQA_VAL", "ChartQA_TEST", "OCRBench")


@pytest.fixture(scope="module")
def benchmarks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, EvalSet]:
    paths = make_tables(tmp_path_factory.mktemp("tables"))
    return {name: read_eval_set(own_table(f"mine/{name}", name, str(path), "")) for name, path in paths.items()}


def answers(item: Item) -> list[str]:
    """Return what models write: right, nearly, wrong, empty, and what a table's types would spoil."""
    right = item.answer
    letter = "ABCD"[item.choices.index(right)] if item.choices else "A"
    spoilt = ["", "nan", "None", "3", "3.0", "0.035", "3.6%", "41", "a\tb", 'he said "red"\nand left', "1,000", "Z"]
    near = [
        right,
        right.upper(),
        f" {right}. ",
        f"The {right}",
        right[:-1],
        f"{right} {right}",
        f"it is the {right}!",
        "yes",
        "No.",
        "yes and no",
    ]
    return [*near, letter, f"{letter}.", f"({letter}) {right}", f"Answer: {letter}", "A or B", "x^2", "X ^ 2", "blue", "two", "2", *spoilt]


@pytest.mark.parametrize("name", KINDS)
def test_the_same_answers_get_the_same_scores(name: str, benchmarks: dict[str, EvalSet], kit: Worker, tmp_path: Path) -> None:
    eval_set = benchmarks[name]
    seen = set()
    for turn in range(3):
        texts = {n: answers(item)[(5 * n + 11 * turn) % len(answers(item))] for n, item in enumerate(eval_set.items)}
        if turn == 2:  # all right in a form that every rule reads, so that circular questions can be right too
            texts = {n: answers(item)[10 if item.choices and name != "POPE" else 0] for n, item in enumerate(eval_set.items)}
        found = kit_scores_of(kit, tmp_path, eval_set, texts)
        assert found.predictions == tuple(texts[n] for n in range(len(texts)))
        np.testing.assert_allclose(found.scores, found.ours, atol=1e-6)
        finite = found.scores[np.isfinite(found.scores)]
        assert len(finite) == (len(eval_set.items) // 3 if name == "MMBench_DEV_EN" else len(eval_set.items))
        if name not in ("POPE",):  # its headline is F1
            assert found.headline_score == pytest.approx(finite.mean())
        seen |= set(np.round(finite, 3))
    assert {0.0} < seen  # no kind was all wrong or all right
    assert not list(tmp_path.iterdir())
