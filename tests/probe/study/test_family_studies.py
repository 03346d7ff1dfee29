"""A study of two sources, from data to ranking with one command, on a tiny model of every family and of one that is not known."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.probe.study.conftest import command, environment
from tests.probe.study.test_runs import prepare
from tests.proxy_training.tiny_models import build

pytestmark = pytest.mark.slow

FAMILIES = ["idefics3", "smolvlm", "llava", "llava_onevision", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "internvl", "paligemma", "gemma3"]
STACKED = {"idefics3", "smolvlm", "llava", "llava_onevision", "internvl"}


@pytest.fixture(scope="module")
def workspace(own_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("families")
    prepare(folder, own_data)
    return folder


@pytest.mark.parametrize("family", [*FAMILIES, "llava_next"])
def test_two_sources_are_ranked_on_each_family(workspace: Path, tmp_path: Path, family: str) -> None:
    model = build(family, tmp_path / family)
    words = ("run", "--proxy", str(model), "--source", "good", "--source", "bad", "--study", family)
    samples = "48" if family in FAMILIES else "16"  # each row is a forward of its own there
    small = ("--samples", samples, "--seeds", "2", "--workers", "1")
    ended = subprocess.run(command(workspace, *words, *small, "--json"), capture_output=True, text=True, env=environment())
    assert ended.returncode == 0, ended.stderr
    ranking = json.loads(ended.stdout)
    assert ranking["proxy"] == family
    assert {source["source"] for source in ranking["sources"]} == {"good", "bad"}
    for source in ranking["sources"]:
        assert source["effect"]["low"] < source["effect"]["value"] < source["effect"]["high"]
        assert source["effect"]["n"] > 0
        assert 0 <= source["benchmarks"]["blocks"]["accuracy"] <= 1
    assert ("on the stack back end" in ended.stderr) == (family in STACKED)
    assert ended.stderr.count("takes the generic path") == (family not in FAMILIES)
    saved = [folder for folder in (workspace / "ws" / "adapters").iterdir() if (folder / "adapter_config.json").is_file()]
    base = [json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] for folder in saved]
    assert base.count(str(model)) == 4, "two sources with two seeds"
