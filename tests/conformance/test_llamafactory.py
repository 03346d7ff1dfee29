"""LLaMA-Factory itself reads the export, by both of its data engines; and what only its own export has."""

import json
from collections import Counter

import pytest

from probe.export import ExportOptions, Mode, find_exporter
from tests.conformance.environments import ask
from tests.conformance.small_world import PHASES

# The packages' own __init__ import models, which pin other versions of transformers; their modules of data do not.
READ = r"""
import importlib.util, json, pathlib, re, sys, types
from collections import Counter
from types import SimpleNamespace
root = pathlib.Path(importlib.util.find_spec("llamafactory").submodule_search_locations[0])
for name in ("data", "extras", "hparams"):
    package = types.ModuleType(f"llamafactory.{name}")
    package.__path__ = [str(root / name)]
    sys.modules[package.__name__] = package
import datasets, peft, transformers, yaml
sys.modules["torchaudio"] = types.ModuleType("torchaudio")  # mm_plugin imports it; nothing here is heard
from llamafactory.data.loader import _get_merged_dataset
from llamafactory.data.mm_plugin import MMPluginMixin
from llamafactory.hparams.data_args import DataArguments
config = yaml.safe_load(open(sys.argv[1]))
data = DataArguments(**{name: config[name] for name in ("dataset", "dataset_dir", "media_dir", "mix_strategy", "val_size")})
model, training = SimpleNamespace(cache_dir=None, hf_hub_token=None), SimpleNamespace(local_process_index=0, seed=1)
found = Counter()
for row in _get_merged_dataset(data.dataset, model, data, training, stage="sft"):
    images = row["_images"] or []
    MMPluginMixin._validate_messages(None, row["_prompt"] + row["_response"], images, [], [])
    assert all(pathlib.Path(image).is_file() for image in images)
    assert row["_response"][0]["role"] == "assistant"
    found[re.search(r"in (\S+)\?", row["_prompt"][0]["content"]).group(1)] += 1
print(json.dumps(found))
"""

READ_V1 = r"""
import json, re, sys
from collections import Counter
from llamafactory.v1.core.data_engine import DataEngine
engine = DataEngine(sys.argv[1])
rows = [engine[place] for place in range(len(engine))]
print(json.dumps(Counter(re.search(r"in (\S+)\?", rows[i]["messages"][0]["content"][-1]["value"]).group(1) for i in range(len(rows)))))
"""


@pytest.mark.parametrize("mode", [Mode.EXACT, Mode.NATIVE])
def test_llamafactory_loads_the_manifests_counts(doc, pools, tmp_path, mode):
    report = find_exporter("llamafactory")(doc, pools, tmp_path / "out", options=ExportOptions(mode=mode))
    for command, counts in zip(report.commands, PHASES, strict=True):
        assert Counter(ask("llamafactory", READ, command.split()[2], cwd=tmp_path / "out")) == Counter(counts)


def test_the_second_engine_loads_the_manifests_counts(doc, pools, tmp_path):
    find_exporter("llamafactory-v1")(doc, pools, tmp_path / "out")
    for number, counts in enumerate(PHASES, start=1):
        assert Counter(ask("llamafactory", READ_V1, f"data-phase-{number}.yaml", cwd=tmp_path / "out")) == Counter(counts)


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
