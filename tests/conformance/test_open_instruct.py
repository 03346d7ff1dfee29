"""Open-Instruct trains language models: sources without images go there, all others are named."""

from collections import Counter

import pytest

from probe.export import ExportError, ExportOptions, Mode, find_exporter
from tests.conformance.small_world import manifest_for, open_pools, write_source
from tests.conformance.trained_rows import trained_rows

PHASES = ({"text/big": 90, "text/tiny": 31}, {"text/big": 10, "text/tiny": 1})


@pytest.fixture(scope="module")
def pools(tmp_path_factory):
    root = tmp_path_factory.mktemp("sources")
    return open_pools([write_source(root, "text/big", 300), write_source(root, "text/tiny", 7), write_source(root, "mid/chart", 5)])


@pytest.mark.parametrize("mode", [Mode.EXACT, Mode.NATIVE])
def test_counts_are_counts_and_never_shares(mode, pools, tmp_path):
    report = find_exporter("open-instruct")(manifest_for(pools, PHASES), pools, tmp_path / "out", options=ExportOptions(mode=mode))
    for number, counts in enumerate(PHASES, start=1):
        trained = trained_rows("open-instruct", tmp_path / "out", f"phase-{number}")
        assert Counter(row.source for row in trained) == report.counts[f"phase-{number}"] == counts
        assert all("." not in word for word in report.commands[number - 1].split() if word.replace(".", "").isdigit())
    assert " phase-2/text_tiny.jsonl 1 " in report.commands[1]
    uses = Counter(row.id for row in trained_rows("open-instruct", tmp_path / "out", "phase-1") if row.source == "text/tiny")
    assert sorted(uses.values()) == [4, 4, 4, 4, 5, 5, 5]


def test_a_source_with_images_is_refused_by_name(pools, tmp_path):
    with pytest.raises(ExportError, match=r"mid/chart has no row that this trainer can read \(5 rows: it has an image, and this trainer"):
        find_exporter("open-instruct")(manifest_for(pools, ({"mid/chart": 3},)), pools, tmp_path / "out")
