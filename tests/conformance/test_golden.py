"""What each exporter writes, to be read and compared: the words of a configuration are an interface."""

import pytest

from probe.export import ExportOptions, Mode, exporter_names, find_exporter
from tests.conformance.golden_files import as_text, assert_golden
from tests.conformance.small_world import TEXT_ONLY, manifest_for, open_pools, write_source

PHASES = ({"chart/qa": 3, "text/chat": 2}, {"chart/qa": 1, "text/chat": 1})


TEXT_PHASES = ({"text/chat": 2, "text/more": 1}, {"text/chat": 1})
REPEATED = ({"text/chat": 7, "text/more": 4},)
REPEATING = ("internvl", "energon", "qwen-vl", "axolotl", "streaming", "nemo", "xtuner", "open-instruct")


@pytest.mark.parametrize("trainer", exporter_names())
def test_an_export_is_written_as_it_was(trainer, tmp_path):
    slugs, phases = (("text/chat", "text/more"), TEXT_PHASES) if trainer in TEXT_ONLY else (("chart/qa", "text/chat"), PHASES)
    pools = open_pools([write_source(tmp_path, slug, size) for slug, size in zip(slugs, (4, 2), strict=True)])
    mode = Mode.EXACT
    report = find_exporter(trainer)(manifest_for(pools, phases), pools, tmp_path / "out", options=ExportOptions(mode=mode))
    assert_golden(trainer, as_text(tmp_path / "out", report))


@pytest.mark.parametrize("trainer", REPEATING)
def test_repeats_of_the_trainers_own_are_written_as_they_were(trainer, tmp_path):
    pools = open_pools([write_source(tmp_path, "text/chat", 3), write_source(tmp_path, "text/more", 4)])
    report = find_exporter(trainer)(
        manifest_for(pools, REPEATED), pools, tmp_path / "out", options=ExportOptions(mode=Mode.NATIVE, tolerance=0.05)
    )
    assert_golden(f"{trainer}-native", as_text(tmp_path / "out", report))
