"""Qwen-VL finetune, `qwen-vl-finetune/qwenvl/data/__init__.py` and `data_processor.py`."""

import json
import random
import re

from tests.conformance.trained_rows import TrainedRow, read_lines


def data_list(names, register):
    """__init__.py:42-66: the percentage after the last `%`."""
    for name in names:
        rate = re.search(r"%(\d+)$", name)
        yield register[re.sub(r"%(\d+)$", "", name)], int(rate.group(1)) / 100.0 if rate else 1.0


def messages(record, root):
    """data_processor.py:140-199, _build_messages: whoever is not human is the assistant; images in human turns only, all of them used."""
    paths = record.get("image") or []
    pool = [paths] if isinstance(paths, str) else list(paths)
    turns, shown = [], []
    for turn in record["conversations"]:
        role = "user" if turn["from"] == "human" else "assistant"
        text = turn["value"]
        if role == "user":
            pieces = re.split(r"(<image>|<video>)", text)
            shown += [pool.pop(0) for piece in pieces if piece == "<image>"]
            assert "<video>" not in pieces
            text = "".join(piece if piece == "<image>" else f" {piece.strip()} " for piece in pieces)
        turns.append((role, text))
    assert not pool, "image(s) remain unused"
    return TrainedRow(record["source"], record["id"], tuple(turns), tuple((root / path).read_bytes() for path in shown))


def trained_rows(out, phase):
    """data_processor.py:270-290, LazySupervisedDataset.__init__."""
    command = next(line for line in (out / "README.md").read_text().splitlines() if f"--output_dir output/{phase}" in line)
    register = json.loads((out / "datasets.json").read_text())
    rows = []
    for entry, rate in data_list(re.search(r"--dataset_use (\S+)", command).group(1).split(","), register):
        records = read_lines(out / entry["annotation_path"])
        if rate < 1.0:
            records = random.sample(records, int(len(records) * rate))
        rows += [messages(record, out / entry["data_path"]) for record in records]
    return rows
