"""What a trainer trains on, by an oracle of its reading: one module a trainer in `oracles/`, with the file and lines it follows.

An oracle is a function `trained_rows(out, phase)` that goes through an export as the trainer does, with the trainer's own arithmetic of
repeats and heads, and returns every row that one epoch of the phase trains on. Every registered exporter has one.
"""

import json
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path


@dataclass(frozen=True)
class TrainedRow:
    """A row as the trainer sees it: turns are (role, text), an image's place is `<image>`."""

    source: str
    id: str
    turns: tuple[tuple[str, str], ...]
    images: tuple[bytes, ...]


def trained_rows(trainer: str, out: Path, phase: str) -> list[TrainedRow]:
    """Return what the trainer trains on in a phase."""
    return import_module(f"tests.conformance.oracles.{trainer.replace('-', '_')}").trained_rows(out, phase)


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def of_messages(record: dict, root: Path) -> TrainedRow:
    """A record of `messages` and `images` (paths below a root), every image with a place in the text."""
    turns = tuple((message["role"], message["content"]) for message in record["messages"])
    images = tuple((root / path).read_bytes() for path in record["images"])
    assert sum(text.count("<image>") for _, text in turns) == len(images)
    return TrainedRow(record["source"], record["id"], turns, images)


def of_llava(record: dict, root: Path) -> TrainedRow:
    """A LLaVA record: `image` is a path, a list of paths, or not there."""
    roles = {"system": "system", "human": "user", "gpt": "assistant"}
    turns = tuple((roles[turn["from"]], turn["value"]) for turn in record["conversations"])
    paths = record.get("image", [])
    images = tuple((root / path).read_bytes() for path in ([paths] if isinstance(paths, str) else paths))
    assert sum(text.count("<image>") for _, text in turns) == len(images)
    return TrainedRow(record["source"], record["id"], turns, images)
