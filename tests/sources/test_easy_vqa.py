from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from sources import easy_vqa
from sources.benchmark_data import read_benchmark
from sources.easy_vqa import ANSWERS, easy_vqa_benchmark_specs, easy_vqa_source_specs, read_questions
from sources.formats import open_rows
from sources.images import load_image
from sources.problems import SourceError
from sources.sample import Sample

pytest.importorskip("easy_vqa")
SPECS = {spec.slug.partition("/")[2]: spec for spec in easy_vqa_source_specs()}


@cache
def samples(part: str) -> list[Sample]:
    return [row.sample for row in open_rows(SPECS[part]) if row.sample]


def answer(sample: Sample) -> str:
    return sample.turns[1].text


@pytest.fixture(scope="module")
def whole() -> dict[str, Sample]:
    return {sample.id: sample for sample in samples("all")}


def test_all_is_the_training_split(whole: dict[str, Sample]) -> None:
    assert len(whole) == len(read_questions("train")) == 38575
    assert Counter(sample.subsource for sample in whole.values()) == {"colour": 5166, "shape": 5002, "presence": 28407}
    assert all(answer(sample) in ANSWERS[sample.subsource] for sample in whole.values())
    assert load_image(whole["train-0"].images[0]).size == (64, 64)
    rows = open_rows(SPECS["all"])
    assert rows.get(7).sample == whole["train-7"]


def test_types_are_parts_of_all(whole: dict[str, Sample]) -> None:
    for kind in ANSWERS:
        assert samples(kind) == [sample for sample in whole.values() if sample.subsource == kind]


def test_half_of_each_type_is_wrong_and_of_the_same_type(whole: dict[str, Sample]) -> None:
    damaged = samples("half-wrong")
    wrong = [sample for sample in damaged if answer(sample) != answer(whole[sample.id])]
    assert Counter(sample.subsource for sample in wrong) == {"colour": 2583, "shape": 2501, "presence": 14203}
    assert all(sample.subsource == whole[sample.id].subsource for sample in damaged)
    rows = open_rows(SPECS["half-wrong"])
    assert [rows.get(number).sample for number in range(500)] == damaged[:500]


def test_shuffled_is_a_permutation_without_a_fixed_image(whole: dict[str, Sample]) -> None:
    moved = samples("shuffled")
    pairs = {(whole[sample.id].images[0].path, sample.images[0].path) for sample in moved}
    assert len(pairs) == len({new for _, new in pairs}) == len({old for old, _ in pairs}) == 4000
    assert all(old != new for old, new in pairs)
    assert all(answer(sample) == answer(whole[sample.id]) for sample in moved)


def test_halves_are_disjoint_by_image_and_make_all(whole: dict[str, Sample]) -> None:
    halves = [samples("half-a"), samples("half-b")]
    images = [{sample.images[0] for sample in half} for half in halves]
    assert (len(images[0]), len(images[1]), len(images[0] & images[1])) == (2000, 2000, 0)
    assert {sample.id for half in halves for sample in half} == set(whole)


def test_benchmarks_are_the_test_split() -> None:
    data = {spec.capability: read_benchmark(spec) for spec in easy_vqa_benchmark_specs()}
    assert {kind: len(found.items) for kind, found in data.items()} == {"colour": 300, "shape": 300, "presence": 300}
    for kind, found in data.items():
        assert not found.excluded
        assert all(item.choices == ANSWERS[kind] and item.answer in item.choices for item in found.items)
        assert len({item.image_group() for item in found.items}) == 300
        assert all(ref.path and ref.path.startswith("test/") for item in found.items for ref in item.images)
        assert max(Counter(item.answer for item in found.items).values()) < 300 * (0.7 if kind == "presence" else 0.5)
    assert read_benchmark(easy_vqa_benchmark_specs(20)[0]).items == data["colour"].items[:20]
    assert len({found.fingerprint for found in data.values()}) == 3


def test_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    easy_vqa.data_folder.cache_clear()
    easy_vqa.read_questions.cache_clear()
    with pytest.raises(SourceError, match=r"pip install 'vlm-source-probe\[demo\]'"):
        open_rows(SPECS["all"])
    easy_vqa.data_folder.cache_clear()
