"""The split: by image bytes, the same in every benchmark."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from probe.study.items import split_items
from sources.benchmark import Item
from sources.sample import ImageRef
from tests.probe.study.conftest import block


def items(folder: Path, names: list[str], questions: int = 1) -> list[Item]:
    return [
        Item(f"{name}-{q}", (ImageRef(path=name, root=str(folder)),), f"question {q}?", ("a", "b"), "a")
        for name in names
        for q in range(questions)
    ]


def test_items_of_one_image_share_cluster_and_side_across_benchmarks(tmp_path: Path) -> None:
    names = [f"{i}.png" for i in range(60)]
    for i, name in enumerate(names):
        block(tmp_path / name, (i, 255 - i, 40), i)
    groups, splits = split_items(items(tmp_path, names, questions=3))
    assert len(set(groups.tolist())) == 60
    for g in set(groups.tolist()):
        assert len(set(splits[groups == g].tolist())) == 1
    assert 0.3 < splits[::3].mean() < 0.7
    # The same bytes under another name, in another benchmark and another order.
    (tmp_path / "copy.png").write_bytes((tmp_path / "7.png").read_bytes())
    other_groups, other_splits = split_items(items(tmp_path, ["copy.png", "3.png"]))
    assert other_groups.tolist() == [groups[21], groups[9]]
    assert other_splits.tolist() == [splits[21], splits[9]]


def test_items_without_image_are_clusters_by_their_question() -> None:
    asked = [Item("1", (), "same?", ("a", "b"), "a"), Item("2", (), "same?", ("a", "b"), "b"), Item("3", (), "other?", ("a", "b"), "b")]
    groups, _ = split_items(asked)
    assert groups[0] == groups[1] != groups[2]
    assert groups.dtype == np.int32
