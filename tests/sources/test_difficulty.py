"""Pools by difficulty as views of a source: they partition what was judged, whatever the order of the file."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from making_sources import llava, png

from sources.difficulty import bounds, keep_order, pool_place, pool_specs
from sources.problems import SourceError
from sources.sampling import SourcePool
from sources.spec import SourceSpec
from tests.writing_files import write, write_json

ROWS = 23


def source(folder: Path, numbers: list[int]) -> SourceSpec:
    write(folder / "a.png", png(0))
    rows = [llava("a.png", f"<image>question {number}?") for number in numbers]
    return SourceSpec("mine", "llava", str(write_json(folder / "x.json", rows)), str(folder))


def asked(pool: SourcePool) -> set[int]:
    return {int(sample.turns[0].text.split()[1].rstrip("?")) for _, sample in pool.numbered_samples()}


def ordered(folder: Path, pools: int, judged: int = ROWS) -> tuple[SourcePool, tuple[SourceSpec, ...]]:
    """Judge the first rows, as easy as their number is high."""
    whole = SourcePool.open(source(folder, list(range(ROWS))), folder / "indexes")
    keys = np.asarray(whole.index.keys.column)[:judged][::-1]
    return whole, pool_specs(whole.spec, keep_order(folder / "indexes", keys), pools)


@pytest.mark.parametrize("pools", [2, 3, 7])
def test_pools_partition_the_judged_rows_in_order(tmp_path: Path, pools: int) -> None:
    whole, specs = ordered(tmp_path, pools)
    parts = [asked(whole.view(spec)) for spec in specs]
    assert set().union(*parts) == set(range(ROWS))
    assert sum(map(len, parts)) == ROWS
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert all(min(easier) > max(harder) for easier, harder in pairwise(parts))


def test_a_pool_is_its_rows_wherever_they_stand_in_the_file(tmp_path: Path) -> None:
    whole, specs = ordered(tmp_path, 3)
    before = [asked(whole.view(spec)) for spec in specs]
    source(tmp_path, [*reversed(range(ROWS)), 99])  # turned round, with a row that was never judged
    after = [asked(SourcePool.open(spec, tmp_path / "indexes")) for spec in specs]
    assert after == before


def test_rows_that_were_not_judged_are_in_no_pool(tmp_path: Path) -> None:
    whole, specs = ordered(tmp_path, 2, judged=10)
    assert set().union(*(asked(whole.view(spec)) for spec in specs)) == set(range(10))


def test_a_pool_and_a_holdout_leave_what_both_leave(tmp_path: Path) -> None:
    whole, specs = ordered(tmp_path, 2)
    assert whole.view(specs[0]).content != whole.view(specs[1]).content
    with pytest.raises(SourceError, match="No row of mine/difficulty-1"):  # all rows share one image
        whole.view(specs[0].with_option("holdout", "1.0:0"))


def test_an_order_that_is_not_here_is_one_sentence_with_the_cure(tmp_path: Path) -> None:
    _, specs = ordered(tmp_path, 3)
    with pytest.raises(SourceError, match="run `probe sources difficulty mine`"):
        SourcePool.open(specs[0], tmp_path / "elsewhere")


@pytest.mark.parametrize("text", ["easy", "0" * 32 + ":4/3", "0" * 32 + ":0/3", "../../x:1/3", "0" * 31 + "/:1/3"])
def test_an_option_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(SourceError, match="is none that"):
        pool_place(SourceSpec("mine/easy", "llava", options=(("difficulty", text),)))


def test_bounds_cover_all_ranks() -> None:
    for rows in (3, 10, 101):
        cuts = [bounds(rows, place, 3) for place in (1, 2, 3)]
        assert cuts[0][0] == 0
        assert cuts[-1][1] == rows
        assert all(one[1] == other[0] for one, other in pairwise(cuts))
