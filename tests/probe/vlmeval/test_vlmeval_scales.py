"""Headlines of the benchmarks with rules or scales of their own lie between 0 and 1; worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from kit_tables import Table, needs_kit, picture

from probe.study.items import read_eval_set
from probe.vlmeval.adding import own_table
from probe.vlmeval.scores import KitScores, kit_scores_of
from probe.vlmeval.worker import Worker

pytestmark = needs_kit
YES_NO = ("yes", "yes", "No", "no")


def score(kit: Worker, folder: Path, like: str, lines: list[dict[str, object]], said: tuple[str, ...]) -> KitScores:
    table = Table(folder / "t.tsv", list(dict.fromkeys(["index", "image", *lines[0]])))
    for n, line in enumerate(lines):
        table.add(**{"index": n, "image": picture(n), **line})
    eval_set = read_eval_set(own_table("mine", like, str(table.write()), ""))
    return kit_scores_of(kit, folder / "runs", eval_set, dict(enumerate(said)))


def test_hallusionbench_is_the_mean_of_its_three(kit: Worker, tmp_path: Path) -> None:
    """Questions 0 to 3, the last two of one figure, are answered wrong, right, right, wrong."""
    lines: list[dict[str, object]] = [
        {
            "index": f"VD_figure_x_0_{min(n, 2)}_{n}",
            "question": "is it?",
            "answer": ("No", "Yes")[n % 2],
            "category": "VD",
            "l2-category": "f",
        }
        for n in range(4)
    ]
    found = score(kit, tmp_path, "HallusionBench", lines, YES_NO)
    assert found.scores.tolist() == [0, 1, 1, 0]
    assert found.headline_score == pytest.approx((1 / 2 + 1 / 3 + 1 / 2) / 3)


def test_amber_is_the_mean_over_its_categories(kit: Worker, tmp_path: Path) -> None:
    lines: list[dict[str, object]] = [
        {
            "image_path": f"{n}.jpg",
            "question": "is it?",
            "answer": ("no", "yes")[n % 2],
            "category": "relation" if n else "discriminative-hallucination",
        }
        for n in range(4)
    ]
    found = score(kit, tmp_path, "AMBER", lines, YES_NO)
    assert found.scores.tolist() == [0, 1, 1, 0]
    assert found.headline_score == pytest.approx((0 + 2 / 3) / 2)


def test_vizwiz_reads_the_annotators(kit: Worker, tmp_path: Path) -> None:
    lines: list[dict[str, object]] = [{"question": "what?", "answers": ["red"] * 8 + ["blue"] * 2} for _ in range(4)]
    found = score(kit, tmp_path, "VizWiz", lines, ("red", "blue", "", "Red."))
    np.testing.assert_allclose(found.scores, [1, 0.6, 0, 1])
    np.testing.assert_allclose(found.ours, found.scores, atol=1e-6)
    assert (found.headline_score, found.parsed.tolist()) == (pytest.approx(0.65), [1, 1, 0, 1])


def test_mmvp_wants_both_of_a_pair(kit: Worker, tmp_path: Path) -> None:
    lines: list[dict[str, object]] = [{"question": f"what {n // 2}?", "A": "red", "B": "blue", "answer": "AB"[n % 2]} for n in range(4)]
    found = score(kit, tmp_path, "MMVP", lines, ("A", "B", "A", "A"))
    assert (found.scores.tolist(), found.headline_score) == ([1, 1, 1, 0], 0.5)


def test_mmmu_takes_open_questions_by_text(kit: Worker, tmp_path: Path) -> None:
    choices: dict[str, object] = {"question": "<image 1> what?", "A": "red", "B": "blue", "answer": "B", "category": "Art", "split": "dev"}
    open_one = choices | {"A": "", "B": "", "answer": "seven"}
    found = score(kit, tmp_path, "MMMU_DEV_VAL", [choices, choices, open_one, open_one], ("B", "?", "it is seven", ""))
    assert (found.scores.tolist(), found.parsed.tolist()) == ([1, 0, 1, 0], [1, 0, 1, 0])
    assert found.headline_score == 0.5
    assert np.isnan(found.ours).all()


def test_captions_have_a_headline_alone(kit: Worker, tmp_path: Path) -> None:
    captions = (["a red square", "the red square"], ["a blue dog runs", "blue dog"], ["two green cats sleep", "green cats"])
    lines: list[dict[str, object]] = [{"question": "Describe it.", "answer": list(each)} for each in captions]
    right = score(kit, tmp_path, "COCO_VAL", lines, tuple(each[0] for each in captions))
    wrong = score(kit, tmp_path, "COCO_VAL", lines, tuple(each[0] for each in captions[::-1]))
    assert 0 <= wrong.headline_score < right.headline_score <= 1
    assert np.isnan(right.scores).all()


def test_what_looks_like_a_number_or_nothing_stays_what_it_is(kit: Worker, tmp_path: Path) -> None:
    said = ("3", "None", "NA", "1,5", "")
    found = score(kit, tmp_path, "GQA_TestDev_Balanced", [{"question": "what?", "answer": text or "nothing"} for text in said], said)
    assert (found.scores.tolist(), found.parsed.tolist()) == ([1, 1, 1, 1, 0], [1, 1, 1, 1, 0])
    lines: list[dict[str, object]] = [{"question": "what?", "A": "None", "B": n, "C": "", "answer": "AB"[n % 2]} for n in range(2)]
    found = score(kit, tmp_path, "MMStar", lines, ("none", "1"))
    assert found.scores.tolist() == found.ours.tolist() == [1, 1]
