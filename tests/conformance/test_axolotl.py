"""Axolotl's own schema reads what was exported for it; rows are read with `datasets`, as it does, by the oracle."""

import json

import pytest
import yaml

from probe.export import ExportOptions, Mode, find_exporter
from tests.conformance.environments import ask
from tests.conformance.small_world import HOSTILE, manifest_for, open_pools, write_source

# Alone, without the package around it, whose import needs the training libraries.
SCHEMA = """
import importlib.util, json, sys, types
from pathlib import Path
root = next(Path(entry, "axolotl") for entry in sys.path if Path(entry, "axolotl", "utils", "schemas").is_dir())
for name in ("axolotl", "axolotl.utils", "axolotl.utils.schemas"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [str(root.joinpath(*name.split(".")[1:]))]
from axolotl.utils.schemas.datasets import SFTDataset
rows = json.loads(sys.argv[1])
unknown = [sorted(set(row) - set(SFTDataset.model_fields)) for row in rows]
print(json.dumps([[SFTDataset(**row).model_dump(exclude_none=True) for row in rows], unknown]))
"""


@pytest.mark.parametrize("mode", [Mode.EXACT, Mode.NATIVE])
def test_every_data_set_is_one_by_axolotls_schema(mode, tmp_path):
    pools = open_pools([write_source(tmp_path, HOSTILE, 4, folder_name="hostile"), write_source(tmp_path, "null", 5)])
    doc = manifest_for(pools, ({HOSTILE: 11, "null": 3},))
    find_exporter("axolotl")(doc, pools, tmp_path / "out", options=ExportOptions(mode=mode))
    rows = yaml.safe_load((tmp_path / "out" / "phase-1.yaml").read_text())["datasets"]
    read, unknown = ask("axolotl", SCHEMA, json.dumps(rows))
    assert [{key: entry[key] for key in row} for entry, row in zip(read, rows, strict=True)] == rows
    assert {entry["chat_template"] for entry in read} == {"tokenizer_default"}
    assert not any(unknown)
    if mode is Mode.NATIVE:
        assert [row["split"] for row in rows] == ["train", "train", "train[:3]", "train"]
