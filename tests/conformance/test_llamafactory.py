"""LLaMA-Factory: what only its own export has."""

import json

from probe.export import find_exporter
from tests.conformance.small_world import PHASES


def test_the_first_row_of_a_file_has_an_image_when_any_has(doc, pools, tmp_path):
    find_exporter("llamafactory")(doc, pools, tmp_path / "out")
    for file in (tmp_path / "out").rglob("*.jsonl"):
        images = [json.loads(line)["images"] for line in file.read_text().splitlines()]
        assert bool(images[0]) == any(images)


def test_a_later_phase_goes_on_from_the_adapter_of_the_one_before(doc, pools, tmp_path):
    report = find_exporter("llamafactory")(doc, pools, tmp_path / "out")
    assert len(report.commands) == len(PHASES)
    assert "adapter_name_or_path=output/phase-1" in report.commands[1]
    assert "adapter_name_or_path" not in report.commands[0]
