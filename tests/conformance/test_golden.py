"""What each exporter writes, to be read and compared: the words of a configuration are an interface."""

import pytest

from probe.export import ExportOptions, Mode, exporter_names, find_exporter
from tests.conformance.golden_files import as_text, assert_golden
from tests.conformance.small_world import manifest_for, open_pools, write_source

PHASES = ({"chart/qa": 3, "text/chat": 2}, {"chart/qa": 1, "text/chat": 1})


@pytest.mark.parametrize("trainer", exporter_names())
def test_an_export_is_written_as_it_was(trainer, tmp_path):
    pools = open_pools([write_source(tmp_path, "chart/qa", 4), write_source(tmp_path, "text/chat", 2)])
    mode = Mode.EXACT
    report = find_exporter(trainer)(manifest_for(pools, PHASES), pools, tmp_path / "out", options=ExportOptions(mode=mode))
    assert_golden(trainer, as_text(tmp_path / "out", report))
