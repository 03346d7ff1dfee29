"""What Energon notes beside a folder of tars: which members are which field of a sample, and which shards and rows are to be trained on.

    .nv-meta/dataset.yaml   sample_type: {__module__: megatron.energon, __class__: VQASample}
                            field_map: {image: jpg;png, context: json[question], answers: json[answers], answer_weights: json[weights]}
    .nv-meta/split.yaml     split_parts: {train: ["shards/shard_{000..126}.tar"], val: [shards/shard_127.tar]}
                            exclude: [shards/shard_004.tar, shards/shard_001.tar/000032]

Defined by `Megatron-Energon/docs/source/basic/data_prep.md`. Of split shards only those of `train` are read: `val` and `test` are held
out by whoever prepared the folder. Read are VQA, captioning and OCR samples; `sample_loader.py` is code and is never run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sources.problems import SourceError

FOLDER = ".nv-meta"
_MOST_YAML_BYTES = 16_000_000  # of a list of very many shards
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass(frozen=True, slots=True)
class EnergonFolder:
    """What the notes say. `fields` is empty where there is no field map; `train` is None where nothing is split."""

    fields: Mapping[str, str]
    train: tuple[str, ...] | None = None
    excluded: frozenset[str] = frozenset()  # shards, and rows as `shard/key`

    def trains_on(self, shard: str) -> bool:
        """Say whether a shard, named relative to the folder, belongs to the split `train` and is not excluded."""
        return shard not in self.excluded and (self.train is None or any(_names(pattern, shard) for pattern in self.train))


def read_energon(path: Path) -> EnergonFolder:
    """Read the notes of a folder; a folder or file without any is read in full.

    Raises:
        SourceError: a file of notes is no YAML, or the split has no `train`.
    """
    described, split = (_yaml(path / FOLDER / name) for name in ("dataset.yaml", "split.yaml"))
    fields = described.get("field_map")
    fields = fields if isinstance(fields, dict) else {}
    texts = {name: value for name, value in fields.items() if isinstance(name, str) and isinstance(value, str)}
    return EnergonFolder(texts, _train(path, split), frozenset(_texts(split.get("exclude"))))


def note_files(path: Path) -> list[Path]:
    """Return the files that say how a folder's tars are read."""
    return [file for file in (path / FOLDER / name for name in ("dataset.yaml", "split.yaml")) if file.is_file()]


def _train(path: Path, split: Mapping[str, Any]) -> tuple[str, ...] | None:
    parts = split.get("split_parts")
    if not isinstance(parts, dict):
        return None
    train = tuple(_texts(parts.get("train")))
    if not train:
        found = ", ".join(str(name)[:20] for name in parts) or "none"
        raise SourceError(f"{path / FOLDER / 'split.yaml'} gives no shard to the split train (its splits: {found}); write it again")
    return train


def _texts(value: Any) -> Sequence[str]:
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []


def _names(pattern: str, shard: str) -> bool:
    """Say whether a name such as `shard_{000..126}.tar` stands for a shard."""
    if "{" not in pattern:
        return pattern == shard
    pieces = _RANGE.split(pattern)  # text, first, last, text, ...
    found = re.fullmatch(r"(\d+)".join(re.escape(text) for text in pieces[::3]), shard)
    return found is not None and all(
        len(number) >= len(first) and int(first) <= int(number) <= int(last)
        for number, first, last in zip(found.groups(), pieces[1::3], pieces[2::3], strict=True)
    )


def _yaml(file: Path) -> Mapping[str, Any]:
    if not file.is_file():
        return {}
    import yaml

    try:
        if file.stat().st_size > _MOST_YAML_BYTES:
            raise ValueError("larger than any such file")
        described = yaml.safe_load(file.read_text("utf-8"))
    except (yaml.YAMLError, ValueError, OSError, RecursionError) as error:
        why = (str(error) or type(error).__name__).splitlines()[0][:80]
        raise SourceError(f"{file} cannot be read ({why}); write it again with `energon prepare`") from error
    return described if isinstance(described, dict) else {}
