"""NeMo Automodel's own loader reads what was exported for it."""

from collections import Counter

import pytest

from probe.export import ExportOptions, Mode, find_exporter
from tests.conformance.environments import ask
from tests.conformance.small_world import PHASES, manifest_for, open_pools, write_source

# The module alone: the packages around it import the training libraries when they are imported.
LOAD = """
import json, sys, types
from pathlib import Path
root = next(Path(entry, "nemo_automodel") for entry in sys.path if Path(entry, "nemo_automodel").is_dir())
for name in ("nemo_automodel", "nemo_automodel.components", "nemo_automodel.components.datasets", "nemo_automodel.components.datasets.vlm"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [str(root.joinpath(*name.split(".")[1:]))]
from nemo_automodel.components.datasets.vlm.datasets import make_meta_dataset
print()
print(json.dumps([list(make_meta_dataset(phase)) for phase in sys.argv[1:]]))
"""


@pytest.mark.parametrize("mode", [Mode.EXACT, Mode.NATIVE])
def test_the_loader_makes_the_counts_and_finds_every_image(mode, doc, pools, tmp_path):
    out = tmp_path / "out"
    find_exporter("nemo")(doc, pools, out, options=ExportOptions(mode=mode))
    for rows, counts in zip(ask("nemo", LOAD, "phase-1.json", "phase-2.json", cwd=out), PHASES, strict=True):
        turns = [[turn for turn in row["conversation"] if turn["role"] == "user"] for row in rows]
        parts = [[part for turn in of_row for part in turn["content"]] for of_row in turns]
        text = ["".join(part.get("text", "") for part in of_row) for of_row in parts]
        assert Counter(next(slug for slug in counts if f"in {slug}" in words) for words in text) == counts
        images = [[part["image"] for part in of_row if part["type"] == "image"] for of_row in parts]
        assert {len(shown) for shown in images} == {0, 1, 2}
        assert all((out / path).is_file() for shown in images for path in shown)
        assert not any("<image>" in words for words in text)


def test_places_in_capitals_are_left_out_because_the_loader_would_swallow_them(tmp_path):
    pools = open_pools([write_source(tmp_path, "mid/chart", 6, {2: "an <IMAGE> tag", 4: "fine"})])
    report = find_exporter("nemo")(manifest_for(pools, ({"mid/chart": 9},)), pools, tmp_path / "out")
    assert report.excluded == {"mid/chart": {"the text holds a literal <image>, which this trainer takes for a place of its own": 1}}
