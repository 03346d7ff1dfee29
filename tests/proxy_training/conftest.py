from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from proxy_training.engine import Engine
from proxy_training.jobs import Backend, EngineSettings, EvalSet, Recipe, Stage
from proxy_training.proxies import proxy_spec
from sources.benchmark import BenchmarkSpec, Item
from sources.sample import ImageRef, Role, Sample, Turn
from sources.sampling import DrawnRow

COLOURS = {"red": (220, 30, 30), "green": (30, 170, 60), "blue": (30, 60, 220), "yellow": (235, 215, 40)}


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images of one coloured block on grey noise, named by colour, of unequal sizes."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for i, (name, colour) in enumerate(list(COLOURS.items()) * 3):
        width, height = 64 + 8 * (i % 3), 64
        pixels = rng.integers(200, 230, (height, width, 3), dtype=np.uint8)
        pixels[16:48, 16:48] = colour
        Image.fromarray(pixels).save(folder / f"{name}-{i}.png")
    return folder


def rows(images: Path, n: int) -> tuple[DrawnRow, ...]:
    files = sorted(images.iterdir())
    drawn = []
    for i in range(n):
        file = files[i % len(files)]
        turns = (
            Turn(Role.USER, (0, "which colour is it?" if i % 2 else "name the colour of the block in the picture")),
            Turn(Role.ASSISTANT, (file.name.split("-")[0],)),
        )
        sample = Sample(str(i), (ImageRef(path=file.name, root=str(images)),), turns)
        drawn.append(DrawnRow("blocks", i, sample, f"row-{i}"))
    return tuple(drawn)


@pytest.fixture(scope="session")
def stage(images: Path) -> Stage:
    return Stage(rows(images, 40))


@pytest.fixture(scope="session")
def long_stage(images: Path) -> Stage:
    return Stage(rows(images, 320))


@pytest.fixture(scope="session")
def benchmark_set(images: Path) -> EvalSet:
    items = tuple(
        Item(
            str(i),
            (ImageRef(path=f.name, root=str(images)),),
            "what is the colour?",
            (*tuple(COLOURS), "dark violet"),
            f.name.split("-")[0],
        )
        for i, f in enumerate(sorted(images.iterdir()))
    )
    free = (
        Item("t1", (), "say hello", (), "hello there"),
        Item("t2", (ImageRef(path="nowhere.png", root=str(images)),), "gone?", ("yes", "no"), "yes"),
    )
    return EvalSet(BenchmarkSpec("blocks", "colour"), "blocks-1", items + free)


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(batch_size=8, learning_rate=2e-3)


@pytest.fixture(scope="session")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("features")


@pytest.fixture(scope="session", params=[Backend.REFERENCE, Backend.STACK])
def engine(features: Path, request: pytest.FixtureRequest) -> Engine:
    """Give the engine with each back end: what holds of one holds of the other."""
    return Engine(proxy_spec("tiny"), Recipe(), features, EngineSettings("cpu", request.param))


@pytest.fixture(scope="session")
def reference(features: Path) -> Engine:
    return Engine(proxy_spec("tiny"), Recipe(), features, EngineSettings("cpu", Backend.REFERENCE))


@pytest.fixture(scope="session")
def stack_of_eight(features: Path) -> Engine:
    return Engine(proxy_spec("tiny"), Recipe(), features, EngineSettings("cpu", Backend.STACK, 8))
