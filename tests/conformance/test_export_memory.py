"""A source with its images inside is exported without all of them in memory."""

import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from probe.export import find_exporter
from sources.spec import SourceSpec
from tests.conformance.small_world import bitmap, manifest_for, open_pools

ROWS = 320
SIDE = 128  # 48 KiB a bitmap


@pytest.fixture
def pools(tmp_path):
    rows = [
        {
            "images": [{"bytes": bitmap((number % 256, number // 256, 0), SIDE), "path": None}],
            "texts": [{"user": f"What is {number}?", "assistant": f"Number {number}."}],
        }
        for number in range(ROWS)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "d.parquet", row_group_size=16)
    return open_pools([SourceSpec("big/inside", "parquet", str(tmp_path / "d.parquet"))])


@pytest.mark.parametrize("trainer", ["jsonl", "webdataset", "datasets"])
def test_what_is_held_is_a_batch_of_images_not_the_source(trainer, pools, tmp_path):
    doc = manifest_for(pools, ({"big/inside": ROWS},))
    find_exporter(trainer)(manifest_for(pools, ({"big/inside": 2},)), pools, tmp_path / "first")  # libraries are loaded by now
    tracemalloc.start()
    report = find_exporter(trainer)(doc, pools, tmp_path / "out")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report.counts == {"phase-1": {"big/inside": ROWS}}
    assert peak < 0.8 * ROWS * 3 * SIDE * SIDE  # all at once would be more than the sum of their pixels
