from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

COLOURS = {"red": (220, 30, 30), "green": (30, 170, 60), "blue": (30, 60, 220), "yellow": (235, 215, 40)}


def block(path: Path, colour: tuple[int, int, int], seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(200, 230, (64, 64, 3), dtype=np.uint8)
    pixels[16:48, 16:48] = colour
    Image.fromarray(pixels).save(path)


def record(name: str, answer: str, i: int) -> dict[str, Any]:
    question = "<image>\nWhich colour has the block?" if i % 2 else "Name the block's colour.\n<image>"
    return {"id": str(i), "image": name, "conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]}


@pytest.fixture(scope="session")
def own_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: `good.json` and `bad.json` (wrong colours) over one image folder, and `test.tsv`."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "images").mkdir()
    names = list(COLOURS)
    good, bad = [], []
    for i in range(48):
        name, colour = f"{i:03d}.png", names[i % 4]
        block(folder / "images" / name, COLOURS[colour], i)
        good.append(record(name, colour, i))
        bad.append(record(name, names[(i + 1 + i // 4 % 3) % 4], i))
    (folder / "good.json").write_text(json.dumps(good))
    (folder / "bad.json").write_text(json.dumps(bad))
    lines = ["index\timage_path\tquestion\tA\tB\tC\tD\tanswer"]
    for i in range(40):
        name, colour = f"t{i:03d}.png", names[i % 4]
        block(folder / "images" / name, COLOURS[colour], 1000 + i)
        lines.append("\t".join([str(i), name, "What colour is it?", *names, "ABCD"[i % 4]]))
    (folder / "test.tsv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def probe(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line in a workspace of its own."""

    def call(*arguments: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(command(tmp_path, *arguments), capture_output=True, text=True, timeout=900, env=environment())
        assert not ok or done.returncode == 0, done.stderr
        return done

    return call


def command(workspace: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-c", "from probe.cli.main import main; main()", "--workspace", str(workspace / "ws"), *arguments]


def environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("PROBE_")} | {"OMP_NUM_THREADS": "1"}


@pytest.fixture
def with_data(probe: Callable[..., subprocess.CompletedProcess[str]], own_data: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command line in a workspace that has the user's two sources and the benchmark."""
    for name in ("good", "bad"):
        probe("sources", "add", name, "--path", str(own_data / f"{name}.json"), "--images", str(own_data / "images"))
    probe(
        "benchmarks", "add", "blocks", "--path", str(own_data / "test.tsv"), "--images", str(own_data / "images"), "--capability", "colour"
    )
    return probe
