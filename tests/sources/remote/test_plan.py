from collections import Counter

import pytest

from sources.remote.plan import PLACES, pick_shards, plan_blocks


def drawn(blocks):
    return [(block.shard, block.group, row) for block in blocks for row in block.rows]


@pytest.mark.parametrize(
    ("groups", "rows"), [([[10] * 6] * 4, 40), ([[1000], [7, 3]], 300), ([[5000]], 100), ([[1] * 50, [2] * 50], 60), ([[0, 4], [0]], 3)]
)
def test_a_draw_has_exactly_so_many_rows_and_none_twice(groups, rows):
    found = drawn(plan_blocks(groups, rows, "s"))
    assert len(found) == len(set(found)) == rows
    assert all(row < groups[shard][group] for shard, group, row in found)


@pytest.mark.parametrize("rows", [0, 240, 10_000])
def test_all_rows_are_drawn_where_there_are_no_more(rows):
    assert len(drawn(plan_blocks([[10] * 6] * 4, rows, "s"))) == 240


def test_the_seed_decides():
    groups = [[100] * 5] * 6
    assert plan_blocks(groups, 200, "a") == plan_blocks(groups, 200, "a") != plan_blocks(groups, 200, "b")


def test_every_shard_gives_its_share():
    groups = [[50] * 20, [50] * 10, [50] * 10]
    counts = Counter(shard for shard, _, _ in drawn(plan_blocks(groups, 800, "s")))
    largest_part = 800 // PLACES
    assert all(abs(counts[shard] - share) <= largest_part for shard, share in ((0, 400), (1, 200), (2, 200)))


def test_one_large_row_group_is_drawn_from_all_over():
    rows = [row for _, _, row in drawn(plan_blocks([[100_000]], 1000, "s"))]
    tenths = Counter(row // 10_000 for row in rows)
    assert all(60 <= tenths[tenth] <= 145 for tenth in range(10))  # 100 expected each, 5 standard deviations


def test_every_row_is_as_likely_as_any_other():
    groups = [[30, 3], [12], [30]]
    seeds = 600
    counts = Counter(row for seed in range(seeds) for row in drawn(plan_blocks(groups, 25, f"{seed}")))
    expected = seeds * 25 / 75  # 200, standard deviation below 12
    assert len(counts) == 75
    assert all(abs(count - expected) < 60 for count in counts.values())


def test_rows_come_from_many_places():
    blocks = plan_blocks([[1000] * 100], 2000, "s")
    assert len(blocks) >= PLACES * 0.7  # as many parts; two may fall to one row group


def test_shards_are_picked_by_seed():
    assert pick_shards(5, 10, "s") == [0, 1, 2, 3, 4]
    few = pick_shards(1000, 10, "s")
    assert len(few) == 10
    assert few != list(range(10))
    assert few != pick_shards(1000, 10, "t")
