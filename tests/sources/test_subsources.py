from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making_sources import llava, png

from sources.catalogue import resolve_source
from sources.check import check_pool
from sources.problems import Problem, SourceError
from sources.sampling import SourcePool
from sources.spec import SourceSpec
from sources.subsources import find_subsource, subsource_slug
from tests.writing_files import write, write_json

ODD = {"iam(cauldron)": "iam-cauldron", "PMC figures": "PMC-figures", "docs/pdfa": "docs-pdfa", "ocr_vqa": "ocr_vqa", "": "unnamed"}


def odd_source(folder: Path, *more: str) -> SourceSpec:
    """Two rows a part, whose names are as data has them."""
    write(folder / "a.png", png(0))
    rows = [llava("a.png", f"<image>{name} {turn}?", source=name) for name in (*ODD, "图表", *more) for turn in range(2)]
    return SourceSpec("mine", "llava", str(write_json(folder / "x.json", rows)), str(folder))


@given(st.text(max_size=90))
@settings(max_examples=300, deadline=None)
def test_a_slug_is_safe_whatever_the_name_and_is_its_own_slug(name: str) -> None:
    slug = subsource_slug(name)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", slug)
    assert subsource_slug(slug) == slug
    assert find_subsource(slug, ["\0other", name]) == 1 or name == "\0other"


def test_names_that_lose_their_letters_stay_apart() -> None:
    names = ["图表", "图形", "x" * 80, "x" * 81, "é", "è"]
    assert len({subsource_slug(name) for name in names}) == len(names)


def test_each_part_is_found_by_its_name_and_by_its_slug(tmp_path: Path) -> None:
    spec = odd_source(tmp_path)
    pool = SourcePool.open(spec)
    assert dict(pool.subsources) == dict.fromkeys((*ODD, "图表"), 2)
    for name, slug in ODD.items():
        for typed in (name, slug) if name else (slug,):
            part = resolve_source(f"mine/{typed}", {"mine": spec})
            assert part.slug == f"mine/{slug}"
            rows = pool.view(part)
            assert rows.usable == 2
            assert all(sample.turns[0].text.startswith(name) for _, sample in rows.numbered_samples())
    chinese = resolve_source("mine/图表", {"mine": spec})
    assert chinese.slug.isascii()
    assert pool.view(chinese).usable == 2


def test_a_wrong_part_names_the_close_ones_else_those_there_are(tmp_path: Path) -> None:
    pool = SourcePool.open(odd_source(tmp_path))
    with pytest.raises(SourceError, match="did you mean mine/ocr_vqa"):
        pool.view(pool.spec.part("ocr_vq"))
    with pytest.raises(SourceError, match="did you mean mine/iam-cauldron"):
        pool.view(pool.spec.part("iam"))
    with pytest.raises(SourceError, match="PMC-figures, docs-pdfa, iam-cauldron"):
        pool.view(pool.spec.part("zzz"))


def test_two_parts_of_one_slug_are_refused_by_name(tmp_path: Path) -> None:
    pool = SourcePool.open(odd_source(tmp_path, "iam-cauldron"))
    with pytest.raises(SourceError, match="both called 'iam-cauldron'"):
        pool.view(pool.spec.part("iam(cauldron)"))


def test_a_part_of_a_part_is_a_part_of_the_whole(tmp_path: Path) -> None:
    spec = odd_source(tmp_path)
    registered = {"mine": spec, "mine/docs": spec.part("docs")}
    assert resolve_source("mine/docs/pdfa", registered).slug == "mine/docs-pdfa"
    held = spec.part("ocr_vqa").with_option("holdout", "0.5:0")
    assert resolve_source("mine/ocr_vqa", {"mine": spec, "mine/ocr_vqa": held}) == held


PARTS = ("a", "b", "c")
ROW = st.tuples(st.sampled_from(PARTS), st.lists(st.sampled_from(["1", "2", "3", "copy-of-1", "gone"]), max_size=2), st.integers(0, 2))


@given(st.lists(ROW, min_size=1, max_size=14))
@settings(max_examples=25, deadline=None)
def test_a_parts_check_says_what_a_check_of_its_rows_alone_would(drawn: list[tuple[str, list[str], int]]) -> None:
    """Rows of three parts, some equal, some of equal images under two names, some without their image."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, seed in (("1", 1), ("2", 2), ("3", 3), ("copy-of-1", 1)):
            write(root / f"{name}.png", png(seed))
        rows = [
            (part, llava([f"{name}.png" for name in names] or None, "<image>" * len(names) + f"{text}?", source=part))
            for part, names, text in drawn
        ]
        rows.append(("a", llava(None, "Usable?", source="a")))
        whole = SourcePool.open(SourceSpec("mine", "llava", str(write_json(root / "x.json", [row for _, row in rows])), folder))
        for part in whole.subsources:
            own = [row for name, row in rows if name == part]
            alone = check_pool(SourcePool.open(SourceSpec("mine", "llava", str(write_json(root / f"{part}.json", own)), folder)))
            viewed = whole.view(whole.spec.part(part))
            told = check_pool(viewed)
            for name in ("rows", "usable", "images_per_row", "distinct_images", "duplicate_images", "duplicate_rows", "images_looked_at"):
                assert getattr(told, name) == getattr(alone, name), name
            counted = [[(entry.problem, entry.count) for entry in report.excluded] for report in (told, alone)]
            assert sorted(counted[0]) == sorted(counted[1])
            numbers = [number for number, (name, row) in enumerate(rows) if name == part and "gone" in str(row)]
            assert [number for number, _, _ in viewed.excluded_rows()] == numbers
            assert viewed.examples.get(Problem.MISSING_IMAGE, []) == numbers[:5]


def test_a_record_that_is_no_row_is_in_no_part_and_counts_in_the_whole(tmp_path: Path) -> None:
    write(tmp_path / "a.png", png(0))
    rows = [llava("a.png", source="a"), llava("gone.png", source="b"), llava("a.png", source="b"), {"source": "b", "conversations": 3}]
    pool = SourcePool.open(SourceSpec("mine", "llava", str(write_json(tmp_path / "x.json", rows)), str(tmp_path)))
    assert (pool.total, pool.excluded) == (4, {Problem.MISSING_IMAGE: 1, Problem.MALFORMED: 1})
    assert [(view.total, view.excluded) for view in map(pool.view, map(pool.spec.part, "ab"))] == [(1, {}), (2, {Problem.MISSING_IMAGE: 1})]
