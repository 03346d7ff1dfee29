"""WebDataset: the library itself reads the tars, whatever their number, and so does our own reader."""

from collections import Counter
from itertools import pairwise

import pytest

from probe.export import find_exporter, webdataset
from sources.formats.registry import open_rows
from sources.spec import SourceSpec
from tests.conformance.environments import ask
from tests.conformance.small_world import PHASES

READ = r"""
import json, sys
from collections import Counter
from webdataset import WebDataset
found = Counter()
for row in WebDataset(sys.argv[1:], shardshuffle=False).decode("rgb8"):
    assert all(row[name].shape == (4, 4, 3) for name in row["json"]["images"])
    found[row["json"]["source"]] += 1
print(json.dumps(found))
"""


@pytest.fixture(params=[1 << 30, 20_000], ids=["one-shard", "shards"])
def out(request, doc, pools, tmp_path, monkeypatch):
    monkeypatch.setattr(webdataset, "SHARD_BYTES", request.param)
    find_exporter("webdataset")(doc, pools, tmp_path / "out")
    assert (len(list((tmp_path / "out" / "phase-1").iterdir())) > 1) == (request.param == 20_000)
    return tmp_path / "out"


def test_webdataset_reads_the_manifests_counts(out):
    for number, counts in enumerate(PHASES, start=1):
        shards = sorted(path.relative_to(out) for path in (out / f"phase-{number}").glob("*.tar"))
        assert Counter(ask("webdataset", READ, *shards, cwd=out)) == Counter(counts)


def test_our_own_reader_reads_every_row_back(out, pools):
    originals = {row.sample.id: row.sample for pool in pools.values() for row in open_rows(pool.spec)}
    for number, counts in enumerate(PHASES, start=1):
        rows = list(open_rows(SourceSpec("x", "webdataset", str(out / f"phase-{number}"), None)))
        assert [row.problem for row in rows] == [None] * sum(counts.values())
        assert all(row.sample.turns == originals[row.sample.id].turns for row in rows)
        assert Counter(row.sample.subsource for row in rows) == counts


def test_shards_hold_rows_in_one_shuffled_order(out):
    sources = [row.sample.subsource for row in open_rows(SourceSpec("x", "webdataset", str(out / "phase-1"), None))]
    changes = sum(a != b for a, b in pairwise(sources))
    assert changes > 100  # of 299 neighbours; sorted by source there would be 3
