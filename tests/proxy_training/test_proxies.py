"""Proxies by hub id: from the user's cache without a network, and one sentence where that is impossible."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from proxy_training.proxies import BUNDLED, ProxyError, proxy_spec

ASK = """
import sys
from proxy_training.proxies import ProxyError, proxy_spec
try:
    spec = proxy_spec(sys.argv[1])
    print(spec.name, spec.family, spec.weights_hash, spec.illustration_only)
except ProxyError as error:
    print("ProxyError:", error)
"""


def ask(name: str, cache: Path, **environment: str) -> str:
    """Ask in a process of its own: huggingface_hub reads its settings when it is imported."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, name],
        env=os.environ | {"HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_model_in_the_cache_needs_no_network(tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repo = tmp_path / "models--some-lab--some-model"
    shutil.copytree(BUNDLED, repo / "snapshots" / commit)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    assert ask("hf:some-lab/some-model", tmp_path) == f"some-lab/some-model idefics3 {proxy_spec('tiny').weights_hash} False"


@pytest.mark.parametrize(
    ("name", "environment", "says"),
    [
        ("hf:some-lab/none", {}, "is not in the cache and the hub cannot be reached"),
        ("hf:some-lab/none", {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"}, "give the folder of a saved model instead"),
        ("hf:not/a/hub/id", {}, "write it as hf:ORG/NAME"),
        ("qwen2.5-vl-3b", {}, "run `hf download Qwen/Qwen2.5-VL-3B-Instruct` where it can"),
        ("qwen2.5-vl-3b", {}, "--proxy qwen2.5-vl-3b@FOLDER"),
    ],
)
def test_a_model_that_cannot_be_had_is_one_sentence(name: str, environment: dict[str, str], says: str, tmp_path: Path) -> None:
    told = ask(name, tmp_path, **environment)
    assert told.startswith("ProxyError: ")
    assert says in told
    assert "\n" not in told


def test_an_unknown_name_says_what_is_possible() -> None:
    with pytest.raises(ProxyError, match="hf:ORG/NAME"):
        proxy_spec("smolvlm")
